"""What a reward is, and how several become one: a panel of weighted, normalised, gated parts.

A reward is one method, `score(images, prompts) -> (B,)`, higher is better, and three facts a caller must know:
its name, its axis and whether its gradient reaches the pixels. A user's class needs no import from here.
A model that yields several axes in one forward pass offers `scores` instead (`MultiReward`).

Normalising matters more for back-propagation than for policy gradients: there a global scale cancels, here it acts
as a learning rate. So every part is a frozen z-score on images of the base model: a weight then means the same for
every reward, and multiplying one raw reward by 100 changes nothing.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from rewardkit.errors import UserError
from rewardkit.preprocess import FramedPixels, Pixels
from rewardkit.prompts import has_text
from rewardkit.types import Images, Mask, Scalar, Scores

AXES = ("alignment", "aesthetic", "text")


@runtime_checkable
class Reward(Protocol):
    """Scores images against their prompts on one axis; higher is better."""

    name: str
    axis: str
    differentiable: bool

    def score(self, images: Images, prompts: Sequence[str]) -> Scores: ...


@runtime_checkable
class MultiReward(Protocol):
    """Scores images on several axes in one forward pass."""

    name: str
    axes: tuple[str, ...]
    differentiable: bool

    def scores(self, images: Images, prompts: Sequence[str]) -> dict[str, Scores]: ...


@runtime_checkable
class Frames(Protocol):
    """A reward that brings images to a size of its own before anything else; framing a second time changes nothing.

    Who scores many files lets it do so in the threads that decode them, on bytes, which it gives back as bytes (resized
    in 8 bits, as published recipes do) or as floats. A reward need not offer it.
    """

    def frame(self, images: Pixels) -> FramedPixels: ...


AnyReward = Reward | MultiReward


def keys(reward: AnyReward) -> dict[str, str]:
    """Name every score a reward yields, with its axis: `{"ocr": "text"}`, or `{"rm.text": "text", ...}`."""
    if isinstance(reward, MultiReward):
        return {f"{reward.name}.{axis}": axis for axis in reward.axes}
    return {reward.name: reward.axis}


def frame(reward: AnyReward, images: Pixels) -> FramedPixels:
    """Frame images, bytes or floats, as a reward does; leave them as they are where it takes them so."""
    return reward.frame(images) if isinstance(reward, Frames) else images


def score_all(rewards: Sequence[AnyReward], images: Images, prompts: Sequence[str]) -> dict[str, Scores]:
    """Score images by every reward, one forward pass each; raise `UserError` naming the sample of a NaN or infinity."""
    if len(images) != len(prompts):
        raise ValueError(f"one prompt an image: got {len(images)} images and {len(prompts)} prompts")
    scores: dict[str, Scores] = {}
    for reward in rewards:
        if isinstance(reward, MultiReward):
            scores |= {f"{reward.name}.{axis}": value for axis, value in reward.scores(images, prompts).items()}
        else:
            scores[reward.name] = reward.score(images, prompts)
    for name, value in scores.items():
        check_finite(name, value, prompts)
    return scores


def check_finite(name: str, scores: Scores, prompts: Sequence[str]) -> None:
    """Stop at the first score that is not a finite number, and name its prompt: a bad reward must not poison a step."""
    bad = (~torch.isfinite(scores.detach())).nonzero().flatten().tolist()
    if bad:
        index = bad[0]
        raise UserError(
            f"reward {name!r} gave {scores[index].item()} for sample {index} of {len(prompts)} "
            f"(prompt: {prompts[index]!r}); check that reward on this image, or leave it out of the panel"
        )


def applies(axis: str, prompts: Sequence[str]) -> Mask:
    """Say which prompts an axis speaks about: the text axis only where the prompt asks for text (quotes it)."""
    return torch.tensor([axis != "text" or has_text(prompt) for prompt in prompts], dtype=torch.bool)


@dataclass(frozen=True)
class Part:
    """How one score enters a panel."""

    weight: float = 1.0
    """Its share beside the other parts."""
    target: float = 2.0
    """The z-score above which it stops pulling: the loss is `relu(target - z)`, so the low rewards pull."""
    mean: float = 0.0
    """Mean of the raw score on the base model's own images (frozen)."""
    std: float = 1.0
    """Standard deviation of the raw score on the base model's own images (frozen)."""


@dataclass(frozen=True)
class Panel:
    """Weighted rewards: z-scored, gated by what the prompt asks for, each with a target (arXiv:2503.07703, 4.3.3)."""

    rewards: Sequence[AnyReward]
    parts: Mapping[str, Part] = field(default_factory=dict)
    """Keyed by score name (see `keys`); a score without a part gets the default one."""
    device: torch.device | None = None
    """Where the rewards are, if not where the images come from; scores come back."""
    only: Mapping[str, Container[str]] = field(default_factory=dict)
    """Score name -> the prompts it speaks about; all that its axis speaks about where not given."""

    def __post_init__(self) -> None:
        unknown = set(self.parts) - set(self.axes)
        if unknown:
            raise UserError(f"no reward of this panel is called {sorted(unknown)[0]!r}; it has {', '.join(self.axes)}")

    @property
    def axes(self) -> dict[str, str]:
        """Every score's name and axis."""
        return {name: axis for reward in self.rewards for name, axis in keys(reward).items()}

    def part(self, name: str) -> Part:
        return self.parts.get(name, Part())

    def raw(self, images: Images, prompts: Sequence[str]) -> dict[str, Scores]:
        if self.device is None:
            return score_all(self.rewards, images, prompts)
        scores = score_all(self.rewards, images.to(self.device), prompts)
        return {name: value.to(images.device) for name, value in scores.items()}

    def normalise(self, raw: Mapping[str, Scores]) -> dict[str, Scores]:
        """Turn raw scores to frozen z-scores."""
        return {name: (value - self.part(name).mean) / self.part(name).std for name, value in raw.items()}

    def gates(self, prompts: Sequence[str]) -> dict[str, Mask]:
        """Which prompts each score speaks about."""
        return {name: applies(axis, prompts) & self.chosen(name, prompts) for name, axis in self.axes.items()}

    def chosen(self, name: str, prompts: Sequence[str]) -> Mask:
        only = self.only.get(name)
        return torch.tensor([only is None or prompt in only for prompt in prompts], dtype=torch.bool)

    def loss(self, raw: Mapping[str, Scores], prompts: Sequence[str]) -> Scalar:
        """Mean over the batch of `sum_i w_i g_i relu(target_i - z_i)`; 0 once every part has reached its target."""
        gates = self.gates(prompts)
        pulls = [
            self.part(name).weight * gates[name].to(z) * torch.relu(self.part(name).target - z)
            for name, z in self.normalise(raw).items()
        ]
        return torch.stack(pulls).sum(0).mean()

    def total(self, raw: Mapping[str, Scores], prompts: Sequence[str]) -> Scores:
        """Weighted mean of the z-scores that apply to each prompt; for ranking images of one prompt."""
        gates = self.gates(prompts)
        z = self.normalise(raw)
        weights = {name: self.part(name).weight * gates[name].to(value) for name, value in z.items()}
        total: Tensor = torch.stack([weights[name] * value for name, value in z.items()]).sum(0)
        return total / torch.stack(list(weights.values())).sum(0).clamp_min(1e-12)

    def fit(self, raw: Mapping[str, Scores], prompts: Sequence[str]) -> "Panel":
        """Freeze the z-score of every part on these raw scores (of the base model's own images)."""
        gates = self.gates(prompts)
        parts = {}
        for name, value in raw.items():
            seen = value.detach().double()[gates[name].to(value.device)]
            if len(seen) < 2:
                raise UserError(
                    f"reward {name!r} applies to {len(seen)} of {len(prompts)} prompts, normalising needs 2 or more; "
                    + self.remedy(name)
                )
            parts[name] = replace(self.part(name), mean=seen.mean().item(), std=max(seen.std().item(), 1e-6))
        return replace(self, parts=parts)

    def remedy(self, name: str) -> str:
        if name in self.only:
            return "add prompts that its gate lets through"
        return 'add prompts that quote the wanted text, like: a red circle with "SALE"'

    def state(self) -> dict[str, dict[str, Any]]:
        """The parts as plain numbers, for a JSON file."""
        return {name: asdict(self.part(name)) for name in self.axes}

"""Several rewards as one: a panel of weighted, normalised, gated parts.

Normalisation matters more for back-propagation than for policy gradients: there a global scale cancels, here it acts
as a learning rate. So every part is a frozen z-score on images of the base model: a weight then means the same for
every reward, and multiplying one raw reward by 100 changes nothing.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from rewardkit.errors import UserError
from rewardkit.rewards.loaded import AnyReward, loaded, score_all, score_axes
from rewardkit.types import Images, Mask, Scalar, Scores

FLAT = 1e-6
"""Lower bound of a raw score's standard deviation in the division."""


@dataclass(frozen=True)
class Part:
    """The settings of one score in a panel."""

    weight: float = 1.0
    """Its weight relative to the other parts."""
    target: float = 2.0
    """The z-score above which it has no gradient: the loss is `relu(target - z)`, so low rewards dominate."""
    mean: float = 0.0
    """Mean of the raw score on the base model's own images (frozen)."""
    std: float = 1.0
    """Standard deviation of the raw score on the base model's own images (frozen)."""


@dataclass(frozen=True)
class Panel:
    """Weighted rewards: z-scored, gated by what the prompt asks for, each with a target (arXiv:2503.07703, 4.3.3)."""

    rewards: Sequence[AnyReward]
    parts: Mapping[str, Part] = field(default_factory=dict)
    """Keyed by score name (see `LoadedReward.axes`); a score without a part gets the default one."""
    device: torch.device | None = None
    """Device of the rewards, if it differs from that of the images; scores are moved back."""
    only: Mapping[str, Container[str]] = field(default_factory=dict)
    """Score name -> the prompts it applies to; default: all prompts that its axis applies to."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "rewards", tuple(map(loaded, self.rewards)))
        unknown = set(self.parts) - set(self.axes)
        if unknown:
            raise UserError(f"no reward of this panel is called {sorted(unknown)[0]!r}; it has {', '.join(self.axes)}")

    @property
    def axes(self) -> dict[str, str]:
        """Every score's name and axis."""
        return score_axes(self.rewards)

    def part(self, name: str) -> Part:
        return self.parts.get(name, Part())

    def raw(self, images: Images, prompts: Sequence[str]) -> dict[str, Scores]:
        if self.device is None:
            return score_all(self.rewards, images, prompts)
        scores = score_all(self.rewards, images.to(self.device), prompts)
        return {name: value.to(images.device) for name, value in scores.items()}

    def normalise(self, raw: Mapping[str, Scores]) -> dict[str, Scores]:
        """Convert raw scores to frozen z-scores."""
        return {name: (value - self.part(name).mean) / self.part(name).std for name, value in raw.items()}

    def gates(self, prompts: Sequence[str]) -> dict[str, Mask]:
        """Which prompts each score applies to."""
        gates = {name: mask for reward in self.rewards for name, mask in loaded(reward).gates(prompts).items()}
        return {name: gates[name] & self.chosen(name, prompts) for name in self.axes}

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
            parts[name] = replace(self.part(name), mean=seen.mean().item(), std=max(seen.std().item(), FLAT))
        return replace(self, parts=parts)

    @property
    def constant(self) -> list[str]:
        """The scores that were constant over all images that the panel was fitted on."""
        return [name for name in self.axes if self.part(name).std <= FLAT]

    def remedy(self, name: str) -> str:
        if name in self.only:
            return "add prompts that pass its gate"
        return 'add prompts that quote the wanted text, like: a red circle with "SALE"'

    def state(self) -> dict[str, dict[str, Any]]:
        """The parts as plain numbers, for a JSON file."""
        return {name: asdict(self.part(name)) for name in self.axes}

"""The trained rewards of a run: loaded by name, weighted, and normalised once on the base model's own images."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch

from refl.parts import GivenRewards
from rewardkit.diffusion.rollout import rollout
from rewardkit.diffusion.sampler import Sampler
from rewardkit.errors import UserError
from rewardkit.io.files import read_object, write_json
from rewardkit.rewards.gradients import reached
from rewardkit.rewards.panel import Panel, Part
from rewardkit.rewards.registry import load_rewards
from rewardkit.training.processes import ALONE, Processes
from rewardkit.types import Images, Scores

Setting = TypeVar("Setting")


def load_panel(
    given: GivenRewards,
    weights: Mapping[str, float],
    targets: Mapping[str, float],
    device: torch.device,
    *,
    differentiable: bool = True,
) -> Panel:
    """Load rewards, with weights and targets by score name or by axis.

    Raise `UserError` for a reward without a gradient, unless the objective compares images and needs none.
    """
    if not given:
        raise UserError("no reward given; name one or more, like: --rewards runs/rm colourfulness")
    rewards = load_rewards(given, device)
    blind = [reward.name for reward in rewards if not reward.differentiable]
    if blind and differentiable:
        raise UserError(
            f"reward {blind[0]!r} is not differentiable, and this objective needs its gradient; "
            "train on it with --objective nft, or pass it to --judges"
        )
    panel = Panel(rewards)
    weight, target = by_score(weights, panel, "weights"), by_score(targets, panel, "targets")
    parts = {
        name: Part(weight=weight.get(name, Part.weight), target=target.get(name, Part.target)) for name in panel.axes
    }
    return Panel(rewards, parts, device)


def by_score(settings: Mapping[str, Setting], panel: Panel, option: str) -> dict[str, Setting]:
    """Map settings to scores; an axis applies to every score on it, and a score's own name has precedence."""
    known = sorted({*panel.axes, *panel.axes.values()})
    for key in settings:
        if key not in known:
            raise UserError(f"{option}: no reward or axis is called {key!r}; this panel has {', '.join(known)}")
    axes = {name: settings[axis] for name, axis in panel.axes.items() if axis in settings}
    return axes | {name: settings[name] for name in panel.axes if name in settings}


def fit(
    panel: Panel, sampler: Sampler, prompts: Sequence[str], world: Processes = ALONE, *, descend: bool = True
) -> Panel:
    """Freeze every reward's z-score on images of the base for these prompts; each process generates a shard.

    Raises `UserError` for a reward in `descend` whose gradient is zero at all these images, as nothing can be learned.
    """
    flat = set(panel.axes) if descend else set()

    def ask(images: Images, texts: Sequence[str]) -> dict[str, Scores]:
        if flat:
            flat.difference_update(reached(panel, images, texts))
        return panel.raw(images, texts)

    raw = rollout(sampler, prompts, ask, world, progress=True)
    for name in sorted(set.intersection(*world.gather(flat))):
        raise UserError(
            f"the gradient of reward {name!r} is zero at all {len(prompts)} images of the base, so there is nothing to "
            "learn from it; look for a constant, a rounding or a bound in it, or train on it with --objective nft"
        )
    return panel.fit(raw, prompts)


def write(panel: Panel, path: Path) -> None:
    """Save weights, targets, means and standard deviations in the run folder."""
    write_json(path, panel.state())


def read(panel: Panel, path: Path) -> Panel:
    """Load the frozen means and standard deviations of an earlier start; weights and targets are the current ones."""
    state: Mapping[str, Mapping[str, float]] = read_object(path, "start in another folder")
    if set(state) != set(panel.axes):
        raise UserError(
            f"{path} is for {', '.join(state)}, but this run has {', '.join(panel.axes)}; "
            "resume with the same rewards, or start in another folder"
        )
    parts = {name: replace(panel.part(name), mean=state[name]["mean"], std=state[name]["std"]) for name in panel.axes}
    return replace(panel, parts=parts)

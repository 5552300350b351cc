"""`refl.train(...)`: a run of ReFL from Python, with parts by name or as objects."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from refl.command import train_parts
from refl.config import ReflConfig
from refl.parts import GUARD_PROMPTS, PROMPTS, GivenPrompts, GivenRewards, Parts
from rewardkit.commands.keywords import config_of
from rewardkit.diffusion.base import Base
from rewardkit.errors import UserError
from rewardkit.io.files import as_path
from rewardkit.rewards.loaded import loaded


def train(
    prompts: GivenPrompts,
    rewards: GivenRewards,
    out: Path | str,
    *,
    base: str | Path | Base = "seedling",
    judges: GivenRewards = (),
    guard_prompts: GivenPrompts | None = None,
    **options: Any,
) -> Path:
    """Fine-tune a LoRA on a base through rewards; return the folder of the LoRA.

    Prompts are a file or a list of texts; rewards and judges are names, folders or objects; the base is a name, a
    folder or an object, which has the LoRA afterwards. `options` are the fields of `ReflConfig` (docs/refl.md).
    Raises `UserError` for invalid input.
    """
    for name, given in (("rewards", rewards), ("judges", judges)):
        if isinstance(given, str | Path) or not isinstance(given, Sequence):
            raise UserError(f"{name} are a list of names or objects; got {given!r}, so write [{given!r}]")
    folder, base = as_path(out, "out"), str(base) if isinstance(base, Path) else base
    parts = Parts(prompts=prompts, rewards=rewards, judges=judges, guard_prompts=guard_prompts, base=base)
    named = {
        "prompts": place(prompts, folder / PROMPTS),
        "guard_prompts": None if guard_prompts is None else place(guard_prompts, folder / GUARD_PROMPTS),
        "rewards": tuple(map(called, rewards)),
        "judges": tuple(map(called, judges)),
        "base": base if isinstance(base, str) else type(base).__name__,
        "out": folder,
    }
    if isinstance(base, Base):
        named["device"] = str(next(base.denoiser.parameters()).device)
    train_parts(config_of("refl", ReflConfig, named | options), parts)
    return folder / "lora"


def place(prompts: GivenPrompts, kept: Path) -> Path:
    """The file that a run's config names: the prompts' file, or the file for a list."""
    return Path(prompts) if isinstance(prompts, str | Path) else kept


def called(reward: Any) -> str:
    """The name of a reward in a run's config."""
    return str(reward) if isinstance(reward, str | Path) else loaded(reward).name

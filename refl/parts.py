"""The parts of a run: named in its config, as by the command, or passed as objects, as by a notebook."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from refl.config import ReflConfig
from rewardkit.diffusion import lora
from rewardkit.diffusion.base import Base
from rewardkit.diffusion.load import load_base
from rewardkit.errors import UserError
from rewardkit.io.jsonl import write_rows
from rewardkit.prompts import Prompt, as_prompts
from rewardkit.rewards.loaded import AnyReward

GivenPrompts = Path | str | Sequence[str | Prompt]
GivenRewards = Sequence[str | Path | AnyReward]


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts of a run; each is loaded when needed, so that an error in the first is cheap."""

    prompts: GivenPrompts
    rewards: GivenRewards
    judges: GivenRewards = ()
    guard_prompts: GivenPrompts | None = None
    column: str | None = None
    base: str | Base = "seedling"

    @classmethod
    def named(cls, config: ReflConfig) -> "Parts":
        """The parts that a config names."""
        return cls(
            prompts=config.prompts,
            rewards=config.rewards,
            judges=config.judges,
            guard_prompts=config.guard_prompts,
            column=config.column,
            base=config.base,
        )

    def read(self) -> dict[str, list[Prompt]]:
        """All prompts by the name of their source, the training prompts first."""
        sources = [self.prompts, *([] if self.guard_prompts is None else [self.guard_prompts])]
        names = ["the list of prompts", "the list of held-out prompts"]
        return {
            str(source) if isinstance(source, str | Path) else name: as_prompts(source, self.column)
            for source, name in zip(sources, names, strict=False)
        }

    def load_base(self, device: torch.device, dtype: torch.dtype) -> Base:
        """The base; raise `UserError` for an object that is not a base, or that already has a LoRA."""
        if isinstance(self.base, str):
            return load_base(self.base, str(device), dtype)
        if not isinstance(self.base, Base):
            raise UserError(f"the base must be a name, a folder or what load_base returns; got {self.base!r}")
        if lora.named_parameters(self.base.denoiser):
            raise UserError("this base already has a LoRA; load it again, and pass that LoRA as `start` to continue")
        return self.base

    def keep(self, folder: Path) -> None:
        """Write a list of prompts to the file in the run folder that its config names."""
        for source, name in ((self.prompts, PROMPTS), (self.guard_prompts, GUARD_PROMPTS)):
            if source is not None and not isinstance(source, str | Path):
                write_rows(folder / name, [{**prompt.tags, "prompt": prompt.text} for prompt in as_prompts(source)])


PROMPTS, GUARD_PROMPTS = "prompts.jsonl", "guard_prompts.jsonl"
"""File for prompts that were passed as a list."""

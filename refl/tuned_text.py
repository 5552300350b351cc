"""Text encoders trained with the denoiser, as Seedream tunes its DiT and its LLM together (arXiv:2503.07703, 4.3).

Prompts are encoded again, with a graph, at every update; the base's own embeddings, which the KL penalty needs, never
change and are cached.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import nn

from rewardkit.diffusion.base import Base, TunableText
from rewardkit.diffusion.lora import reference
from rewardkit.errors import UserError
from rewardkit.types import Conditioning


def tunable(base: Base) -> TunableText:
    """The base, if its text encoders can have an adapter; else raise `UserError`."""
    if not isinstance(base, TunableText):
        raise UserError(
            f"{type(base).__name__} has no text encoder that stock diffusers or rewardkit loads an adapter for; leave "
            "--tune-text out"
        )
    return base


def encoders(base: Base, wanted: bool) -> Mapping[str, nn.Module]:
    """The text encoders to train, by their names in the pipeline; none if not requested."""
    return tunable(base).tunable_text_encoders if wanted else {}


@dataclass(frozen=True)
class LivePrompts:
    """Encodes prompts with the current encoders, with a graph."""

    base: TunableText

    def encode(self, prompts: Sequence[str], device: torch.device) -> Conditioning:
        return {name: value.to(device) for name, value in self.base.encode_with_graph(list(prompts)).items()}


@dataclass(frozen=True)
class OwnReading:
    """Encodes prompts with the original encoders of the base."""

    base: Base

    def encode(self, prompts: list[str]) -> Conditioning:
        with ExitStack() as stack:
            for encoder in tunable(self.base).tunable_text_encoders.values():
                stack.enter_context(reference(encoder))
            return self.base.encode(prompts)

"""What tests need of a tiny family: its base, and the images its stock pipeline generates with the same options."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from rewardkit.diffusion.base import Base
from rewardkit.diffusion.load import family
from rewardkit.diffusion.sampler import SamplingConfig, image_seed
from rewardkit.types import Images


def plain(pipeline: Any, scale: float, count: int) -> dict[str, Any]:
    """Guidance options of most pipelines."""
    return {"guidance_scale": scale}


def above_conditional(pipeline: Any, scale: float, count: int) -> dict[str, Any]:
    """Z-Image counts guidance from the conditional prediction."""
    return {"guidance_scale": scale - 1}


def negative(pipeline: Any, scale: float, count: int) -> dict[str, Any]:
    """Qwen-Image uses guidance if it has negative prompts."""
    return {"true_cfg_scale": scale, "negative_prompt": [""] * count if scale > 1 else None}


def guider(pipeline: Any, scale: float, count: int) -> dict[str, Any]:
    """HunyuanImage has a guider object."""
    pipeline.guider = type(pipeline.guider)(guidance_scale=scale)
    return {"negative_prompt": [""] * count}


@dataclass(frozen=True)
class TinyFamily:
    """How to build a tiny pipeline of a family, and the options with which it generates the images of its base."""

    build: Callable[[], Any]
    guide: Callable[[Any, float, int], dict[str, Any]] = plain
    """(pipeline, our scale, number of prompts) -> guidance options of the stock pipeline."""
    size: int = 16
    """Pixels."""
    options: dict[str, Any] = field(default_factory=dict)
    """Further options of the stock pipeline."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Attributes to set on the base."""

    def base(self, pipeline: Any = None) -> Base:
        """The base of a pipeline; default: a new one."""
        pipeline = pipeline or self.build()
        base = family("tiny", type(pipeline).__name__)(pipeline)
        base.image_size = self.size
        for name, value in self.settings.items():
            setattr(base, name, value)
        return base

    def stock(self, pipeline: Any, prompts: Sequence[str], config: SamplingConfig) -> Images:
        """Images of the stock pipeline, with a first-order solver if its own has a higher order."""
        scheduler = pipeline.scheduler
        if "solver_order" in scheduler.config:
            pipeline.scheduler = type(scheduler).from_config(scheduler.config, solver_order=1)
        images: Images = pipeline(
            list(prompts),
            num_inference_steps=config.steps,
            height=config.size or self.size,
            width=config.size or self.size,
            output_type="pt",
            generator=[torch.Generator().manual_seed(image_seed(config.seed, i)) for i in range(len(prompts))],
            **self.options,
            **self.guide(pipeline, config.guidance, len(prompts)),
        ).images
        pipeline.scheduler = scheduler
        return images

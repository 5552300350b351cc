"""Every family once: how to build it tiny, and how to ask its stock pipeline for the images we should draw."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

from rewardkit.diffusion.base import Base
from rewardkit.diffusion.families.family import DiffusersBase
from rewardkit.diffusion.families.flux import FluxBase
from rewardkit.diffusion.families.hunyuan_image import HunyuanImageBase
from rewardkit.diffusion.families.lumina2 import Lumina2Base
from rewardkit.diffusion.families.pixart_sigma import PixArtSigmaBase
from rewardkit.diffusion.families.qwen_image import QwenImageBase
from rewardkit.diffusion.families.sana import SanaBase
from rewardkit.diffusion.families.sd3 import StableDiffusion3Base
from rewardkit.diffusion.families.z_image import ZImageBase
from rewardkit.diffusion.sampler import image_seed
from rewardkit.diffusion.tiny import language, pipelines

PROMPTS = ['a red circle, "SALE"', "a blue square beside it"]
INSTRUCTION = ["Better words:"]


@dataclass(frozen=True)
class Family:
    """One row of the tests."""

    build: Callable[[], Any]
    adapter: type[DiffusersBase]
    guide: Callable[[Any, float], dict[str, Any]]
    """Options that make the stock pipeline guide by our scale."""
    size: int = 16
    options: dict[str, Any] = field(default_factory=dict)

    def base(self, pipeline: Any = None) -> Base:
        base = self.adapter(pipeline or self.build())
        if isinstance(base, SanaBase):
            base.instruction = INSTRUCTION  # the stock one is 3,000 bytes long
        return base

    def stock(self, pipeline: Any, *, steps: int, seed: int, guidance: float, size: int | None = None) -> Tensor:
        """What the stock pipeline draws, with a first-order solver where its own is of a higher one."""
        scheduler = pipeline.scheduler
        if "solver_order" in scheduler.config:
            pipeline.scheduler = type(scheduler).from_config(scheduler.config, solver_order=1)
        side = size or self.size
        images: Tensor = pipeline(
            list(PROMPTS), num_inference_steps=steps, height=side, width=side, output_type="pt",
            generator=[torch.Generator().manual_seed(image_seed(seed, i)) for i in range(len(PROMPTS))],
            **self.options, **self.guide(pipeline, guidance),
        ).images  # fmt: skip
        pipeline.scheduler = scheduler
        return images


def plain(pipeline: Any, scale: float) -> dict[str, Any]:
    return {"guidance_scale": scale}


def qwen(pipeline: Any, scale: float) -> dict[str, Any]:
    return {"true_cfg_scale": scale, "negative_prompt": [""] * len(PROMPTS) if scale > 1 else None}


def above_conditional(pipeline: Any, scale: float) -> dict[str, Any]:
    return {"guidance_scale": scale - 1}


def guider(pipeline: Any, scale: float) -> dict[str, Any]:
    pipeline.guider = type(pipeline.guider)(guidance_scale=scale)
    return {"negative_prompt": [""] * len(PROMPTS)}


UNBINNED = {"use_resolution_binning": False, "clean_caption": False}
FAMILIES = {
    "sd3": Family(pipelines.tiny_sd3, StableDiffusion3Base, plain),
    "flux": Family(pipelines.tiny_flux, FluxBase, plain),
    "qwen_image": Family(language.tiny_qwen_image, QwenImageBase, qwen),
    "z_image": Family(language.tiny_z_image, ZImageBase, above_conditional),
    "sana": Family(
        language.tiny_sana, SanaBase, plain, size=32,
        options={**UNBINNED, "complex_human_instruction": INSTRUCTION},
    ),
    "pixart_sigma": Family(language.tiny_pixart_sigma, PixArtSigmaBase, plain, options=UNBINNED),
    "lumina2": Family(language.tiny_lumina2, Lumina2Base, plain, size=32),
    "hunyuan_image": Family(language.tiny_hunyuan_image, HunyuanImageBase, guider),
}  # fmt: skip


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> Family:
    return FAMILIES[request.param]


@pytest.fixture
def prompts() -> list[str]:
    return list(PROMPTS)

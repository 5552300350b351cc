"""`rewardkit seedling`: rebuild the built-in base from scratch, with recorded seeds and figures.

Four parts are trained one after the other: the VAE, the diffusion transformer with its text encoders, the CLIP, and the
language model of the rewriter. Finished parts are not trained again, and a part that was stopped resumes from its last
checkpoint, so the command can be stopped and started at any time.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from rewardkit.images import grid, save_image
from rewardkit.io.files import write_json
from rewardkit.seedling.pipeline import SeedlingPipeline
from rewardkit.seedling.vae import SeedlingVAE
from rewardkit.training.device import pick_device
from rewardkit.training.once import Once
from rewardkit.training.tracker import installed
from rewardkit.training.versions import versions
from rewardkit.workflows.seedling.config import SeedlingConfig
from rewardkit.workflows.seedling.data import PosterSet
from rewardkit.workflows.seedling.part import PartConfig
from rewardkit.workflows.seedling.train_base import train_base
from rewardkit.workflows.seedling.train_clip import FAMILY, train_clip
from rewardkit.workflows.seedling.train_rewriter import train_rewriter
from rewardkit.workflows.seedling.train_vae import train_vae

SHOWN = (
    'A poster with a large red circle on the left, on a navy background, in vivid colours, with the text "SALE".',
    'A small blue star on the right of a poster, muted colours, white background, with the text "OPEN".',
    'A poster with a large green square on the centre, on a mint background, in vivid colours, with the text "42".',
    'A large yellow triangle on the right of a poster, vivid colours, grey background, with the text "MOON".',
    'red circle "JAZZ"',
    "海报左边有一个大紫色星星，白色背景，色彩鲜艳，文字是“TEA”。",
    '남색 배경의 포스터, 오른쪽에 작은 주황 사각형, 선명한 색감, 글자 "FILM".',
    'A large purple circle on the centre of a poster, vivid colours, white background, with the text "PIZZA".',
)
"""Prompts of the sample grids."""


def train(config: SeedlingConfig) -> None:
    """Train every part of the built-in base."""
    installed(config.tracker)
    weights, device = config.out / "weights", pick_device(config.device)
    posters = PosterSet.render(config.posters, config.seed + 1)
    steps = Once(config.out / "figures.json")

    def vae(part: PartConfig) -> dict[str, float]:
        trained = train_vae(posters, part)
        trained.save_pretrained(part.out / "model")
        return {"mean_absolute_error": reconstruction_error(trained, posters, device)}

    def base(part: PartConfig) -> dict[str, float]:
        decoder = SeedlingVAE.from_pretrained(config.out / "vae" / "model").eval().requires_grad_(False).to(device)
        pipeline = train_base(
            decoder,
            posters,
            part,
            lambda step, so_far: draw_grid(so_far, part.out / "samples" / f"step_{step:06d}.png"),
        )
        pipeline.to(torch.bfloat16).save_pretrained(weights / "base")
        return {}

    def clip(part: PartConfig) -> dict[str, float]:
        families = PosterSet.render(config.posters, config.seed + 1, family=FAMILY)
        return {"letters_read": train_clip(families, weights / "clip", part)}

    def rewriter(part: PartConfig) -> dict[str, float]:
        return {"loss": train_rewriter(weights / "rewriter", part)}

    for work, part in zip((vae, base, clip, rewriter), parts(config), strict=True):
        steps.step(part.out.name, f"{part.out.name}: {part}", partial(with_versions, work, part))
    write_json(weights / "figures.json", steps.done)
    print(f"weights in {weights}")


def with_versions(work: Callable[[PartConfig], dict[str, float]], part: PartConfig) -> dict[str, Any]:
    """The results of a part, and the environment it ran in."""
    return {**work(part), "versions": versions()}


def parts(config: SeedlingConfig) -> tuple[PartConfig, ...]:
    """How each part is trained, in order."""
    shared: dict[str, Any] = {"seed": config.seed, "device": str(pick_device(config.device)), "tracker": config.tracker}
    size, posters, out = config.batch_size, config.posters, config.out
    return (
        PartConfig(out=out / "vae", updates=config.vae_updates, batch_size=size, posters=posters, **shared),
        PartConfig(out=out / "base", updates=config.base_updates, batch_size=size, posters=posters, **shared),
        PartConfig(out=out / "clip", updates=config.clip_updates, batch_size=2 * size, posters=posters, **shared),
        PartConfig(out=out / "rewriter", updates=config.rewriter_updates, batch_size=size, **shared),
    )


@torch.no_grad()
def reconstruction_error(vae: SeedlingVAE, posters: PosterSet, device: torch.device) -> float:
    """Mean absolute error of the VAE on 256 posters, in units of [0, 1]."""
    images = posters.images(torch.arange(min(256, len(posters.pixels)))).to(device)
    return ((vae(images * 2 - 1) + 1) / 2 - images).abs().mean().item()


def draw_grid(pipeline: SeedlingPipeline, path: Path) -> None:
    """Generate the sample grid, always from the same prompts and noise."""
    pipeline.set_progress_bar_config(disable=True)
    noise = torch.Generator().manual_seed(0)
    images: Any = pipeline(list(SHOWN), generator=noise, output_type="pt", return_dict=False)[0]
    save_image(grid(images, columns=4), path)

"""`rewardkit seedling`: rebuild the built-in base from nothing, with recorded seeds and figures.

Four parts learn one after the other: the VAE, the diffusion transformer with its text encoders, the CLIP, and the
language model of the rewriter. A part that is done is not done again, and the longest of them goes on from its last
checkpoint, so the command can be stopped and started at will.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from rewardkit.images import grid, save_image
from rewardkit.io.files import read_object, write_json
from rewardkit.seedling.pipeline import SeedlingPipeline
from rewardkit.seedling.vae import SeedlingVAE
from rewardkit.training.versions import versions
from rewardkit.workflows.seedling.config import SeedlingConfig
from rewardkit.workflows.seedling.data import PosterSet
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
    weights, device = config.out / "weights", torch.device(config.device)
    posters = PosterSet.render(config.posters, config.seed + 1)
    figures = Figures(config.out / "figures.json")

    def vae() -> dict[str, float]:
        trained = train_vae(posters, config.vae_updates, config.batch_size, config.seed, device)
        trained.save_pretrained(config.out / "vae")
        return {"mean_absolute_error": reconstruction_error(trained, posters, device)}

    def base() -> dict[str, float]:
        decoder = SeedlingVAE.from_pretrained(config.out / "vae").eval().requires_grad_(False).to(device)
        pipeline = train_base(
            decoder, posters, config.base_updates, config.batch_size, config.seed, device,
            each=lambda step, so_far: draw_grid(so_far, config.out / f"samples_{step:06d}.png"),
            checkpoint=config.out / "base.pt",
        )  # fmt: skip
        pipeline.to(torch.bfloat16).save_pretrained(weights / "base")
        return {}

    def clip() -> dict[str, float]:
        families = PosterSet.render(config.posters, config.seed + 1, family=FAMILY)
        return {"letters_read": train_clip(
            families, weights / "clip", config.clip_updates, 2 * config.batch_size, config.seed, device
        )}  # fmt: skip

    def rewriter() -> dict[str, float]:
        return {"loss": train_rewriter(
            weights / "rewriter", config.rewriter_updates, config.batch_size, config.seed, device
        )}  # fmt: skip

    for name, steps, work in (
        ("vae", config.vae_updates, vae),
        ("base", config.base_updates, base),
        ("clip", config.clip_updates, clip),
        ("rewriter", config.rewriter_updates, rewriter),
    ):
        figures.once(name, {"steps": steps, "seed": config.seed, "device": config.device}, work)
    write_json(weights / "figures.json", figures.parts)
    print(f"weights in {weights}")


class Figures:
    """What each part took and reached, kept in a file so that a part is trained once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.parts: dict[str, Any] = read_object(path, "delete it to train all parts anew") if path.is_file() else {}

    def once(self, name: str, settings: dict[str, Any], work: Callable[[], dict[str, float]]) -> None:
        """Do the work unless its figures are there."""
        if name in self.parts:
            return
        began = time.monotonic()
        reached = work()
        taken = {"seconds": round(time.monotonic() - began), "versions": versions()}
        self.parts[name] = settings | taken | reached
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self.path, self.parts)


@torch.no_grad()
def reconstruction_error(vae: SeedlingVAE, posters: PosterSet, device: torch.device) -> float:
    """Mean absolute error of the VAE on 256 posters, in units of [0, 1]."""
    images = posters.images(torch.arange(min(256, len(posters.pixels)))).to(device)
    return ((vae(images * 2 - 1) + 1) / 2 - images).abs().mean().item()


def draw_grid(pipeline: SeedlingPipeline, path: Path) -> None:
    """Draw the same prompts from the same noise as ever."""
    pipeline.set_progress_bar_config(disable=True)
    noise = torch.Generator().manual_seed(0)
    images: Any = pipeline(list(SHOWN), generator=noise, output_type="pt", return_dict=False)[0]
    save_image(grid(images, columns=4), path)

"""The weights that ship: small, safe, and able to do what the rest of the toolkit needs of them."""

import json

import pytest
import torch

from rewardkit.diffusion.load import load_base
from rewardkit.diffusion.sampler import generate_images
from rewardkit.encoders import load_encoder
from rewardkit.posters.captions import long_caption
from rewardkit.posters.judge import PostersAlignment, PostersText
from rewardkit.posters.scene import random_scene
from rewardkit.seedling import WEIGHTS
from rewardkit.types import Images

LIMIT = 40 * 2**20


@pytest.fixture(scope="module")
def prompts() -> list[str]:
    generator = torch.Generator().manual_seed(11)
    return [long_caption(random_scene(generator, text_share=1.0), "en", generator) for _ in range(32)]


@pytest.fixture(scope="module")
def images(prompts: list[str]) -> Images:
    return generate_images(load_base("seedling"), prompts, steps=10, seed=5)


def test_they_are_small_and_hold_no_pickle() -> None:
    files = [path for path in WEIGHTS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= LIMIT
    assert {path.suffix for path in files} <= {".safetensors", ".json", ".jinja"}


def test_they_say_where_they_come_from() -> None:
    figures = json.loads((WEIGHTS / "figures.json").read_text())
    for part in ("vae", "base", "clip", "rewriter"):
        assert {"seed", "steps", "seconds", "versions"} <= figures[part].keys()


def test_the_base_draws_what_is_asked_and_misspells(prompts: list[str], images: Images) -> None:
    """Recognisable (far above the 0.3 of chance), and imperfect at text: that is what reward learning is to mend."""
    assert PostersAlignment().score(images, prompts).mean() > 0.6
    assert 0.2 < PostersText().score(images, prompts).mean() < 0.9


def test_it_draws_at_another_resolution(prompts: list[str]) -> None:
    """Scaled RoPE keeps the layout: at 96 px the poster still shows what was asked, at least in part."""
    images = generate_images(load_base("seedling"), prompts[:16], steps=10, seed=5, size=96)
    assert images.shape[-2:] == (96, 96)
    assert PostersAlignment().score(images, prompts[:16]).mean() > 0.4


def test_the_clip_knows_images_from_their_captions(prompts: list[str], images: Images) -> None:
    """A generated poster is nearer to its own caption than to most others."""
    encoder = load_encoder("seedling")
    with torch.no_grad():
        similarity = encoder.image(images).pooled @ encoder.text(prompts).T
    beaten = (similarity.diagonal()[:, None] > similarity).float().sum(1) / (len(prompts) - 1)
    assert beaten.mean() > 0.8

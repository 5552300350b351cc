"""Every family through our verbs: the stock pipeline's images, and folders that load by their class name."""

from pathlib import Path
from typing import Any

import pytest
import torch

from rewardkit.diffusion.load import FAMILIES, load_base
from rewardkit.diffusion.sampler import SamplingConfig, generate_images
from rewardkit.diffusion.sampling import concatenate
from rewardkit.diffusion.tiny.families import TINY, shorten


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_it_draws_what_the_stock_pipeline_draws(family: Any, prompts: list[str], guidance: float) -> None:
    pipeline = family.build()
    pipeline.set_progress_bar_config(disable=True)
    base = family.base(pipeline)
    ours = generate_images(base, prompts, steps=3, guidance=guidance, seed=3, size=family.size)
    stock = family.stock(pipeline, prompts, SamplingConfig(3, guidance, seed=3))
    torch.testing.assert_close(ours, stock, atol=2e-5, rtol=0)
    assert ours.std() > 0.01
    assert (ours[0] - ours[1]).abs().max() > 0.01
    if guidance > 1:
        plain = generate_images(base, prompts, steps=3, guidance=1.0, seed=3, size=family.size)
        assert (ours - plain).abs().max() > 1e-5


def test_at_another_size_too(family: Any, prompts: list[str]) -> None:
    """The shift of noise levels by size, and positions, follow."""
    pipeline = family.build()
    pipeline.set_progress_bar_config(disable=True)
    side = 2 * family.size
    ours = generate_images(family.base(pipeline), prompts, steps=2, seed=5, size=side)
    assert ours.shape == (2, 3, side, side)
    stock = family.stock(pipeline, prompts, SamplingConfig(2, seed=5, size=side))
    torch.testing.assert_close(ours, stock, atol=2e-5, rtol=0)


def test_prompts_read_one_by_one_say_the_same_as_a_batch(family: Any, prompts: list[str]) -> None:
    base = family.base()
    noise = base.noise(2, torch.Generator().manual_seed(0), family.size)
    sigma = torch.tensor([0.9, 0.3])
    batch, rows = base.encode(prompts), concatenate([base.encode([prompt]) for prompt in prompts])
    with torch.no_grad():
        torch.testing.assert_close(
            base.velocity(noise, sigma, rows), base.velocity(noise, sigma, batch), atol=1e-5, rtol=1e-4
        )


def test_the_shapes_for_a_plan_are_those_of_what_is_read(family: Any, prompts: list[str]) -> None:
    base = family.base()
    read = base.encode(prompts[:1])
    tokens = int(read["mask"].sum()) if "mask" in read else 0
    shapes = base.text_shapes(tokens)
    assert shapes.keys() == read.keys()
    for name, value in read.items():
        length, *rest = shapes[name]
        assert value.shape[2:] == tuple(rest)
        assert length == value.shape[1] or length == tokens < value.shape[1] == 256  # Lumina takes its padding off
        assert (value.dtype == torch.bool) == name.endswith("mask")


def test_a_base_is_built_of_its_networks_alone(family: Any) -> None:
    whole = family.base()
    base = type(whole).of_parts(whole.parts)
    assert base.parts.keys() == whole.parts.keys() <= set(base.part_names())
    assert base.parts.keys() - base.text_encoders.keys() == {"transformer", "vae"}
    assert base.sigmas(2, family.size).shape == (3,)


def test_every_family_is_tested() -> None:
    assert {type(each.build()).__name__ for each in TINY.values()} == FAMILIES.keys() - {"SeedlingPipeline"}


def test_noise_levels_fall_to_zero(family: Any) -> None:
    sigmas = family.base().sigmas(5, family.size)
    assert sigmas.shape == (6,)
    assert 0.99 < sigmas[0] <= 1
    assert sigmas[-1] == 0
    assert (sigmas.diff() < 0).all()


def test_a_saved_folder_loads_by_its_class_name(family: Any, tmp_path: Path) -> None:
    pipeline = family.build()
    pipeline.save_pretrained(tmp_path)
    base: Any = load_base(str(tmp_path), dtype=torch.bfloat16)
    assert type(base.pipeline) is type(pipeline) is base.pipeline_class
    assert FAMILIES[type(pipeline).__name__].endswith(f":{type(base).__name__}")
    assert next(base.denoiser.parameters()).dtype == torch.bfloat16
    assert not any(parameter.requires_grad for parameter in base.denoiser.parameters())
    noise = base.noise(1, torch.Generator(), family.size)
    if hasattr(base.pipeline, "prompt_template_encode"):
        shorten(base.pipeline)
    conditioning = family.base(base.pipeline).encode(["a"])
    predicted = base.velocity(noise, torch.full((1,), 0.5), conditioning)
    assert predicted.dtype == torch.float32
    images = base.decode(noise - 0.5 * predicted.detach())
    assert images.dtype == torch.float32
    assert images.isfinite().all()

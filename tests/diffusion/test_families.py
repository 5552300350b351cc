"""Loading a base, and what FLUX and the range of pixels need of their own; every family is in `test_stock`."""

import json
from pathlib import Path

import pytest
import torch

from rewardkit.diffusion.families.flux import FluxBase, pack, unpack
from rewardkit.diffusion.families.sd3 import StableDiffusion3Base
from rewardkit.diffusion.latent import to_unit_range
from rewardkit.diffusion.load import load_base
from rewardkit.diffusion.sampler import generate_images, image_seed
from rewardkit.diffusion.tiny.pipelines import tiny_flux, tiny_sd3
from rewardkit.errors import UserError

PROMPTS = ['a red circle, "SALE"', "a blue square", ""]


def test_flux_without_a_guidance_input_draws_what_the_stock_pipeline_draws() -> None:
    pipeline = tiny_flux(guidance_embeds=False)
    pipeline.set_progress_bar_config(disable=True)
    ours = generate_images(FluxBase(pipeline), PROMPTS, steps=3, guidance=3.5, seed=1, size=16)
    generators = [torch.Generator().manual_seed(image_seed(1, i)) for i in range(len(PROMPTS))]
    stock = pipeline(
        PROMPTS,
        num_inference_steps=3,
        guidance_scale=3.5,
        generator=generators,
        height=16,
        width=16,
        output_type="pt",
    ).images
    torch.testing.assert_close(ours, stock, atol=1e-5, rtol=0)


def test_guidance_changes_what_flux_draws() -> None:
    base = FluxBase(tiny_flux())
    low, high = (generate_images(base, ["a"], steps=2, guidance=scale) for scale in (1.0, 30.0))
    assert (low - high).abs().max() > 1e-5


def test_packing_is_a_round_trip() -> None:
    latents = torch.randn(2, 4, 6, 8)
    torch.testing.assert_close(unpack(pack(latents), 6, 8), latents)


def test_an_unknown_family_lists_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "KolorsPipeline"}))
    with pytest.raises(UserError, match=r"KolorsPipeline.*StableDiffusion3Pipeline"):
        load_base(str(tmp_path))


def test_a_folder_without_a_pipeline_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"model_index\.json"):
        load_base(str(tmp_path))


def test_a_size_the_patches_do_not_cover_is_refused() -> None:
    with pytest.raises(UserError, match="multiple of 4"):
        StableDiffusion3Base(tiny_sd3()).noise(1, torch.Generator(), 18)


def test_gradients_reach_pixels_outside_the_range_only_to_bring_them_back() -> None:
    pixels = torch.tensor([-0.5, -0.5, 0.5, 1.5, 1.5], requires_grad=True)
    push = torch.tensor([1.0, -1.0, 1.0, 1.0, -1.0])
    out = to_unit_range(pixels.view(1, 1, 1, 5).expand(1, 3, 1, 5))
    (out[:, 0] * push).sum().backward()
    assert out.min() == 0
    assert out.max() == 1
    # Descent subtracts the gradient: below 0 only -1 (rise) may pass, above 1 only +1 (fall).
    assert pixels.grad.tolist() == [0, -1, 1, 1, 0]

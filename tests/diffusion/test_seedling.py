"""The built-in base through our verbs: what its own pipeline draws, and a LoRA that its pipeline loads."""

from pathlib import Path

import pytest
import torch

from rewardkit.diffusion import lora
from rewardkit.diffusion.families.seedling import SeedlingBase
from rewardkit.diffusion.load import load_base
from rewardkit.diffusion.sampler import generate_images, image_seed
from rewardkit.seedling.tiny import tiny_pipeline

PROMPTS = ['red circle "SALE"', "blue square", ""]


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_it_draws_what_its_pipeline_draws(guidance: float) -> None:
    pipeline = tiny_pipeline()
    pipeline.set_progress_bar_config(disable=True)
    ours = generate_images(SeedlingBase(pipeline), PROMPTS, steps=3, guidance=guidance, seed=3)
    generators = [torch.Generator().manual_seed(image_seed(3, i)) for i in range(len(PROMPTS))]
    stock = pipeline(
        PROMPTS, num_inference_steps=3, guidance_scale=guidance, generator=generators, output_type="pt"
    ).images
    torch.testing.assert_close(ours, stock, atol=1e-5, rtol=0)


def test_a_saved_folder_loads_and_its_lora_too(tmp_path: Path) -> None:
    pipeline = tiny_pipeline()
    pipeline.save_pretrained(tmp_path / "base")
    base = load_base(str(tmp_path / "base"))
    adapter = lora.attach(base.denoiser, rank=2, alpha=4.0, targets=base.lora_targets, generator=torch.Generator())
    for parameter in adapter.values():
        parameter.data.add_(0.2)
    tuned = generate_images(base, PROMPTS, steps=2)
    lora.save(base.denoiser, tmp_path / "lora")
    pipeline.load_lora_weights(str(tmp_path / "lora"))
    torch.testing.assert_close(generate_images(SeedlingBase(pipeline), PROMPTS, steps=2), tuned, atol=1e-6, rtol=0)


def test_gradients_reach_the_adapter_through_the_decoder() -> None:
    base = SeedlingBase(tiny_pipeline())
    adapter = lora.attach(base.denoiser, rank=2, alpha=2.0, targets=base.lora_targets, generator=torch.Generator())
    noise = base.noise(2, torch.Generator())
    predicted = base.velocity(noise, torch.full((2,), 0.5), base.encode(PROMPTS[:2]))
    base.decode(noise - 0.5 * predicted).mean().backward()
    assert {name for name, parameter in base.denoiser.named_parameters() if parameter.grad is not None} <= set(adapter)
    assert any(p.grad is not None for p in adapter.values())


def test_image_latents_decode_to_what_the_autoencoder_makes_of_an_image() -> None:
    base = SeedlingBase(tiny_pipeline())
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = (base.pipeline.vae(2 * images - 1) / 2 + 0.5).clamp(0, 1)
        torch.testing.assert_close(base.decode(base.image_latents(images)), wanted, atol=1e-5, rtol=0)

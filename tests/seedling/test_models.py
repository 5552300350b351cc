"""The transformer, the VAE and the pipeline, with random weights."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig

from rewardkit.seedling import SeedlingPipeline
from rewardkit.seedling.tiny import tiny_pipeline
from rewardkit.seedling.transformer import patchify, unpatchify

PROMPTS = ['a red circle "SALE"', "a long caption of a poster with a small blue star on the right"]


@pytest.fixture(scope="module")
def pipeline() -> SeedlingPipeline:
    made = tiny_pipeline()
    made.set_progress_bar_config(disable=True)
    return made


def draw(pipeline: SeedlingPipeline, **options: Any) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    images: torch.Tensor = pipeline(
        PROMPTS, num_inference_steps=3, generator=generator, output_type="pt", **options
    ).images
    return images


def test_patches_come_back() -> None:
    latents = torch.randn(2, 4, 8, 12)
    assert torch.equal(unpatchify(patchify(latents, 2), 2, 4, 6), latents)


def test_a_prompt_does_not_see_the_padding_of_its_neighbours(pipeline: SeedlingPipeline) -> None:
    """A short prompt gives the same velocity alone as beside a longer one."""
    latents, sigma = torch.randn(2, 4, 8, 8), torch.tensor([0.3, 0.8])
    with torch.no_grad():
        both = pipeline.transformer(latents, sigma, **pipeline.encode_prompt(PROMPTS), return_dict=False)[0]
        alone = pipeline.transformer(latents[:1], sigma[:1], **pipeline.encode_prompt(PROMPTS[:1]), return_dict=False)[
            0
        ]
    torch.testing.assert_close(both[:1], alone, atol=1e-5, rtol=1e-4)


def test_the_velocity_depends_on_every_input(pipeline: SeedlingPipeline) -> None:
    latents, sigma = torch.randn(1, 4, 8, 8), torch.tensor([0.5])

    def velocity(prompt: str, latents: torch.Tensor = latents, sigma: torch.Tensor = sigma) -> torch.Tensor:
        with torch.no_grad():
            out: torch.Tensor = pipeline.transformer(
                latents, sigma, **pipeline.encode_prompt([prompt]), return_dict=False
            )[0]
        return out

    first = velocity('a star "SALE"')
    assert (first - velocity('a star "MILK"')).abs().max() > 1e-4
    assert (first - velocity('a moon "SALE"')).abs().max() > 1e-4
    assert (first - velocity('a star "SALE"', sigma=sigma / 2)).abs().max() > 1e-4
    assert (first - velocity('a star "SALE"', latents=latents + 1)).abs().max() > 1e-4


def test_gradient_checkpointing_changes_nothing(pipeline: SeedlingPipeline) -> None:
    conditioning = {name: value.detach() for name, value in pipeline.encode_prompt(PROMPTS).items()}
    latents, sigma = torch.randn(2, 4, 8, 8), torch.tensor([0.3, 0.8])
    gradients = []
    for enable in (False, True):
        (pipeline.transformer.enable_gradient_checkpointing if enable else lambda: None)()
        pipeline.transformer.zero_grad()
        pipeline.transformer(latents, sigma, **conditioning, return_dict=False)[0].square().mean().backward()
        gradients.append([p.grad.clone() for p in pipeline.transformer.parameters() if p.grad is not None])
    pipeline.transformer.disable_gradient_checkpointing()
    pipeline.transformer.zero_grad()
    for plain, checkpointed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, checkpointed)


@pytest.mark.parametrize("side", [32, 48, 64])
def test_it_samples_at_other_resolutions(pipeline: SeedlingPipeline, side: int) -> None:
    images = draw(pipeline, height=side, width=side + 16)
    assert images.shape == (2, 3, side, side + 16)
    assert torch.isfinite(images).all()


def test_a_side_that_does_not_fit_is_named(pipeline: SeedlingPipeline) -> None:
    with pytest.raises(ValueError, match="multiples of 8 pixels; got 30"):
        draw(pipeline, height=30)


def test_guidance_of_one_is_none_and_more_moves_away_from_the_empty_prompt(pipeline: SeedlingPipeline) -> None:
    assert torch.equal(draw(pipeline), draw(pipeline, guidance_scale=1.0))
    assert not torch.equal(draw(pipeline), draw(pipeline, guidance_scale=3.0))


def test_a_saved_pipeline_draws_the_same(pipeline: SeedlingPipeline, tmp_path: Path) -> None:
    pipeline.save_pretrained(tmp_path)
    again = SeedlingPipeline.from_pretrained(tmp_path)
    again.set_progress_bar_config(disable=True)
    assert torch.equal(draw(pipeline), draw(again))


def test_stock_diffusers_calls_load_a_lora(tmp_path: Path) -> None:
    """`save_lora_adapter` on the transformer, `load_lora_weights` on a fresh pipeline: the same image."""
    tuned, fresh = tiny_pipeline(), tiny_pipeline()
    for one in (tuned, fresh):
        one.set_progress_bar_config(disable=True)
    tuned.transformer.add_adapter(
        LoraConfig(r=2, lora_alpha=2, target_modules=["to_q", "to_v"], init_lora_weights=False)
    )
    tuned.save_lora_weights(tmp_path, transformer_lora_layers={n: p for n, p in _lora_state(tuned.transformer).items()})
    before = draw(fresh)
    fresh.load_lora_weights(tmp_path)
    assert torch.equal(draw(fresh), draw(tuned))
    assert not torch.equal(draw(fresh), before)


def _lora_state(transformer: torch.nn.Module) -> dict[str, torch.Tensor]:
    from peft import get_peft_model_state_dict

    state: dict[str, torch.Tensor] = get_peft_model_state_dict(transformer)
    return state


def test_vae_latents_are_standardised_and_restored(pipeline: SeedlingPipeline) -> None:
    vae = tiny_pipeline().vae
    vae.register_to_config(latents_mean=[1.0, 2.0, 3.0, 4.0], latents_std=[2.0, 2.0, 4.0, 4.0])
    z = torch.randn(1, 4, 2, 2)
    torch.testing.assert_close(vae.standardise(z)[0, 2], (z[0, 2] - 3) / 4)
    torch.testing.assert_close(vae.restore(vae.standardise(z)), z)

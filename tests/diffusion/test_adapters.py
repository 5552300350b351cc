"""Every family under a LoRA: only it learns, its file loads in stock diffusers, and checkpointing changes nothing."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.loaders import PeftAdapterMixin
from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict
from safetensors.torch import load_file
from torch import Tensor, nn

from rewardkit.diffusion import lora
from rewardkit.diffusion.base import Base
from rewardkit.diffusion.checkpointing import checkpoint_blocks, decode_by_image, save_memory
from rewardkit.diffusion.families.qwen_image import QwenImageBase
from rewardkit.diffusion.families.sana import SanaBase
from rewardkit.diffusion.load_lora import load_loras
from rewardkit.diffusion.lora_file import WEIGHTS_NAME
from rewardkit.diffusion.sampler import generate_images
from rewardkit.diffusion.sampling import clean, guided
from rewardkit.errors import UserError


def attach(base: Base, std: float = 0.2) -> dict[str, nn.Parameter]:
    """A LoRA away from the identity."""
    generator = torch.Generator().manual_seed(0)
    adapter = lora.attach(base.denoiser, rank=2, alpha=4.0, targets=base.lora_targets, generator=generator)
    for parameter in adapter.values():
        parameter.data.add_(std * torch.randn(parameter.shape, generator=generator))
    return adapter


def image(base: Base, prompts: list[str], size: int) -> Tensor:
    """One late step with its graph, under guidance, decoded: what ReFL differentiates."""
    noise = base.noise(len(prompts), torch.Generator().manual_seed(1), size)
    sigma = torch.full((len(prompts),), 0.4)
    predicted = guided(base, base.encode(prompts), base.encode([""]), 3.0)(noise, sigma)
    return base.decode(clean(noise, sigma, predicted))


def test_gradients_reach_the_adapter_and_nothing_else(family: Any, prompts: list[str]) -> None:
    base = family.base()
    adapter = attach(base)
    image(base, prompts, family.size).square().mean().backward()
    touched = {name for name, parameter in base.denoiser.named_parameters() if parameter.grad is not None}
    assert touched <= set(adapter)
    alive = {name for name, parameter in adapter.items() if parameter.grad is not None and parameter.grad.any()}
    assert len(alive) > 0.7 * len(adapter)
    others = [part for name, part in base.pipeline.components.items() if isinstance(part, nn.Module)]
    assert sum(parameter.grad is not None for part in others for parameter in part.parameters()) == len(touched)


def load_stock(pipeline: Any, folder: Path) -> None:
    """As the docs say a user of stock diffusers does."""
    if hasattr(pipeline, "load_lora_weights"):
        pipeline.load_lora_weights(str(folder))
    elif isinstance(pipeline.transformer, PeftAdapterMixin):
        pipeline.transformer.load_lora_adapter(str(folder), prefix="transformer", weight_name=WEIGHTS_NAME)
    else:
        weights = load_file(folder / WEIGHTS_NAME)
        config = LoraConfig(r=2, lora_alpha=4.0, target_modules=["to_q", "to_k", "to_v", "to_out.0"])
        inject_adapter_in_model(config, pipeline.transformer)
        plain = {name.removeprefix("transformer."): value for name, value in weights.items()}
        conditioning = set_peft_model_state_dict(pipeline.transformer, plain)
        assert not conditioning.unexpected_keys


@pytest.mark.parametrize("how", ["stock", "ours"])
def test_a_saved_lora_draws_the_same_to_the_bit(family: Any, prompts: list[str], tmp_path: Path, how: str) -> None:
    base = family.base()
    before = generate_images(base, prompts, steps=2, size=family.size)
    attach(base)
    tuned = generate_images(base, prompts, steps=2, size=family.size)
    lora.save(base.denoiser, tmp_path)
    pipeline = family.build()
    if how == "stock":
        load_stock(pipeline, tmp_path)
    fresh = family.base(pipeline)
    if how == "ours":
        load_loras(fresh, [tmp_path])
    # Sana's linear attention adds up in an order that depends on where its tensors lie in memory.
    slack = 1e-6 if isinstance(base, SanaBase) else 0.0
    torch.testing.assert_close(generate_images(fresh, prompts, steps=2, size=family.size), tuned, atol=slack, rtol=0)
    assert (tuned - before).abs().max() > 1e-4


def test_checkpointing_changes_no_gradient(family: Any, prompts: list[str]) -> None:
    gradients = []
    for checkpointed in (False, True):
        base = family.base()
        adapter = attach(base)
        if checkpointed:
            checkpoint_blocks(base.denoiser)
            assert base.denoiser.is_gradient_checkpointing
        image(base, prompts, family.size).square().mean().backward()
        gradients.append([parameter.grad for parameter in adapter.values()])
    for plain, recomputed in zip(*gradients, strict=True):
        assert (plain is None) == (recomputed is None)
        assert plain is None or torch.equal(plain, recomputed)


def test_checkpointing_drops_what_it_will_compute_again(family: Any, prompts: list[str]) -> None:
    held = []
    for checkpointed in (False, True):
        base = family.base()
        attach(base)
        if checkpointed:
            checkpoint_blocks(base.denoiser)
        saved = 0

        def count(tensor: Tensor) -> Tensor:
            nonlocal saved
            saved += tensor.numel()
            return tensor

        noise = base.noise(2, torch.Generator(), family.size)
        conditioning = base.encode(prompts)
        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            base.velocity(noise, torch.full((2,), 0.5), conditioning)
        held.append(saved)
    assert held[1] < 0.7 * held[0]


def test_a_decoder_that_computes_twice_gives_the_same_gradient_and_keeps_the_latents_alone(family: Any) -> None:
    base = family.base()
    noise = base.noise(2, torch.Generator(), family.size)
    found, held = [], list[int]()

    def count(tensor: Tensor) -> Tensor:
        held[-1] += tensor.numel()
        return tensor

    for saving in ("none", "decoder"):
        save_memory(base.denoiser, base.pipeline.vae, saving)
        latents, decode = noise.clone().requires_grad_(), partial(decode_by_image, base.decode)
        held.append(0)
        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            images = (base.decode if saving == "none" else decode)(latents)
        (gradient,) = torch.autograd.grad(images.square().mean(), latents)
        found.append((images, gradient))
    for plain, again in zip(*found, strict=True):
        torch.testing.assert_close(again, plain)
    assert held[1] == noise.numel() < held[0]


def test_image_latents_decode_to_what_the_stock_autoencoder_makes_of_an_image(family: Any) -> None:
    base = family.base()
    images = torch.rand(2, 3, family.size, family.size, generator=torch.Generator().manual_seed(0))
    pixels, single = 2 * images - 1, isinstance(base, QwenImageBase)
    with torch.no_grad():
        again = base.pipeline.vae(pixels.unsqueeze(2) if single else pixels).sample
        wanted = ((again[:, :, 0] if single else again) / 2 + 0.5).clamp(0, 1)
        torch.testing.assert_close(base.decode(base.image_latents(images)), wanted, atol=1e-5, rtol=0)
    assert base.image_latents(images).shape == base.noise(2, torch.Generator(), family.size).shape


def test_a_network_without_the_switch_says_so() -> None:
    with pytest.raises(UserError, match="Linear has no gradient checkpointing"):
        checkpoint_blocks(nn.Linear(1, 1))


def test_the_decoder_s_gradient_is_its_slope(family: Any) -> None:
    """Against a finite difference along a random direction, over the pixels that are well inside the range.

    In float64, but for layers of Qwen-Image's and Sana's VAEs that fall back to float32: hence their wide step.
    """
    base = family.base()
    base.pipeline.vae.double()
    generator = torch.Generator().manual_seed(2)
    step = 1e-4 if isinstance(base, QwenImageBase | SanaBase) else 1e-6
    latents = base.noise(1, generator, family.size).double()
    way = torch.randn(latents.shape, generator=generator, dtype=torch.float64)
    weight = torch.rand(1, 3, family.size, family.size, generator=generator, dtype=torch.float64)
    latents.requires_grad_()
    pixels = base.decode(latents)
    inside = (pixels > 0.05) & (pixels < 0.95)
    assert inside.float().mean() > 0.5
    weight *= inside
    (pixels * weight).sum().backward()
    with torch.no_grad():
        ends = [(base.decode(latents + sign * step * way) * weight).sum() for sign in (1, -1)]
    torch.testing.assert_close((latents.grad * way).sum(), (ends[0] - ends[1]) / (2 * step), rtol=2e-3, atol=1e-4)

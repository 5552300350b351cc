"""Functions shared by latent rectified-flow families: noise levels, noise, and a differentiable decoder."""

from typing import Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from torch import Tensor, nn

from rewardkit.errors import UserError
from rewardkit.types import Images, Latents, NoiseLevels


class UnitRange(torch.autograd.Function):
    """Clamp to [0, 1] whose gradient is zero only where a descent step would move further out of the range."""

    @staticmethod
    def forward(ctx: Any, pixels: Tensor) -> Tensor:
        ctx.save_for_backward(pixels)
        return pixels.clamp(0, 1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (pixels,), (grad,) = ctx.saved_tensors, grads
        outward = ((pixels < 0) & (grad > 0)) | ((pixels > 1) & (grad < 0))
        return grad.masked_fill(outward, 0)


def to_unit_range(pixels: Images) -> Images:
    """Clamp to [0, 1] with a gradient that can move outside pixels back.

    With a plain clamp such pixels have no gradient: once over-exposed, a reward could never correct them.
    """
    clamped: Tensor = UnitRange.apply(pixels)  # type: ignore[no-untyped-call]
    return clamped


def decode_latents(vae: nn.Module, latents: Latents) -> Images:
    """Undo the scale and shift of a diffusers VAE, decode, and map [-1, 1] to [0, 1]."""
    config: Any = vae.config
    weight = next(vae.parameters())
    unscaled = latents / config.scaling_factor + (config.get("shift_factor") or 0.0)
    decoded: Tensor = vae.decode(unscaled.to(weight), return_dict=False)[0]  # type: ignore[operator]
    return to_unit_range(decoded / 2 + 0.5)


def encode_images(vae: nn.Module, images: Images) -> Latents:
    """Encode images with a diffusers VAE (the mean of its distribution), and apply its shift and scale."""
    config: Any = vae.config
    found = vae.encode((2 * images - 1).to(next(vae.parameters())), return_dict=False)[0]  # type: ignore[operator]
    latents: Tensor = found if isinstance(found, Tensor) else found.mode()
    return (latents - (config.get("shift_factor") or 0.0)) * config.scaling_factor


def gaussian(
    count: int, shape: tuple[int, ...], generator: torch.Generator, device: torch.device, dtype: torch.dtype
) -> Latents:
    """Standard normal latents, sampled on the generator's device, so that a CPU seed is the same for every device."""
    return torch.randn(count, *shape, generator=generator, device=generator.device, dtype=dtype).to(device)


def scheduler_sigmas(config: dict[str, Any], steps: int, tokens: int, sigmas: list[float] | None = None) -> NoiseLevels:
    """Noise levels of a flow-matching Euler scheduler, shifted by the number of image tokens if it requires it."""
    if steps < 1:
        raise UserError(f"sampling steps must be 1 or more; got {steps}")
    scheduler = FlowMatchEulerDiscreteScheduler.from_config(config)
    mu = dynamic_shift(config, tokens) if config.get("use_dynamic_shifting") else None
    given: dict[str, Any] = {"num_inference_steps": steps} if sigmas is None else {"sigmas": sigmas}
    scheduler.set_timesteps(**given, mu=mu)
    levels: Tensor = scheduler.sigmas
    return levels.clone()


def dynamic_shift(config: dict[str, Any], tokens: int) -> float:
    """Shift of the noise levels, linear in the number of image tokens (Esser et al. 2024, arXiv:2403.03206, 5.3.2)."""
    low, high = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
    bottom, top = config.get("base_shift", 0.5), config.get("max_shift", 1.15)
    return float(bottom + (top - bottom) * (tokens - low) / (high - low))


def freeze(*modules: nn.Module | None) -> None:
    """Freeze these modules, if they exist, and put them in eval mode."""
    for module in modules:
        if module is not None:
            module.requires_grad_(False).eval()


def latent_side(size: int, factor: int, patch: int) -> int:
    """Side of the latents of a square image; raise `UserError` unless patches cover it exactly."""
    unit = factor * patch
    if size < unit or size % unit:
        raise UserError(f"image size must be a multiple of {unit} for this base; got {size}")
    return size // factor

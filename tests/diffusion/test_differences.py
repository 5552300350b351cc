"""What single families do unlike the rest: schedules, conversions, guidance, and prompts that are empty."""

import inspect
import math
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler, SanaPipeline
from torch import Tensor

from rewardkit.diffusion.base import OwnGuidance
from rewardkit.diffusion.families.hunyuan_image import HunyuanImageBase
from rewardkit.diffusion.families.lumina2 import Lumina2Base
from rewardkit.diffusion.families.pixart_sigma import PixArtSigmaBase
from rewardkit.diffusion.families.qwen_image import QwenImageBase
from rewardkit.diffusion.families.sana import SanaBase
from rewardkit.diffusion.families.sd3 import StableDiffusion3Base
from rewardkit.diffusion.sampler import generate_images, image_seed
from rewardkit.diffusion.sampling import sample
from rewardkit.diffusion.tiny import families
from rewardkit.diffusion.tiny.pipelines import tiny_sd3
from rewardkit.errors import UserError


def test_qwen_shifts_its_noise_levels_by_size() -> None:
    """sigma' = e^mu / (e^mu + 1/sigma - 1), mu linear in the image tokens: 16 at 16 pixels, 64 at 32 pixels."""
    base = QwenImageBase(families.tiny_qwen_image())
    for size, tokens in ((16, 16), (32, 64)):
        mu = 0.5 + (0.9 - 0.5) * (tokens - 256) / (4096 - 256)
        expected = [1.0, *(math.exp(mu) / (math.exp(mu) + 1 / even - 1) for even in (0.75, 0.5, 0.25)), 0.0]
        torch.testing.assert_close(base.sigmas(4, size), torch.tensor(expected), atol=1e-6, rtol=0)


def test_qwen_keeps_a_gradient_where_its_vae_would_clamp_it_away() -> None:
    pipeline = families.tiny_qwen_image()
    base = QwenImageBase(pipeline)
    with torch.no_grad():
        pipeline.vae.decoder.conv_out.bias.fill_(3.0)  # every pixel far over-exposed
    latents = base.noise(1, torch.Generator()).requires_grad_()
    images = base.decode(latents)
    assert (images == 1).all()
    images.sum().backward()  # descent would darken
    assert latents.grad is not None
    assert latents.grad.abs().max() > 0


def test_guidance_of_qwen_keeps_the_length_of_every_token() -> None:
    base = QwenImageBase(families.tiny_qwen_image())
    without, given = torch.randn(2, 1, 4, 4, 6, generator=torch.Generator().manual_seed(0))
    mixed = base.guide(without, given, 5.0)

    def lengths(latents: Tensor) -> Tensor:
        return torch.nn.functional.unfold(latents, 2, stride=2).norm(dim=1)

    torch.testing.assert_close(lengths(mixed), lengths(given))
    assert (mixed - given).abs().max() > 0.1
    assert not isinstance(StableDiffusion3Base(tiny_sd3()), OwnGuidance)


@pytest.mark.parametrize(("build", "adapter"), [(families.tiny_sana, SanaBase), (families.tiny_lumina2, Lumina2Base)])
def test_the_empty_prompt_is_the_unconditional_one(build: Any, adapter: Any) -> None:
    base = adapter(build())
    if adapter is SanaBase:
        base.instruction = ["Better words:"]
    mixed, alone = base.encode(["a red circle", ""]), base.encode([""])
    for name, rows in alone.items():
        torch.testing.assert_close(mixed[name][1:], rows, atol=1e-6, rtol=1e-5)
    assert mixed["mask"][0].sum() > mixed["mask"][1].sum() >= 1


def test_sana_instructs_as_the_stock_pipeline_does() -> None:
    stock = inspect.signature(SanaPipeline.__call__).parameters["complex_human_instruction"].default
    assert list(SanaBase.instruction) == stock
    assert len(stock) > 1


def test_sana_follows_a_flow_matching_scheduler_too() -> None:
    pipeline = families.tiny_sana()
    pipeline.scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    pipeline.set_progress_bar_config(disable=True)
    base = SanaBase(pipeline)
    base.instruction = ["Better words:"]
    stock = pipeline(
        ["a"],
        num_inference_steps=2,
        height=32,
        width=32,
        guidance_scale=1.0,
        use_resolution_binning=False,
        complex_human_instruction=list(base.instruction),
        output_type="pt",
        generator=torch.Generator().manual_seed(image_seed(0, 0)),
    ).images
    torch.testing.assert_close(generate_images(base, ["a"], steps=2), stock, atol=2e-5, rtol=0)


def test_euler_steps_of_pixart_are_ddim() -> None:
    pipeline = families.tiny_pixart_sigma()
    pipeline.scheduler = DDIMScheduler(
        beta_schedule="linear", beta_start=0.0001, beta_end=0.02, clip_sample=False, timestep_spacing="trailing"
    )
    pipeline.set_progress_bar_config(disable=True)
    stock = pipeline(
        ["a"],
        num_inference_steps=4,
        height=16,
        width=16,
        guidance_scale=3.0,
        use_resolution_binning=False,
        clean_caption=False,
        output_type="pt",
        generator=torch.Generator().manual_seed(image_seed(0, 0)),
    ).images
    ours = generate_images(PixArtSigmaBase(pipeline), ["a"], steps=4, guidance=3.0)
    torch.testing.assert_close(ours, stock, atol=2e-5, rtol=0)


class TrueNoise(torch.nn.Module):
    """Knows image and noise, checks that it is shown their mix as a diffusion has it, and predicts the noise."""

    def __init__(self, image: Tensor, noise: Tensor, signal: Tensor) -> None:
        super().__init__()
        self.image, self.noise, self.signal = image, noise, signal
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.times: list[int] = []

    def forward(self, shown: Tensor, timestep: Tensor, **rest: Any) -> tuple[Tensor]:
        kept = self.signal[timestep].view(-1, 1, 1, 1)
        torch.testing.assert_close(shown, kept.sqrt() * self.image + (1 - kept).sqrt() * self.noise, atol=1e-4, rtol=0)
        self.times += timestep.tolist()
        return (torch.cat([self.noise, torch.full_like(self.noise, 9.0)], 1),)


def test_pixart_s_true_noise_is_the_true_velocity() -> None:
    """At every level asked for, and all the way down the chain to the image."""
    base = PixArtSigmaBase(families.tiny_pixart_sigma())
    image, noise = torch.randn(2, 1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    oracle = TrueNoise(image, noise, base.pipeline.scheduler.alphas_cumprod)
    base.denoiser = oracle
    conditioning = {"embeds": torch.zeros(1, 1, 1), "mask": torch.ones(1, 1, dtype=torch.bool)}
    sigmas = base.sigmas(5)
    for level in sigmas[1:-1]:
        predicted = base.velocity((1 - level) * image + level * noise, level.expand(1), conditioning)
        torch.testing.assert_close(predicted, noise - image, atol=1e-4, rtol=0)
    oracle.times.clear()
    start = ((1 - sigmas[0]) * image + sigmas[0] * noise).float()
    reached = sample(lambda latents, sigma: base.velocity(latents, sigma, conditioning), start, sigmas)
    torch.testing.assert_close(reached, image, atol=1e-4, rtol=0)
    assert oracle.times == [999, 799, 599, 400, 200]


def test_pixart_starts_at_the_last_time_whatever_the_spacing() -> None:
    pipeline = families.tiny_pixart_sigma()
    first = PixArtSigmaBase(pipeline).sigmas(7)[0]
    config = pipeline.scheduler.config
    pipeline.scheduler = type(pipeline.scheduler).from_config(config, timestep_spacing="leading")
    assert PixArtSigmaBase(pipeline).sigmas(7)[0] == first == pytest.approx(0.99365, abs=1e-4)


def test_pixart_refuses_another_prediction() -> None:
    pipeline = families.tiny_pixart_sigma()
    pipeline.scheduler = DDIMScheduler(prediction_type="v_prediction")
    with pytest.raises(UserError, match="predicts v_prediction"):
        PixArtSigmaBase(pipeline)


def test_guidance_distilled_into_hunyuan_is_a_number() -> None:
    pipeline = families.tiny_hunyuan_image(guidance_embeds=True)
    pipeline.guider = None
    pipeline.set_progress_bar_config(disable=True)
    base = HunyuanImageBase(pipeline)
    assert base.distilled_guidance
    stock = pipeline(
        ['a "b"'],
        num_inference_steps=2,
        height=16,
        width=16,
        distilled_guidance_scale=3.5,
        output_type="pt",
        generator=torch.Generator().manual_seed(image_seed(0, 0)),
    ).images
    torch.testing.assert_close(generate_images(base, ['a "b"'], steps=2, guidance=3.5), stock, atol=2e-5, rtol=0)


def test_hunyuan_of_mean_flow_is_refused() -> None:
    with pytest.raises(UserError, match="mean flow"):
        HunyuanImageBase(families.tiny_hunyuan_image(meanflow=True))


def test_steps_below_one_are_refused() -> None:
    for base in (SanaBase(families.tiny_sana()), PixArtSigmaBase(families.tiny_pixart_sigma())):
        with pytest.raises(UserError, match="steps must be"):
            base.sigmas(0)

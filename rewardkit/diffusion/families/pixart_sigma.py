"""PixArt-Sigma (Chen et al. 2024, arXiv:2403.04692): predicts the noise of a diffusion, not the velocity of a flow.

A diffusion has `x_t = alpha * image + s * noise` with `alpha^2 + s^2 = 1`. Divided by `alpha + s` it is our flow at
`sigma = s / (alpha + s)`; so with a predicted noise eps the velocity is `(eps - x) / (1 - sigma)`, and an Euler step
of the flow is the deterministic DDIM step (Song et al. 2020, arXiv:2010.02502) between the same two times.
"""

import torch
from diffusers import DPMSolverMultistepScheduler, PixArtSigmaPipeline
from diffusers.loaders import PeftAdapterMixin
from diffusers.models import PixArtTransformer2DModel
from torch import Tensor

from rewardkit.diffusion.families.family import DiffusersBase
from rewardkit.errors import UserError
from rewardkit.types import Conditioning, Latents, NoiseLevels, PerImage


class PixArtTransformer(PixArtTransformer2DModel, PeftAdapterMixin):  # type: ignore[misc]
    """The stock network with the adapter methods the other families' have."""


class PixArtSigmaBase(DiffusersBase):
    """The four verbs over a `PixArtSigmaPipeline`.

    Its noise levels are float64: the first is 0.994, and float32 is too imprecise for its difference to 1. Prompts are
    not cleaned (the stock pipeline's `clean_caption` drops punctuation that a poster may need).
    """

    pipeline_class = PixArtSigmaPipeline
    scheduler_class = DPMSolverMultistepScheduler

    def __init__(self, pipeline: PixArtSigmaPipeline) -> None:
        super().__init__(pipeline)
        config = self.pipeline.scheduler.config
        if config.prediction_type != "epsilon":
            raise UserError(f"this PixArt-Sigma predicts {config.prediction_type}; only epsilon is supported")
        self.denoiser.__class__ = PixArtTransformer
        signal = self.pipeline.scheduler.alphas_cumprod.double()
        alpha, s = signal.sqrt(), (1 - signal).sqrt()
        self._levels = s / (alpha + s)  # of every timestep of training

    @torch.no_grad()
    def encode(self, prompts: list[str]) -> Conditioning:
        embeds, mask, _, _ = self.pipeline.encode_prompt(list(prompts), False, device=self._device)
        return {"embeds": embeds, "mask": mask.bool()}

    def text_shapes(self, tokens: int) -> dict[str, tuple[int, ...]]:
        return {"embeds": (300, self.pipeline.transformer.config.caption_channels), "mask": (300,)}

    def velocity(self, latents: Latents, sigma: PerImage, conditioning: Conditioning) -> Latents:
        levels = self._levels.to(latents.device)
        level = sigma.double().clamp(max=levels[-1].item())
        rest = (1 - level).view(-1, 1, 1, 1)
        predicted: Tensor = self.denoiser(
            (latents / length(level)).to(self._dtype),
            encoder_hidden_states=conditioning["embeds"].to(self._dtype),
            encoder_attention_mask=conditioning["mask"],
            timestep=(level.unsqueeze(1) - levels).abs().argmin(1),
            added_cond_kwargs={"resolution": None, "aspect_ratio": None},
            return_dict=False,
        )[0]
        noise = predicted[:, : latents.shape[1]]  # the rest, if any, is a learned variance
        return ((noise - latents) / rest).to(latents.dtype)

    def noise(self, count: int, generator: torch.Generator, size: int | None = None) -> Latents:
        """Sample the diffusion's standard normal noise, scaled to the flow's first noise level."""
        drawn = super().noise(count, generator, size)
        return (drawn * length(self._levels[-1:].to(drawn.device))).to(drawn.dtype)

    def sigmas(self, steps: int, size: int | None = None) -> NoiseLevels:
        if not 1 <= steps <= len(self._levels):
            raise UserError(f"sampling steps must be between 1 and {len(self._levels)}; got {steps}")
        config = self.pipeline.scheduler.config
        # "leading" never starts at the last timestep, which is pure noise (Lin et al. 2023, arXiv:2305.08891).
        spacing = {"leading": "trailing"}.get(config.timestep_spacing, config.timestep_spacing)
        scheduler = type(self.pipeline.scheduler).from_config(config, timestep_spacing=spacing)
        scheduler.set_timesteps(steps)
        levels = self._levels[scheduler.timesteps.round().long().cpu()]
        return torch.cat([levels, levels.new_zeros(1)]).to(self._device)


def length(sigma: PerImage) -> Tensor:
    """`1 / (alpha + s)` at a noise level of the flow, one per image: the ratio of flow latents to diffusion latents."""
    return ((1 - sigma).square() + sigma.square()).sqrt().view(-1, 1, 1, 1)

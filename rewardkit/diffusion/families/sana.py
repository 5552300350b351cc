"""Sana (Xie et al. 2024, arXiv:2410.10629): linear attention on latents that are 32 times smaller, behind Gemma 2."""

import inspect
from collections.abc import Sequence

import torch
from diffusers import DPMSolverMultistepScheduler, SanaPipeline
from torch import Tensor

from rewardkit.diffusion.families.family import DiffusersBase, where_empty
from rewardkit.errors import UserError
from rewardkit.types import Conditioning, Latents, NoiseLevels, PerImage

INSTRUCTION = inspect.signature(SanaPipeline.__call__).parameters["complex_human_instruction"].default
"""The stock pipeline's instruction before every prompt except the unconditional one, line by line."""


class SanaBase(DiffusersBase):
    """The four verbs over a `SanaPipeline`.

    Its stock scheduler is a second-order multistep solver (DPM-Solver++); we use its noise levels with Euler steps,
    which is that solver at order 1.
    """

    pipeline_class = SanaPipeline
    patch = 1
    scheduler_class = DPMSolverMultistepScheduler
    instruction: Sequence[str] = INSTRUCTION

    @torch.no_grad()
    def encode(self, prompts: list[str]) -> Conditioning:
        embeds, mask, bare, bare_mask = self.pipeline.encode_prompt(
            list(prompts), "" in prompts, device=self._device, complex_human_instruction=list(self.instruction)
        )
        conditioning = {"embeds": embeds, "mask": mask.bool()}
        return conditioning if bare is None else where_empty(prompts, conditioning, {"embeds": bare, "mask": bare_mask})

    def text_shapes(self, tokens: int) -> dict[str, tuple[int, ...]]:
        return {"embeds": (300, self.pipeline.transformer.config.caption_channels), "mask": (300,)}

    def velocity(self, latents: Latents, sigma: PerImage, conditioning: Conditioning) -> Latents:
        config = self.pipeline.transformer.config
        predicted: Tensor = self.denoiser(
            latents.to(self._dtype),
            encoder_hidden_states=conditioning["embeds"].to(self._dtype),
            encoder_attention_mask=conditioning["mask"],
            timestep=self._time(sigma) * config.timestep_scale,
            return_dict=False,
        )[0]
        return predicted[:, : config.in_channels].to(latents.dtype)  # the rest, if any, is a learned variance

    def sigmas(self, steps: int, size: int | None = None) -> NoiseLevels:
        if steps < 1:
            raise UserError(f"sampling steps must be 1 or more; got {steps}")
        scheduler = type(self.pipeline.scheduler).from_config(self.pipeline.scheduler.config)
        scheduler.set_timesteps(steps)
        levels: Tensor = scheduler.sigmas
        return levels.to(self._device)

    def _time(self, sigma: PerImage) -> PerImage:
        time = sigma * self.pipeline.scheduler.config.num_train_timesteps
        # The multistep solver passes integer timesteps; the small offset is for float32 rounding.
        return (time + 1e-3).floor() if isinstance(self.pipeline.scheduler, DPMSolverMultistepScheduler) else time

"""Stable Diffusion 3 and 3.5 (Esser et al. 2024, arXiv:2403.03206)."""

from typing import Any

import torch
from diffusers import StableDiffusion3Pipeline
from torch import Tensor, nn

from rewardkit.diffusion.families.family import JOINT_ATTENTION, DiffusersBase
from rewardkit.types import Conditioning, Latents, PerImage


class StableDiffusion3Base(DiffusersBase):
    """The four verbs over a `StableDiffusion3Pipeline`; with equal noise it generates the pipeline's images."""

    pipeline_class = StableDiffusion3Pipeline
    lora_targets = JOINT_ATTENTION
    even_sigmas = False
    text_encoder_names = ("text_encoder", "text_encoder_2", "text_encoder_3")
    text_targets = ("q_proj", "k_proj", "v_proj", "out_proj")

    def __init__(self, pipeline: StableDiffusion3Pipeline) -> None:
        super().__init__(pipeline)
        self.patch = self.pipeline.transformer.config.patch_size

    @classmethod
    def load(cls, spec: str, device: torch.device, dtype: torch.dtype, **parts: Any) -> "DiffusersBase":
        named = StableDiffusion3Pipeline.load_config(spec)
        absent = {name: None for name in ("text_encoder_3", "tokenizer_3") if not (named.get(name) or [None])[0]}
        return super().load(spec, device, dtype, **absent, **parts)

    @property
    def tunable_text_encoders(self) -> dict[str, nn.Module]:
        """The two CLIPs; stock diffusers loads no adapter for the T5."""
        return {name: getattr(self.pipeline, name) for name in ("text_encoder", "text_encoder_2")}

    @torch.no_grad()
    def encode(self, prompts: list[str]) -> Conditioning:
        return self.encode_with_graph(prompts)

    def encode_with_graph(self, prompts: list[str]) -> Conditioning:
        embeds, _, pooled, _ = self.pipeline.encode_prompt(
            prompt=prompts,
            prompt_2=prompts,
            prompt_3=prompts,
            do_classifier_free_guidance=False,
            device=self._device,
        )
        return {"embeds": embeds, "pooled": pooled}

    def text_shapes(self, tokens: int) -> dict[str, tuple[int, ...]]:
        config = self.pipeline.transformer.config  # CLIP's tokens are padded to 77, T5's to 256
        return {"embeds": (77 + 256, config.joint_attention_dim), "pooled": (config.pooled_projection_dim,)}

    def velocity(self, latents: Latents, sigma: PerImage, conditioning: Conditioning) -> Latents:
        predicted: Tensor = self.denoiser(
            hidden_states=latents.to(self._dtype),
            timestep=sigma * self.pipeline.scheduler.config.num_train_timesteps,
            encoder_hidden_states=conditioning["embeds"].to(self._dtype),
            pooled_projections=conditioning["pooled"].to(self._dtype),
            return_dict=False,
        )[0]
        return predicted.to(latents.dtype)

    def _default_size(self) -> int:
        return int(self.pipeline.default_sample_size * self.pipeline.vae_scale_factor)

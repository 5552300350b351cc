"""HunyuanImage-2.1 (2025): an MMDiT behind Qwen2.5-VL for the prompt and ByT5 for the text it quotes."""

import torch
from diffusers import HunyuanImagePipeline
from torch import Tensor

from rewardkit.diffusion.families.family import JOINT_ATTENTION, DiffusersBase
from rewardkit.errors import UserError
from rewardkit.types import Conditioning, Latents, PerImage


class HunyuanImageBase(DiffusersBase):
    """The four verbs over a `HunyuanImagePipeline`.

    Guidance is plain. The pipeline's default (adaptive projected guidance) has state from earlier steps and
    so is not a function of one noise level.
    """

    pipeline_class = HunyuanImagePipeline
    lora_targets = JOINT_ATTENTION
    text_encoder_names = ("text_encoder", "text_encoder_2")

    def __init__(self, pipeline: HunyuanImagePipeline) -> None:
        super().__init__(pipeline)
        config = self.pipeline.transformer.config
        if config.use_meanflow:
            raise UserError(
                "this HunyuanImage is distilled by mean flow: it predicts the step to the next noise level, not the "
                "velocity at this one; use the HunyuanImage-2.1 it was distilled from"
            )
        self.distilled_guidance = config.guidance_embeds
        self.patch = config.patch_size[0]

    @torch.no_grad()
    def encode(self, prompts: list[str]) -> Conditioning:
        embeds, mask, glyphs, glyph_mask = self.pipeline.encode_prompt(
            list(prompts), self._device, batch_size=len(prompts)
        )
        return {"embeds": embeds, "mask": mask.bool(), "glyphs": glyphs, "glyph_mask": glyph_mask.bool()}

    def text_shapes(self, tokens: int) -> dict[str, tuple[int, ...]]:
        config, length = self.pipeline.transformer.config, self.pipeline.tokenizer_max_length
        glyphs = self.pipeline.tokenizer_2_max_length
        return {
            "embeds": (length, config.text_embed_dim),
            "mask": (length,),
            "glyphs": (glyphs, config.text_embed_2_dim),
            "glyph_mask": (glyphs,),
        }

    def velocity(self, latents: Latents, sigma: PerImage, conditioning: Conditioning) -> Latents:
        scale = conditioning.get("guidance", torch.ones_like(sigma)).to(latents.device, self._dtype)
        predicted: Tensor = self.denoiser(
            hidden_states=latents.to(self._dtype),
            timestep=(sigma * self.pipeline.scheduler.config.num_train_timesteps).to(self._dtype),
            guidance=scale * 1000 if self.distilled_guidance else None,
            encoder_hidden_states=conditioning["embeds"].to(self._dtype),
            encoder_attention_mask=conditioning["mask"],
            encoder_hidden_states_2=conditioning["glyphs"].to(self._dtype),
            encoder_attention_mask_2=conditioning["glyph_mask"],
            return_dict=False,
        )[0]
        return predicted.to(latents.dtype)

    def _default_size(self) -> int:
        return int(self.pipeline.default_sample_size * self.pipeline.vae_scale_factor)

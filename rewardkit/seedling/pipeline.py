"""Seedling as a diffusers pipeline: a folder that `SeedlingPipeline.from_pretrained` opens like any other."""

from collections.abc import Sequence
from typing import Any

import torch
from diffusers import DiffusionPipeline, FlowMatchEulerDiscreteScheduler
from diffusers.image_processor import VaeImageProcessor
from diffusers.loaders import QwenImageLoraLoaderMixin
from diffusers.pipelines.pipeline_utils import ImagePipelineOutput
from torch import Generator, Tensor
from transformers import ByT5Tokenizer, PreTrainedTokenizerFast, Qwen2Model, T5EncoderModel

from rewardkit.prompts import wanted_text
from rewardkit.seedling.transformer import SeedlingTransformer
from rewardkit.seedling.vae import SeedlingVAE


class SeedlingPipeline(DiffusionPipeline, QwenImageLoraLoaderMixin):  # type: ignore[misc]
    """Generate images from prompts; quoted text is also encoded by the glyph encoder (arXiv:2503.07703, 3.3).

    Encoders and tokenizers may be left out if no prompt is encoded. The LoRA loader is that of diffusers for pipelines
    in which only the transformer has adapters.
    """

    model_cpu_offload_seq = "text_encoder->glyph_encoder->transformer->vae"

    def __init__(
        self,
        transformer: SeedlingTransformer,
        vae: SeedlingVAE,
        scheduler: FlowMatchEulerDiscreteScheduler,
        text_encoder: Qwen2Model | None,
        tokenizer: PreTrainedTokenizerFast | None,
        glyph_encoder: T5EncoderModel | None,
        glyph_tokenizer: ByT5Tokenizer | None,
    ) -> None:
        super().__init__()
        self.register_modules(
            transformer=transformer,
            vae=vae,
            scheduler=scheduler,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            glyph_encoder=glyph_encoder,
            glyph_tokenizer=glyph_tokenizer,
        )
        self.vae_scale_factor = vae.config.downsample
        self.image_processor = VaeImageProcessor(vae_scale_factor=self.vae_scale_factor)

    @property
    def default_size(self) -> int:
        """Width and height in pixels that the transformer was trained at."""
        return int(self.transformer.config.sample_size * self.vae.config.downsample)

    def encode_prompt(self, prompts: Sequence[str], *, pad_to_multiple_of: int = 0) -> dict[str, Tensor]:
        """Encode prompts to the transformer's conditioning: LLM and glyph embeddings, each with its mask.

        Lengths are padded to the transformer's limits, so that rows can be cached and concatenated; with
        `pad_to_multiple_of` only to the next multiple beyond the longest, which is faster. Differentiable.
        """
        config = self.transformer.config
        texts = [wanted_text(prompt) for prompt in prompts]
        text = self._tokens(self.tokenizer, list(prompts), config.max_text, pad_to_multiple_of)
        glyphs = self._tokens(self.glyph_tokenizer, texts, config.max_glyphs, pad_to_multiple_of)
        wanted = torch.tensor([[bool(one)] for one in texts], device=self.device)
        return {
            "text_embeds": self.text_encoder(**text).last_hidden_state,
            "text_mask": text["attention_mask"].bool(),
            "glyph_embeds": self.glyph_encoder(**glyphs).last_hidden_state,
            "glyph_mask": glyphs["attention_mask"].bool() & wanted,
        }

    def _tokens(
        self, tokenizer: PreTrainedTokenizerFast | ByT5Tokenizer, texts: list[str], limit: int, multiple: int
    ) -> dict[str, Tensor]:
        tokens = tokenizer(
            texts,
            padding="longest" if multiple else "max_length",
            pad_to_multiple_of=multiple or None,
            truncation=True,
            max_length=limit,
            padding_side="right",
            return_tensors="pt",
        )
        return {name: tokens[name].to(self.device) for name in ("input_ids", "attention_mask")}

    def decode_latents(self, latents: Tensor) -> Tensor:
        """Decode standardised latents to images in about [-1, 1]."""
        return self.vae.decode(self.vae.restore(latents), return_dict=False)[0]

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | Sequence[str],
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int = 10,
        guidance_scale: float = 1.0,
        generator: Generator | list[Generator] | None = None,
        latents: Tensor | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
    ) -> ImagePipelineOutput | tuple[Any]:
        """Generate one image per prompt with Euler steps; `guidance_scale` above 1 also evaluates the empty prompt."""
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        if latents is None:
            latents = self.prepare_latents(len(prompts), height, width, generator)
        cond = self.encode_prompt(prompts)
        if guidance_scale > 1:
            empty = self.encode_prompt([""] * len(prompts))
            cond = {name: torch.cat([empty[name], cond[name]]) for name in cond}
        self.scheduler.set_timesteps(num_inference_steps, device=self.device)
        for timestep in self.progress_bar(self.scheduler.timesteps):
            sigma = (timestep / self.scheduler.config.num_train_timesteps).expand(len(latents))
            if guidance_scale > 1:
                pair = self.transformer(torch.cat([latents] * 2), torch.cat([sigma] * 2), **cond, return_dict=False)[0]
                without, conditioning = pair.chunk(2)
                velocity = without + guidance_scale * (conditioning - without)
            else:
                velocity = self.transformer(latents, sigma, **cond, return_dict=False)[0]
            latents = self.scheduler.step(velocity, timestep, latents, return_dict=False)[0]
        images = latents
        if output_type != "latent":
            images = self.image_processor.postprocess(self.decode_latents(latents), output_type=output_type)
        self.maybe_free_model_hooks()
        return ImagePipelineOutput(images=images) if return_dict else (images,)

    def prepare_latents(
        self, count: int, height: int | None, width: int | None, generator: Generator | list[Generator] | None
    ) -> Tensor:
        """Sample the initial noise; sides in pixels must be multiples of 8."""
        vae, patch = self.vae.config, self.transformer.config.patch_size
        sides = [height or self.default_size, width or self.default_size]
        for side in sides:
            if side % (vae.downsample * patch):
                raise ValueError(f"height and width must be multiples of {vae.downsample * patch} pixels; got {side}")
        shape = (vae.latent_channels, *(side // vae.downsample for side in sides))
        if isinstance(generator, list):
            return torch.stack([torch.randn(shape, generator=one) for one in generator]).to(self.device)
        return torch.randn((count, *shape), generator=generator).to(self.device)

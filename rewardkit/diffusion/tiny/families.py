"""A tiny random pipeline of every diffusers family, and the options with which it generates the images of its base."""

from typing import Any

import diffusers
import torch
from transformers import ByT5Tokenizer

from rewardkit.diffusion.tiny import text as text
from rewardkit.diffusion.tiny.family import TinyFamily, above_conditional, guider, negative
from rewardkit.diffusion.tiny.pipelines import LATENT_CHANNELS, awake, tiny_flux, tiny_sd3, tiny_vae


def tiny_qwen_image(seed: int = 0) -> diffusers.QwenImagePipeline:
    """Qwen-Image of 16x16 pixels; its noise levels shift by size and latents have per-channel statistics."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformer = diffusers.QwenImageTransformer2DModel(
            in_channels=4 * LATENT_CHANNELS,
            out_channels=LATENT_CHANNELS,
            num_layers=2,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=text.WIDTH,
            axes_dims_rope=(2, 2, 4),
        )
        vae = diffusers.AutoencoderKLQwenImage(
            base_dim=4,
            z_dim=LATENT_CHANNELS,
            dim_mult=[1, 2],
            num_res_blocks=1,
            temperal_downsample=[True],
            latents_mean=[0.1, -0.2, 0.3, 0.0],
            latents_std=[1.0, 0.5, 2.0, 1.5],
        )
        encoder = text.qwen_vl()
    pipeline = diffusers.QwenImagePipeline(
        transformer=awake(transformer),
        vae=vae.eval(),
        text_encoder=encoder,
        tokenizer=text.qwen_tokenizer(),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, base_shift=0.5, max_shift=0.9),
    )
    return shorten(pipeline)


def tiny_z_image(seed: int = 0) -> diffusers.ZImagePipeline:
    """Z-Image over a 2x VAE."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformer = diffusers.ZImageTransformer2DModel(
            in_channels=LATENT_CHANNELS,
            dim=16,
            n_layers=2,
            n_refiner_layers=1,
            n_heads=2,
            n_kv_heads=2,
            cap_feat_dim=text.WIDTH,
            axes_dims=[2, 2, 4],
            axes_lens=[1024, 64, 64],
        )
        vae, encoder = tiny_vae(), text.qwen3()
    return diffusers.ZImagePipeline(
        transformer=awake(transformer),
        vae=vae,
        text_encoder=encoder,
        tokenizer=text.qwen_tokenizer(),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
    )


def tiny_sana(seed: int = 0) -> diffusers.SanaPipeline:
    """Sana of 32x32 pixels with its stock multistep scheduler; the pipeline requires multiples of 32."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformer = diffusers.SanaTransformer2DModel(
            in_channels=LATENT_CHANNELS,
            out_channels=LATENT_CHANNELS,
            num_attention_heads=2,
            attention_head_dim=8,
            num_layers=2,
            num_cross_attention_heads=2,
            cross_attention_head_dim=8,
            cross_attention_dim=16,
            caption_channels=text.WIDTH,
            sample_size=8,
        )
        vae = diffusers.AutoencoderDC(
            latent_channels=LATENT_CHANNELS,
            attention_head_dim=4,
            encoder_block_out_channels=(4, 4, 8),
            decoder_block_out_channels=(4, 4, 8),
            encoder_layers_per_block=(1, 1, 1),
            decoder_layers_per_block=(1, 1, 1),
            encoder_qkv_multiscales=((), (), ()),
            decoder_qkv_multiscales=((), (), ()),
            scaling_factor=0.5,
        )
        encoder = text.gemma2()
    return diffusers.SanaPipeline(
        transformer=awake(transformer),
        vae=vae.eval(),
        text_encoder=encoder,
        tokenizer=text.gemma_tokenizer(),
        scheduler=diffusers.DPMSolverMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0, solver_order=2
        ),
    )


def tiny_pixart_sigma(seed: int = 0) -> diffusers.PixArtSigmaPipeline:
    """PixArt-Sigma of 16x16 pixels with its stock multistep scheduler and a learned variance."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformer = diffusers.PixArtTransformer2DModel(
            in_channels=LATENT_CHANNELS,
            out_channels=2 * LATENT_CHANNELS,
            num_layers=2,
            num_attention_heads=2,
            attention_head_dim=8,
            cross_attention_dim=16,
            caption_channels=text.WIDTH,
            sample_size=8,
        )
        vae, encoder = tiny_vae(shift=None), text.t5()
    return diffusers.PixArtSigmaPipeline(
        transformer=awake(transformer),
        vae=vae,
        text_encoder=encoder,
        tokenizer=ByT5Tokenizer(),
        scheduler=diffusers.DPMSolverMultistepScheduler(beta_schedule="linear", beta_start=0.0001, beta_end=0.02),
    )


def tiny_lumina2(seed: int = 0) -> diffusers.Lumina2Pipeline:
    """Lumina-Image 2.0 of 32x32 pixels; the pipeline assumes an 8x VAE."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformer = diffusers.Lumina2Transformer2DModel(
            sample_size=4,
            in_channels=LATENT_CHANNELS,
            hidden_size=24,
            num_layers=2,
            num_refiner_layers=1,
            num_attention_heads=2,
            num_kv_heads=1,
            multiple_of=8,
            axes_dim_rope=(4, 4, 4),
            axes_lens=(300, 32, 32),
            cap_feat_dim=text.WIDTH,
        )
        vae, encoder = tiny_vae(levels=4), text.gemma2()
    return diffusers.Lumina2Pipeline(
        transformer=awake(transformer),
        vae=vae,
        text_encoder=encoder,
        tokenizer=text.gemma_tokenizer(),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=6.0),
    )


def tiny_hunyuan_image(
    seed: int = 0, guidance_embeds: bool = False, meanflow: bool = False
) -> diffusers.HunyuanImagePipeline:
    """HunyuanImage-2.1 of 16x16 pixels, with plain guidance."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformer = diffusers.HunyuanImageTransformer2DModel(
            in_channels=LATENT_CHANNELS,
            out_channels=LATENT_CHANNELS,
            num_attention_heads=2,
            attention_head_dim=8,
            num_layers=1,
            num_single_layers=1,
            num_refiner_layers=1,
            text_embed_dim=text.WIDTH,
            text_embed_2_dim=text.WIDTH,
            rope_axes_dim=(4, 4),
            guidance_embeds=guidance_embeds,
            use_meanflow=meanflow,
        )
        vae = diffusers.AutoencoderKLHunyuanImage(
            in_channels=3,
            out_channels=3,
            latent_channels=LATENT_CHANNELS,
            block_out_channels=(32, 32),
            layers_per_block=1,
            spatial_compression_ratio=2,
            sample_size=16,
            scaling_factor=0.75,
        )
        encoder, glyphs = text.qwen_vl(), text.t5()
    pipeline = diffusers.HunyuanImagePipeline(
        transformer=awake(transformer),
        vae=vae.eval(),
        text_encoder=encoder,
        tokenizer=text.qwen_tokenizer(),
        text_encoder_2=glyphs,
        tokenizer_2=ByT5Tokenizer(),
        guider=diffusers.ClassifierFreeGuidance(),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=5.0),
    )
    return shorten(pipeline)


def shorten(pipeline: Any) -> Any:
    """Shorten the instruction before the prompt for a byte-level tokenizer; a loaded folder has the original again."""
    pipeline.prompt_template_encode, pipeline.prompt_template_encode_start_idx = "user: {} end", 6
    pipeline.tokenizer_max_length, pipeline.default_sample_size = 48, 8
    return pipeline


UNBINNED = {"use_resolution_binning": False, "clean_caption": False}
INSTRUCTION = ["Better words:"]
"""Replaces Sana's instruction, which is 3,000 bytes long."""

TINY = {
    "sd3": TinyFamily(tiny_sd3),
    "flux": TinyFamily(tiny_flux),
    "qwen-image": TinyFamily(tiny_qwen_image, negative),
    "z-image": TinyFamily(tiny_z_image, above_conditional),
    "sana": TinyFamily(
        tiny_sana,
        size=32,
        options=UNBINNED | {"complex_human_instruction": INSTRUCTION},
        settings={"instruction": INSTRUCTION},
    ),
    "pixart-sigma": TinyFamily(tiny_pixart_sigma, options=UNBINNED),
    "lumina2": TinyFamily(tiny_lumina2, size=32),
    "hunyuan-image": TinyFamily(tiny_hunyuan_image, guider),
}
"""Used by the tests of families and by `benchmarks/refl_step.py`."""

"""Random bases of a few thousand weights, in memory: real diffusers pipelines to test with, without a download."""

import torch
from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
)
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    ByT5Tokenizer,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
)

LATENT_CHANNELS = 4


def tiny_sd3(seed: int = 0) -> StableDiffusion3Pipeline:
    """Stable Diffusion 3 of 16x16 pixels, with two CLIP text encoders and no T5."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoders = [CLIPTextModelWithProjection(tiny_clip_config()) for _ in range(2)]
        transformer = SD3Transformer2DModel(
            sample_size=8,
            patch_size=2,
            in_channels=LATENT_CHANNELS,
            num_layers=2,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=32,
            caption_projection_dim=16,
            pooled_projection_dim=32,
            out_channels=LATENT_CHANNELS,
            pos_embed_max_size=16,
        )
        vae = tiny_vae()
    tokenizer = byte_clip_tokenizer()
    return StableDiffusion3Pipeline(
        transformer=awake(transformer),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=vae,
        text_encoder=encoders[0].eval(),
        tokenizer=tokenizer,
        text_encoder_2=encoders[1].eval(),
        tokenizer_2=tokenizer,
        text_encoder_3=None,
        tokenizer_3=None,
    )


def tiny_flux(seed: int = 0, guidance_embeds: bool = True) -> FluxPipeline:
    """FLUX.1 of 16x16 pixels, with a CLIP text encoder and a T5 over bytes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        clip = CLIPTextModel(tiny_clip_config())
        t5 = T5EncoderModel(T5Config(vocab_size=384, d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=2))
        transformer = FluxTransformer2DModel(
            patch_size=1,
            in_channels=4 * LATENT_CHANNELS,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=32,
            pooled_projection_dim=16,
            axes_dims_rope=(4, 4, 8),
            guidance_embeds=guidance_embeds,
        )
        vae = tiny_vae()
    pipeline = FluxPipeline(
        transformer=awake(transformer),
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=vae,
        text_encoder=clip.eval(),
        tokenizer=byte_clip_tokenizer(),
        text_encoder_2=t5.eval(),
        tokenizer_2=ByT5Tokenizer(),
    )
    pipeline.default_sample_size = 8
    return pipeline


def awake(transformer: torch.nn.Module) -> torch.nn.Module:
    """Randomise weights that are initialised to zero (adaLN), so that every layer matters."""
    for parameter in transformer.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05, generator=torch.Generator().manual_seed(parameter.numel()))
    return transformer.eval()


def tiny_clip_config() -> CLIPTextConfig:
    """Two layers of 16 channels over bytes."""
    return CLIPTextConfig(
        vocab_size=514,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        projection_dim=16,
        max_position_embeddings=77,
        bos_token_id=512,
        eos_token_id=513,
        pad_token_id=513,
    )


def byte_clip_tokenizer() -> CLIPTokenizer:
    """A CLIP tokenizer without merges: one token per byte, marked at the end of a word."""
    letters = sorted(ByteLevel.alphabet())
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={word: index for index, word in enumerate(words)}, merges=[], model_max_length=77)


def tiny_vae(levels: int = 2, shift: float | None = 0.06) -> AutoencoderKL:
    """Downsamples 2x between its levels; four latent channels."""
    return AutoencoderKL(
        block_out_channels=(8,) * levels,
        layers_per_block=1,
        norm_num_groups=4,
        latent_channels=LATENT_CHANNELS,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        scaling_factor=1.5,
        shift_factor=shift,
        use_quant_conv=False,
        use_post_quant_conv=False,
    ).eval()

"""Seedling with random weights and a few thousand parameters, for our tests and users' tests."""

from pathlib import Path

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from open_clip import CLIP
from transformers import PreTrainedTokenizerFast

from rewardkit.seedling.clip import MODEL_CFG, save_clip, with_end
from rewardkit.seedling.pipeline import SeedlingPipeline
from rewardkit.seedling.rewriter import build_rewriter
from rewardkit.seedling.text import (
    build_glyph_encoder,
    build_glyph_tokenizer,
    build_text_encoder,
    build_tokenizer,
    sample_captions,
)
from rewardkit.seedling.transformer import SeedlingTransformer
from rewardkit.seedling.vae import SeedlingVAE


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer of seedling, trained on a few captions."""
    return build_tokenizer(sample_captions(200), vocab_size=400)


def tiny_pipeline(seed: int = 0) -> SeedlingPipeline:
    """Build a pipeline with random weights in memory; it generates noise at 32 px, not posters.

    Layers that are zero at the start of training are random here, so that every input affects the output.
    """
    torch.manual_seed(seed)
    tokenizer = tiny_tokenizer()
    transformer = SeedlingTransformer(
        in_channels=4, sample_size=8, width=32, heads=2, layers=2, text_dim=32, glyph_dim=32, max_text=40, max_glyphs=12
    )
    for parameter in transformer.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    return SeedlingPipeline(
        transformer=transformer.eval(),
        vae=SeedlingVAE(width=16, encoder_blocks=1, decoder_blocks=1, latent_channels=4).eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0),
        text_encoder=build_text_encoder(tokenizer, width=32, layers=1).eval(),
        tokenizer=tokenizer,
        glyph_encoder=build_glyph_encoder(width=32, layers=1).eval(),
        glyph_tokenizer=build_glyph_tokenizer(),
    )


def tiny_clip(folder: Path, seed: int = 0) -> Path:
    """Write an open_clip folder with random weights: 64 px, 64 patch tokens."""
    torch.manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    with_end(build_tokenizer(sample_captions(4000))).save_pretrained(folder)
    save_clip(CLIP(**MODEL_CFG), folder)
    return folder


def tiny_rewriter(folder: Path, seed: int = 0) -> Path:
    """Write a causal language model with random weights and a chat template."""
    torch.manual_seed(seed)
    tokenizer = tiny_tokenizer()
    model = build_rewriter(tokenizer, width=32, layers=2)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder

"""Train seedling's transformer and both of its text encoders together, by flow matching on posters' latents.

Rectified flow: `x_sigma = (1 - sigma) x_0 + sigma noise`, the target is `noise - x_0` (Liu et al. 2022,
arXiv:2209.03003), noise levels are logit-normal (arXiv:2403.03206). The text encoders start from random weights and
are trained with the transformer, as Seedream tunes its LLM on text-image pairs. Exported weights are an EMA.
"""

from collections.abc import Callable

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from rewardkit.seedling.pipeline import SeedlingPipeline
from rewardkit.seedling.text import (
    build_glyph_encoder,
    build_glyph_tokenizer,
    build_text_encoder,
    build_tokenizer,
    sample_captions,
)
from rewardkit.seedling.transformer import SeedlingTransformer
from rewardkit.seedling.vae import SeedlingVAE
from rewardkit.training.average import Average, put
from rewardkit.training.flow_matching import flow_loss
from rewardkit.training.learner import Learner
from rewardkit.training.schedule import shares
from rewardkit.types import Scalar
from rewardkit.workflows.seedling.data import Noise, PosterSet, training_caption
from rewardkit.workflows.seedling.muon import Muon
from rewardkit.workflows.seedling.part import PartConfig, train_part

EMPTY_SHARE = 0.05
"""Fraction of prompts dropped, for guidance."""


def build_pipeline(vae: SeedlingVAE) -> SeedlingPipeline:
    """Combine a trained VAE with a transformer and text encoders with random weights."""
    tokenizer = build_tokenizer(sample_captions(4000))
    return SeedlingPipeline(
        transformer=SeedlingTransformer(),
        vae=vae,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0),
        text_encoder=build_text_encoder(tokenizer),
        tokenizer=tokenizer,
        glyph_encoder=build_glyph_encoder(),
        glyph_tokenizer=build_glyph_tokenizer(),
    )


def train_base(
    vae: SeedlingVAE,
    posters: PosterSet,
    config: PartConfig,
    each: Callable[[int, SeedlingPipeline], None] = lambda step, pipeline: None,
) -> SeedlingPipeline:
    """Train from scratch; `each` is called after every checkpoint with the averaged weights in place."""
    torch.manual_seed(config.seed)
    pipeline = build_pipeline(vae).to(config.device)
    latents = encode_posters(vae, posters, torch.device(config.device))
    modules = nn.ModuleDict(
        {name: getattr(pipeline, name) for name in ("transformer", "text_encoder", "glyph_encoder")}
    )
    parameters = dict(modules.named_parameters())
    average = Average(parameters, EMAModel(modules.parameters(), decay=0.999))
    learner = Learner(
        parameters, build_optimizers(modules), shares(lambda step: rate(step, config.updates)), average=average
    )

    def update() -> dict[str, float]:
        generator = config.generator(learner.step)
        index = torch.randint(len(latents), (config.batch_size,), generator=generator)
        captions = [training_caption(posters.scenes[i], generator, Noise()) for i in index.tolist()]
        loss = base_loss(pipeline, latents[index].to(config.device).float(), captions, generator)
        learner.update(loss)
        return {"loss": loss.item()}

    def show(step: int) -> None:
        with learner.averaged():
            each(step, pipeline)

    train_part(config, learner, update, each=show)
    put(learner.parameters, average.weights)
    return pipeline


def base_loss(pipeline: SeedlingPipeline, latents: Tensor, captions: list[str], generator: torch.Generator) -> Scalar:
    """Flow-matching loss at random noise levels."""
    empty = torch.rand(len(captions), generator=generator) < EMPTY_SHARE
    prompts = ["" if gone else caption for caption, gone in zip(captions, empty.tolist(), strict=True)]
    sigma = torch.sigmoid(torch.randn(len(latents), generator=generator)).to(latents)
    noise = torch.randn(latents.shape, generator=generator).to(latents)
    noisy = torch.lerp(latents, noise, sigma.view(-1, 1, 1, 1))  # `noised` rounds differently
    conditioning = pipeline.encode_prompt(prompts, pad_to_multiple_of=8)
    velocity = pipeline.transformer(noisy, sigma, **conditioning, return_dict=False)[0]
    return flow_loss(velocity, latents, noise)


@torch.no_grad()
def encode_posters(vae: SeedlingVAE, posters: PosterSet, device: torch.device) -> Tensor:
    """Encode every poster once to standardised latents, stored as float16."""
    index = torch.arange(len(posters.pixels)).split(256)
    batches = [vae.posterior(posters.images(i).to(device) * 2 - 1).mean for i in index]
    return torch.cat([vae.standardise(batch).half().cpu() for batch in batches])


def build_optimizers(modules: nn.ModuleDict) -> dict[str, torch.optim.Optimizer]:
    """Muon for the matrices of the transformer's blocks, AdamW for all other weights."""
    matrices = [
        p for name, p in modules.named_parameters() if ".blocks." in name and p.ndim == 2 and "norm1" not in name
    ]
    chosen = {id(p) for p in matrices}
    others = [p for p in modules.parameters() if id(p) not in chosen]
    adam = torch.optim.AdamW(others, lr=1e-3, betas=(0.9, 0.98), weight_decay=0.01)
    return {"muon": Muon(matrices, lr=2e-3), "adam": adam}


def rate(step: int, steps: int) -> float:
    """Warm up over 200 updates, stay constant, and decay to a hundredth over the last third."""
    return min(1.0, (step + 1) / 200, max(0.01, (steps - step) / (steps / 3)))

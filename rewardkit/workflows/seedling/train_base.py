"""Train seedling's transformer and both of its text encoders together, by flow matching on posters' latents.

Rectified flow: `x_sigma = (1 - sigma) x_0 + sigma noise`, the target is `noise - x_0` (Liu et al. 2022,
arXiv:2209.03003), noise levels are logit-normal (arXiv:2403.03206). The text encoders start from random weights and
learn with the transformer, as Seedream tunes its LLM on text-image pairs. Exported weights are a moving average.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from rewardkit.io.progress import Progress
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
from rewardkit.types import Scalar
from rewardkit.workflows.seedling.data import Noise, PosterSet, training_caption
from rewardkit.workflows.seedling.muon import Muon

EMPTY_SHARE = 0.05
"""Share of prompts left empty, for guidance."""


def build_pipeline(vae: SeedlingVAE) -> SeedlingPipeline:
    """Put a trained VAE together with a transformer and text encoders of random weights."""
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
    steps: int,
    batch_size: int,
    seed: int,
    device: torch.device,
    *,
    each: Callable[[int, SeedlingPipeline], None] = lambda step, pipeline: None,
    checkpoint: Path | None = None,
    compile_blocks: bool = False,
) -> SeedlingPipeline:
    """Train for `steps` updates; `each` is called after every 250 with the averaged weights in place.

    With a checkpoint path, training goes on from that file where it exists and writes to it every 250 updates.
    """
    torch.manual_seed(seed)
    pipeline = build_pipeline(vae).to(device)
    if compile_blocks:
        for block in pipeline.transformer.blocks:
            block.compile(dynamic=False)
    latents = encode_posters(vae, posters, device)
    modules = nn.ModuleDict(
        {name: getattr(pipeline, name) for name in ("transformer", "text_encoder", "glyph_encoder")}
    )
    optimizers = build_optimizers(modules)
    schedules = [torch.optim.lr_scheduler.LambdaLR(o, lambda step: rate(step, steps)) for o in optimizers]
    average = EMAModel(modules.parameters(), decay=0.999)
    start = restore(checkpoint, modules, optimizers, schedules, average)
    with Progress("base", steps, start=start) as bar:
        for step in range(start, steps):
            generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
            index = torch.randint(len(latents), (batch_size,), generator=generator)
            captions = [training_caption(posters.scenes[i], generator, Noise()) for i in index.tolist()]
            loss = flow_loss(pipeline, latents[index].to(device).float(), captions, generator)
            loss.backward()
            nn.utils.clip_grad_norm_(modules.parameters(), 1.0)
            for optimizer, schedule in zip(optimizers, schedules, strict=True):
                optimizer.step()
                optimizer.zero_grad()
                schedule.step()
            average.step(modules.parameters())
            bar.update(loss=loss.item())
            if (step + 1) % 250 == 0 or step + 1 == steps:
                save(checkpoint, step + 1, modules, optimizers, schedules, average)
                average.store(modules.parameters())
                average.copy_to(modules.parameters())
                each(step + 1, pipeline)
                average.restore(modules.parameters())
    average.copy_to(modules.parameters())
    return pipeline


def flow_loss(pipeline: SeedlingPipeline, latents: Tensor, captions: list[str], generator: torch.Generator) -> Scalar:
    """Mean squared error of the velocity at random noise levels."""
    empty = torch.rand(len(captions), generator=generator) < EMPTY_SHARE
    prompts = ["" if gone else caption for caption, gone in zip(captions, empty.tolist(), strict=True)]
    sigma = torch.sigmoid(torch.randn(len(latents), generator=generator)).to(latents)
    noise = torch.randn(latents.shape, generator=generator).to(latents)
    noisy = torch.lerp(latents, noise, sigma.view(-1, 1, 1, 1))
    conditioning = pipeline.encode_prompt(prompts, pad_to_multiple_of=8)
    velocity = pipeline.transformer(noisy, sigma, **conditioning, return_dict=False)[0]
    return nn.functional.mse_loss(velocity, noise - latents)


@torch.no_grad()
def encode_posters(vae: SeedlingVAE, posters: PosterSet, device: torch.device) -> Tensor:
    """Encode every poster once to standardised latents, kept as float16."""
    index = torch.arange(len(posters.pixels)).split(256)
    batches = [vae.posterior(posters.images(i).to(device) * 2 - 1).mean for i in index]
    return torch.cat([vae.standardise(batch).half().cpu() for batch in batches])


def build_optimizers(modules: nn.ModuleDict) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the transformer's blocks, AdamW for all other weights."""
    matrices = [
        p for name, p in modules.named_parameters() if ".blocks." in name and p.ndim == 2 and "norm1" not in name
    ]
    chosen = {id(p) for p in matrices}
    others = [p for p in modules.parameters() if id(p) not in chosen]
    return [Muon(matrices, lr=2e-3), torch.optim.AdamW(others, lr=1e-3, betas=(0.9, 0.98), weight_decay=0.01)]


def rate(step: int, steps: int) -> float:
    """Warm up over 200 updates, stay, and fall to a hundredth over the last third."""
    return min(1.0, (step + 1) / 200, max(0.01, (steps - step) / (steps / 3)))


def save(
    path: Path | None,
    step: int,
    modules: nn.Module,
    optimizers: list[torch.optim.Optimizer],
    schedules: list[torch.optim.lr_scheduler.LambdaLR],
    average: EMAModel,
) -> None:
    """Write everything that going on needs, to a temporary name first."""
    if path is None:
        return
    state = {
        "step": step,
        "modules": modules.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "schedules": [schedule.state_dict() for schedule in schedules],
        "average": average.state_dict(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)


def restore(
    path: Path | None,
    modules: nn.Module,
    optimizers: list[torch.optim.Optimizer],
    schedules: list[torch.optim.lr_scheduler.LambdaLR],
    average: EMAModel,
) -> int:
    """Go on from a checkpoint, if there is one; return the number of updates already done."""
    if path is None or not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    modules.load_state_dict(state["modules"])
    for optimizer, value in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(value)
    for schedule, value in zip(schedules, state["schedules"], strict=True):
        schedule.load_state_dict(value)
    average.load_state_dict(state["average"])
    return int(state["step"])

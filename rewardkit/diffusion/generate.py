"""`rewardkit generate`: generate images from prompts with a base, optionally with LoRAs."""

from pathlib import Path

import torch

from rewardkit.diffusion.config import GenerateConfig
from rewardkit.diffusion.cut import warn_cut
from rewardkit.diffusion.load import load_base
from rewardkit.diffusion.load_lora import load_loras
from rewardkit.diffusion.sampler import Sampler, SamplingConfig, image_seed
from rewardkit.errors import UserError
from rewardkit.images import grid, load_image, resize, save_image
from rewardkit.io.jsonl import write_rows
from rewardkit.prompts import Prompt, read_prompts
from rewardkit.training.device import pick_dtype

SHEET = 64
"""Maximum number of images on the contact sheet."""


def generate(config: GenerateConfig) -> None:
    """Generate images from prompts with a base, optionally with LoRAs."""
    prompts = wanted(config)
    sampling = SamplingConfig(config.steps, config.guidance, config.seed, config.batch_size, config.size or None)
    base = load_base(config.base, config.device, pick_dtype(config.dtype, config.device))
    load_loras(base, config.lora)
    warn_cut((prompt.text for prompt in prompts), base)
    config.out.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for images in Sampler(base, sampling).batches([prompt.text for prompt in prompts], progress=True):
        for image in images:
            paths.append(config.out / f"{len(paths):05d}.png")
            save_image(image, paths[-1])
    write_prompts(prompts, paths, config.seed, config.out / "prompts.jsonl")
    contact_sheet(paths[:SHEET], config.out / "grid.png")
    print(f"{len(paths)} images in {config.out}")


def wanted(config: GenerateConfig) -> list[Prompt]:
    """The prompts from either the file or the command line."""
    if (config.prompts is None) == (not config.prompt):
        raise UserError("give either --prompts FILE or --prompt TEXT, not both")
    prompts = (
        [Prompt(text, {}) for text in config.prompt]
        if config.prompts is None
        else read_prompts(config.prompts, config.column)
    )
    if not prompts:
        raise UserError(f"{config.prompts} holds no prompts; write one a line")
    return prompts


def write_prompts(prompts: list[Prompt], paths: list[Path], seed: int, path: Path) -> None:
    """One row per image; `seed` is that of its generator, to reproduce the image with a stock pipeline."""
    rows = [
        {**prompt.tags, "prompt": prompt.text, "image": image.name, "seed": image_seed(seed, index)}
        for index, (prompt, image) in enumerate(zip(prompts, paths, strict=True))
    ]
    write_rows(path, rows)


def contact_sheet(paths: list[Path], path: Path) -> None:
    """Arrange the images on one sheet, none larger than 256 pixels."""
    images = torch.stack([load_image(each) for each in paths])
    shown = resize(images, 256) if images.shape[-1] > 256 else images
    save_image(grid(shown, columns=8 if len(paths) > 16 else 4), path)

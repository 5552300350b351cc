"""`rewardkit generate`: draw images of prompts with a base, and with LoRAs on it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from rewardkit.diffusion.load import load_base
from rewardkit.diffusion.load_lora import load_loras
from rewardkit.diffusion.sampling import image_batches, image_seed
from rewardkit.errors import UserError
from rewardkit.images import grid, load_image, resize, save_image
from rewardkit.io.jsonl import write_rows
from rewardkit.prompts import Prompt, read_prompts

SHEET = 64
"""Most images on the contact sheet."""


@dataclass(frozen=True)
class GenerateConfig:
    """Options of `rewardkit generate`."""

    out: Path
    """Folder to write to: 00000.png, ..., prompts.jsonl and the contact sheet grid.png."""
    prompts: Path | None = None
    """File of prompts: .txt, .jsonl, .csv or .tsv."""
    prompt: tuple[str, ...] = ()
    """Prompts on the command line, instead of a file."""
    base: str = "seedling"
    """The model: "seedling", a folder in diffusers format, or a hub id."""
    lora: tuple[Path, ...] = ()
    """LoRA folders to load, such as the `lora` folder of a refl run."""
    steps: int = 10
    """Sampling steps from noise to image."""
    guidance: float = 1.0
    """Classifier-free guidance scale; 1 means none."""
    seed: int = 0
    """Random seed; the noise of image i depends only on this seed and on i."""
    size: int = 0
    """Height and width in pixels; 0 uses the default of the base."""
    batch_size: int = 16
    """Images generated at once."""
    device: str = "cpu"
    """Device: cpu, cuda, cuda:1 or mps."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Precision of the base."""


def generate(config: GenerateConfig) -> None:
    """Generate one image per prompt. Every batch is written as soon as it is done."""
    prompts = wanted(config)
    base = load_base(config.base, config.device, getattr(torch, config.dtype))
    load_loras(base, config.lora)
    config.out.mkdir(parents=True, exist_ok=True)
    batches = image_batches(
        base, [prompt.text for prompt in prompts], steps=config.steps, guidance=config.guidance, seed=config.seed,
        batch_size=config.batch_size, size=config.size or None, progress=True,
    )  # fmt: skip
    paths: list[Path] = []
    for images in batches:
        for image in images:
            paths.append(config.out / f"{len(paths):05d}.png")
            save_image(image, paths[-1])
    write_prompts(prompts, paths, config.seed, config.out / "prompts.jsonl")
    contact_sheet(paths[:SHEET], config.out / "grid.png")
    print(f"{len(paths)} images in {config.out}")


def wanted(config: GenerateConfig) -> list[Prompt]:
    """The prompts of the file or of the command line, one of the two."""
    if config.batch_size < 1:
        raise UserError(f"batch_size must be 1 or more; got {config.batch_size}")
    if (config.prompts is None) == (not config.prompt):
        raise UserError("give either --prompts FILE or --prompt TEXT, and not both")
    prompts = [Prompt(text, {}) for text in config.prompt] if config.prompts is None else read_prompts(config.prompts)
    if not prompts:
        raise UserError(f"{config.prompts} holds no prompts; write one a line")
    return prompts


def write_prompts(prompts: list[Prompt], paths: list[Path], seed: int, path: Path) -> None:
    """One row an image; `seed` is that of its generator, for the same image from a stock pipeline."""
    rows = [
        {**prompt.tags, "prompt": prompt.text, "image": image.name, "seed": image_seed(seed, index)}
        for index, (prompt, image) in enumerate(zip(prompts, paths, strict=True))
    ]
    write_rows(path, rows)


def contact_sheet(paths: list[Path], path: Path) -> None:
    """Lay the images out on one sheet, none larger than 256 pixels."""
    images = torch.stack([load_image(each) for each in paths])
    shown = resize(images, 256) if images.shape[-1] > 256 else images
    save_image(grid(shown, columns=8 if len(paths) > 16 else 4), path)

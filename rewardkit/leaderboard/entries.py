"""Entries of a leaderboard: folders of images, or models that generate images from the same prompts and noise."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rewardkit.data.image_folder import ImageFolder, read_image_folder
from rewardkit.diffusion.config import GenerateConfig
from rewardkit.diffusion.generate import generate
from rewardkit.diffusion.load import BUILT_IN
from rewardkit.errors import UserError
from rewardkit.io.jsonl import write_rows
from rewardkit.io.named import split_name
from rewardkit.prompts import Prompt
from rewardkit.training.device import DTypeName


@dataclass(frozen=True)
class Drawing:
    """Sampling settings of models; the noise of prompt i depends only on (seed, i), so all models share it."""

    steps: int
    guidance: float
    seed: int
    batch_size: int
    device: str
    dtype: DTypeName = "auto"


@dataclass(frozen=True)
class Entry:
    """A named folder of images with their prompts."""

    name: str
    source: str
    folder: ImageFolder


def parse_entry(text: str) -> tuple[str, str]:
    """Split `NAME=SOURCE`; without a name, the last part of the source names it."""
    name, source = split_name(text)
    if source == text:
        name = Path(text).name or text
    if not name.strip() or not source.strip():
        raise UserError(f"an entry is NAME=FOLDER or NAME=MODEL, like base=runs/base/images; got {text!r}")
    return name.strip(), source.strip()


def parse_entries(texts: Sequence[str]) -> dict[str, str]:
    """Read the entries in order; names must be distinct."""
    if not texts:
        raise UserError("nothing to compare; give entries, like --entry base=FOLDER --entry tuned=FOLDER")
    pairs = [parse_entry(text) for text in texts]
    names = [name for name, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UserError(f"two entries are called {twice!r}; give them different names, like --entry other=FOLDER")
    return dict(pairs)


def read_entry(
    name: str, source: str, prompts: Sequence[Prompt] | None, drawing: Drawing, limit: int, out: Path
) -> Entry:
    """Read a folder of images, or generate images with a model for the prompt file into `out`."""
    if is_images(source):
        return Entry(name, source, read_image_folder(Path(source), prompts))
    if prompts is None:
        raise UserError(f"entry {name!r} is a model ({source}), so it needs prompts; give them with --prompts FILE")
    draw(source, prompts[:limit] if limit else prompts, drawing, out)
    return Entry(name, source, read_image_folder(out))


def is_images(source: str) -> bool:
    """Whether a source is images: a folder without model_index.json, or a missing path (reported later)."""
    base = source.partition("+")[0]
    if Path(source).is_dir():
        return not (Path(source) / "model_index.json").is_file()
    is_model = base in BUILT_IN or (Path(base) / "model_index.json").is_file() or is_hub_id(base)
    return not is_model


def is_hub_id(text: str) -> bool:
    return text.count("/") == 1 and text[0] not in "./~" and not Path(text.partition("/")[0]).exists()


def draw(spec: str, prompts: Sequence[Prompt], drawing: Drawing, out: Path) -> None:
    """Generate a model's images and their prompts.jsonl into a folder; `BASE+LORA` adds LoRA folders to a base."""
    base, *loras = spec.split("+")
    rows = [{**prompt.tags, "prompt": prompt.text} for prompt in prompts]
    chosen = out.with_name(f"{out.name}-prompts.jsonl")
    write_rows(chosen, rows)
    generate(
        GenerateConfig(
            out,
            chosen,
            base=base,
            lora=tuple(map(Path, loras)),
            steps=drawing.steps,
            guidance=drawing.guidance,
            seed=drawing.seed,
            batch_size=drawing.batch_size,
            device=drawing.device,
            dtype=drawing.dtype,
        )
    )

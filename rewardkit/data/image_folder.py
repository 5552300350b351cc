"""Match the images of a folder with prompts: from a list in the folder, a prompt file, text files, or file names.

Four layouts are supported; the first that fits is used:

1. `prompts.jsonl` in the folder, as `rewardkit generate` writes it, or `metadata.jsonl`, `.csv` or `.tsv`: a row has
   the image's name (`image`, `file_name`, `file` or `path`) and its prompt (`prompt`, `caption` or `text`); other
   columns are tags.
2. A prompt file given in addition to the folder: image names are matched to its prompts, or else, if the counts agree,
   the images in order of their names.
3. `NAME.txt` or `NAME.caption` next to `NAME.png`, with the prompt inside.
4. The file's name is the prompt, as in the images of many papers.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rewardkit.errors import UserError
from rewardkit.images import list_images
from rewardkit.images.files import is_image_name
from rewardkit.io.named import find_named
from rewardkit.io.text import read_text
from rewardkit.prompts import Prompt, read_prompts

LISTS = ("prompts.jsonl", "metadata.jsonl", "metadata.csv", "metadata.tsv")
CAPTIONS = (".txt", ".caption")
"""Endings of a text file beside an image that holds its prompt; the first that is there counts."""
CONTACT_SHEET = "grid.png"
IMAGE_KEYS = ("image", "file_name", "file", "path")


@dataclass(frozen=True)
class Item:
    """An image file, its prompt, and tags of the prompt (such as its category)."""

    path: Path
    prompt: str
    tags: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ImageFolder:
    """The images of a folder with their prompts, and what could not be matched."""

    items: tuple[Item, ...]
    layout: str
    """How the prompts were found, as a message for the user."""
    missing: tuple[str, ...] = ()
    """Files that are listed but missing, and prompts without an image."""
    unmatched: tuple[str, ...] = ()
    """Images without a prompt, or with an empty one, left out."""


def read_image_folder(folder: Path, prompts: Sequence[Prompt] | Path | None = None) -> ImageFolder:
    """Read a folder of images; raise `UserError` if it does not exist, has no image, or no image has a prompt."""
    if not folder.is_dir():
        raise UserError(f"no folder of images at {folder}; check the path")
    listed = next((folder / name for name in LISTS if (folder / name).is_file()), None)
    images = [] if listed else list_images(folder)
    if listed:
        found = from_list(listed)
    elif prompts:
        given = read_prompts(prompts) if isinstance(prompts, Path) else prompts
        found = from_prompts(images, given, prompts.name if isinstance(prompts, Path) else "the prompt file")
    elif any(caption_file(image) for image in images):
        found = from_text_files(images)
    else:
        found = from_names(images)
    if not found.items:
        raise UserError(
            f"no image of {folder} has a prompt ({found.layout}); put a prompts.jsonl next to them, with rows like "
            '{"image": "0001.png", "prompt": "a red circle"}, or give a prompt file'
        )
    return found


def from_list(listed: Path) -> ImageFolder:
    """Use a list of rows in the folder; images that are not listed are left out and counted."""
    rows = [listed_item(listed, prompt) for prompt in read_prompts(listed, empty_too=True)]
    named = {item.path for item in rows if item.prompt}
    return ImageFolder(
        tuple(item for item in rows if item.path.is_file() and item.prompt),
        f"prompts from {listed.name}",
        missing=tuple(item.path.name for item in rows if not item.path.is_file()),
        unmatched=tuple(image.name for image in images_in(listed.parent) if image not in named),
    )


def images_in(folder: Path) -> list[Path]:
    """List a folder's images except the contact sheet; may be empty, as a list may name images in sub-folders."""
    return sorted(path for path in folder.iterdir() if is_image_name(path.name) and path.name != CONTACT_SHEET)


def listed_item(listed: Path, prompt: Prompt) -> Item:
    """Read one row of a list; every key that is neither the image nor the prompt is a tag."""
    key = next((key for key in IMAGE_KEYS if isinstance(prompt.tags.get(key), str)), None)
    if key is None:
        raise UserError(
            f"{listed} does not say which image {prompt.text!r} belongs to; each row needs one, like "
            '{"image": "0001.png", "prompt": "a red circle"}'
        )
    nested = prompt.tags.get("tags")
    tags = nested if isinstance(nested, dict) else prompt.tags
    return Item(
        find_named(listed.parent, prompt.tags[key]), prompt.text, {name: tags[name] for name in tags if name != key}
    )


def from_prompts(images: Sequence[Path], prompts: Sequence[Prompt], source: str) -> ImageFolder:
    """Match images to prompts by name if names are prompts, else in order if the counts agree."""
    by_name: dict[str, Prompt] = {}
    alike: dict[str, Prompt] = {}
    for prompt in prompts:
        first = by_name.setdefault(as_name(prompt.text), prompt)
        if first.text != prompt.text:
            alike.setdefault(as_name(prompt.text), prompt)
    matched = {image: by_name[name] for image in images if (name := as_name(image.stem)) in by_name}
    for image in matched:
        if other := alike.get(as_name(image.stem)):
            raise UserError(
                f"{image} may be of two prompts of {source}: {by_name[as_name(image.stem)].text!r} and {other.text!r}; "
                "put a prompts.jsonl beside the images"
            )
    if not matched and len(images) == len(prompts):
        matched = dict(zip(images, prompts, strict=True))
        how = f"prompts from {source}, in the order of the file names"
    elif not matched:
        raise UserError(
            f"{len(images)} images and {len(prompts)} prompts of {source} cannot be matched: no name is a prompt and "
            "the counts differ; put a prompts.jsonl next to the images"
        )
    else:
        how = f"prompts from {source}, matched by file name"
    used = {prompt.text for prompt in matched.values()}
    return ImageFolder(
        tuple(Item(image, prompt.text, prompt.tags) for image, prompt in matched.items()),
        how,
        missing=tuple(prompt.text for prompt in prompts if prompt.text not in used),
        unmatched=tuple(image.name for image in images if image not in matched),
    )


def as_name(text: str) -> str:
    """Reduce a prompt to what a file name can contain (letters and digits), to match the two."""
    return "".join(letter for letter in unicodedata.normalize("NFC", text).casefold() if letter.isalnum())


def from_text_files(images: Sequence[Path]) -> ImageFolder:
    prompts = {image: read_text(text).strip() if (text := caption_file(image)) else "" for image in images}
    return ImageFolder(
        tuple(Item(image, prompt) for image, prompt in prompts.items() if prompt),
        "prompts from a text file beside each image",
        unmatched=tuple(image.name for image, prompt in prompts.items() if not prompt),
    )


def caption_file(image: Path) -> Path | None:
    """Find the text file beside an image."""
    return next((path for ending in CAPTIONS if (path := image.with_suffix(ending)).is_file()), None)


def from_names(images: Sequence[Path]) -> ImageFolder:
    """Use the file's name as its prompt; a name without a letter (`0001.png`) is not a prompt."""
    named = [image for image in images if any(letter.isalpha() for letter in image.stem)]
    return ImageFolder(
        tuple(Item(image, image.stem) for image in named),
        "file names used as prompts",
        unmatched=tuple(image.name for image in images if image not in named),
    )

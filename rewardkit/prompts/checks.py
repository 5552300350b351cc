"""Check that a user's input is a list of prompts, one per image."""

from collections.abc import Sequence
from typing import Any

from rewardkit.errors import UserError


def check_prompts(prompts: Any, who: str, images: int | None = None) -> None:
    """Raise `UserError`, naming `who` needs it, unless this is a sequence of strings, one for each of `images`."""
    if isinstance(prompts, str):
        raise UserError(f"{who} needs a list of prompts; got the string {prompts[:40]!r}, so write [{prompts[:40]!r}]")
    if not isinstance(prompts, Sequence) or not all(isinstance(prompt, str) for prompt in prompts):
        raise UserError(f"{who} needs a list of prompts, each a string; got {described(prompts)}")
    if images is not None and len(prompts) != images:
        raise UserError(f"{who} needs one prompt per image; got {images} images and {len(prompts)} prompts")


def as_prompt(found: Any, where: str) -> str:
    """Take a cell as a prompt, which may be empty; raise `UserError` for what is no text, naming the place."""
    if not isinstance(found, str):
        problem = "is empty" if found is None else f"is no text but {shown(found)}"
        raise UserError(f"{where} {problem}; write one prompt, in quotation marks")
    try:
        found.encode()
    except UnicodeEncodeError as error:
        half = f"half a character ({found[error.start]!a} at {error.start})"
        raise UserError(f"{where} holds {half}, which is no text; write the whole character") from error
    return found


def shown(found: Any) -> str:
    """A value in a few letters."""
    text = repr(found)
    return text if len(text) <= 60 else f"{text[:57]}..."


def described(prompts: Any) -> str:
    """Describe what was passed instead of prompts."""
    if not isinstance(prompts, Sequence):
        return f"a value of type {type(prompts).__name__}"
    strange = next(prompt for prompt in prompts if not isinstance(prompt, str))
    return f"an item of type {type(strange).__name__}"

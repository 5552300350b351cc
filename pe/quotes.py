"""The guarantee that a rewriter never changes quoted text, which is what the user wants to read in the image.

A language model may drop, translate, misspell or invent quoted text. In any case `keep_quotes` returns a
prompt that quotes exactly what the original quoted: the rewrite, the repaired rewrite, or, at worst, the original.
"""

from collections import Counter
from itertools import pairwise

from rewardkit.prompts import language, quoted, quotes

_END = ".。!！ \n"


def quotes_kept(original: str, rewrite: str) -> bool:
    """Return whether the rewrite quotes exactly the texts of the original, each as often, in any order."""
    return Counter(quoted(original)) == Counter(quoted(rewrite))


def keep_quotes(original: str, rewrite: str) -> str:
    """Return a rewrite that quotes exactly what the original quotes.

    This is the rewrite itself if it does; else the rewrite with its wrong quotes replaced; else with the missing quotes
    appended; else the original prompt. An empty rewrite also gives the original.
    """
    rewrite = rewrite.strip()
    for attempt in (rewrite, _put_back(original, rewrite), _say_missing(original, rewrite)):
        if attempt and quotes_kept(original, attempt):
            return attempt
    return original


def _put_back(original: str, rewrite: str) -> str:
    """Replace, in order, every quote that is only in the rewrite by a quote that is only in the original."""
    places = spans(rewrite)
    extra, missing = _unmatched(original, rewrite)
    if len(extra) != len(missing):
        return ""
    swaps = dict(zip((places[index] for index in extra), missing, strict=True))
    pieces = [0, *(edge for span in swaps for edge in span), len(rewrite)]
    kept = [rewrite[start:end] for start, end in pairwise(pieces)][::2]
    return "".join(piece for pair in zip(kept, [*swaps.values(), ""], strict=True) for piece in pair)


def _say_missing(original: str, rewrite: str) -> str:
    """Append the missing quoted texts to the rewrite, in its own language."""
    _, missing = _unmatched(original, rewrite)
    body = rewrite.rstrip(_END)
    if not body or not missing:
        return ""
    match language(rewrite):
        case "zh":
            return f"{body}，文字是{'和'.join(missing)}。"
        case "ja":
            return f"{body}、文字は{'と'.join(missing)}。"
        case "ko":
            return f"{body}, 글자 {', '.join(missing)}."
        case _:
            return f"{body}, with the text {' and '.join(missing)}."


def _unmatched(original: str, rewrite: str) -> tuple[list[int], list[str]]:
    """Return the indices of quotes that are only in the rewrite, and of those that are only in the original."""
    spare = Counter(quoted(original))
    extra = []
    for index, text in enumerate(quoted(rewrite)):
        if spare[text]:
            spare[text] -= 1
        else:
            extra.append(index)
    missing = []
    for text, (start, end) in zip(quoted(original), spans(original), strict=True):
        if spare[text]:
            spare[text] -= 1
            missing.append(original[start:end])
    return extra, missing


def spans(prompt: str) -> list[tuple[int, int]]:
    """Return where each quoted text starts and ends, with its marks."""
    return [(quote.start, quote.end) for quote in quotes(prompt)]

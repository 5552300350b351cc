"""The promise that a rewriter never changes quoted text: it is what the user wants to read in the picture.

A language model may drop, translate, misspell or invent quoted text. Whatever it does, `keep_quotes` hands back a
prompt that quotes exactly what the original quoted: the rewrite, the rewrite mended, or, at worst, the original.
"""

from collections import Counter
from itertools import pairwise

from rewardkit.prompts import language, quoted, quotes

_END = ".。!！ \n"


def quotes_kept(original: str, rewrite: str) -> bool:
    """Say whether the rewrite quotes exactly the texts of the original, each as often, in any order."""
    return Counter(quoted(original)) == Counter(quoted(rewrite))


def keep_quotes(original: str, rewrite: str) -> str:
    """Give a rewrite that quotes exactly what the original quotes.

    The rewrite itself when it does; else the originals put in the place of what it quotes instead; else the missing
    ones said at its end; else the original prompt. An empty rewrite also gives the original.
    """
    rewrite = rewrite.strip()
    for attempt in (rewrite, _put_back(original, rewrite), _say_missing(original, rewrite)):
        if attempt and quotes_kept(original, attempt):
            return attempt
    return original


def _put_back(original: str, rewrite: str) -> str:
    """Replace, in order, every quote of the rewrite that the original lacks by one of the original that it lacks."""
    places = spans(rewrite)
    extra, missing = _unmatched(original, rewrite)
    if len(extra) != len(missing):
        return ""
    swaps = dict(zip((places[index] for index in extra), missing, strict=True))
    pieces = [0, *(edge for span in swaps for edge in span), len(rewrite)]
    kept = [rewrite[start:end] for start, end in pairwise(pieces)][::2]
    return "".join(piece for pair in zip(kept, [*swaps.values(), ""], strict=True) for piece in pair)


def _say_missing(original: str, rewrite: str) -> str:
    """Name, at the end of the rewrite, the quoted texts it left out, in its own language."""
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
    """Give the numbers of the rewrite's quotes that the original lacks, and the original's that the rewrite lacks."""
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
    """Give where each quoted text starts and ends, with its marks."""
    return [(quote.start, quote.end) for quote in quotes(prompt)]

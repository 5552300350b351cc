"""Shorten a long caption to the prompt a user would have typed, which gives training rows from captioned images.

This is the r -> u direction of Seedream 2.0 (arXiv:2503.07703, section 4.4), which degrades captions with an LLM.
A shortener is any function from text to text, named as "module:function"; `plain` needs no model.
"""

import re
from collections.abc import Callable

from pe.quotes import spans
from rewardkit.rewards.registry import resolve

Shorten = Callable[[str], str]

_CLAUSE = re.compile(r"[,，;；。]|\.(?:\s|$)")
_OPENING = re.compile(
    r"^(?:an? |the )?(?:[\w-]+ )?(?:photo|photograph|picture|image|poster|painting|illustration)"
    r"(?: of| with| showing)\s+",
    re.IGNORECASE,
)
_ARTICLE = re.compile(r"^(?:an?|the)\s+", re.IGNORECASE)


def plain(caption: str) -> str:
    """Keep the first clause, without its opening words and article, and the quoted text; drop everything else."""
    texts = [caption[start:end] for start, end in spans(caption)]
    hidden = caption.strip()
    for number, text in enumerate(texts):  # a comma inside quotes does not end a clause
        hidden = hidden.replace(text, f"\0{number}\0", 1)
    first = _CLAUSE.split(hidden, maxsplit=1)[0].strip()
    short = _ARTICLE.sub("", _OPENING.sub("", first))
    for number, text in enumerate(texts):
        hole = f"\0{number}\0"
        short = short.replace(hole, text) if hole in short else f"{short} {text}"
    return short.strip()


def load_shortener(name: str) -> Shorten:
    """Find a shortener by "module:function"; raise `UserError` if it does not exist."""
    shorten: Shorten = resolve(name)
    return shorten

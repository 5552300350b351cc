"""Normalisation of text for comparison, and distances on it.

`R_a = 1 - N_e / N` (arXiv:2503.07703, 5.1.2) leaves open what counts as a character. Here, before comparing: Unicode
NFKC (full-width letters become plain), case folded, and only letters and digits kept, so spaces, line breaks and
punctuation never matter. A text of nothing but symbols is compared with its symbols.
"""

import unicodedata
from collections import Counter

import numpy as np
from numpy.typing import NDArray


def kept(character: str) -> bool:
    """Return whether a character is compared: a letter, a mark or a digit."""
    return unicodedata.category(character)[0] in "LMN"


def normalise(text: str) -> str:
    """Normalise a text: NFKC, case folded, letters, marks and digits only (see the module)."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(filter(kept, folded)) or "".join(folded.split())


def accuracy(read: str, wanted: str) -> float:
    """Character accuracy `R_a = 1 - N_e / N`, with `N_e` edits from the text read to the `N` characters wanted.

    1 is exact; negative if there are more errors than wanted characters. Raises `ValueError` if nothing is wanted.
    """
    target = _target(wanted)
    return 1 - edit_distance(_comparable(read, target), target) / len(target)


def hit_rate(read: str, wanted: str) -> float:
    """Fraction of the wanted characters that were read, in any order and each counted once (a multiset), in [0, 1]."""
    target = _target(wanted)
    return (Counter(_comparable(read, target)) & Counter(target)).total() / len(target)


def _target(wanted: str) -> str:
    target = normalise(wanted)
    if not target:
        raise ValueError("the wanted text is empty, so nothing can be measured")
    return target


def _comparable(read: str, target: str) -> str:
    """Normalise recognised text; shapes read as symbols (a circle as ●) are kept only if symbols are wanted."""
    symbols = not any(character.isalnum() for character in target)
    reading = normalise(read)
    return reading if symbols or any(character.isalnum() for character in reading) else ""


def edit_distance(first: str, second: str) -> int:
    """Levenshtein distance: the fewest insertions, deletions and substitutions that turn one text into the other."""
    row: NDArray[np.int64] = np.arange(len(second) + 1)
    codes = np.array([ord(character) for character in second], dtype=np.int64)
    steps = np.arange(len(second) + 1)
    for character in first:
        changed = row + 1
        changed[1:] = np.minimum(changed[1:], row[:-1] + (codes != ord(character)))
        # Insertions run along the row: a running minimum of (value - position) handles all of them at once.
        row = np.minimum.accumulate(changed - steps) + steps
    return int(row[-1])

"""Several wanted texts in one picture: each is looked for by itself, in any order.

A text stands in a run of characters. A run may begin and end anywhere, goes on with the next word of its line, and from
the end of a word may go on at any word of a later line, because columns are read line by line. The edits of a text are
counted in the run that needs the fewest, so other text in the picture costs nothing; a text that is not found needs as
many as it has characters. A character that was read serves one text only: where texts want the same ones, each in turn
takes its best run, in the order of turns with the fewest edits.
"""

import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from rewardkit.ocr.text import accuracy, kept, normalise

Lines = Sequence[Sequence[str]]
"""What was read: the lines from top to bottom, and each line's pieces from left to right."""
TURNS = 4
"""Texts that want the same characters take turns in every order up to this many; of more, the longest goes first."""
MOST = 64
"""More texts than this are compared as one, joined in their order."""
CELLS = 2_000_000
"""Of all tables of edits, together; where they would be larger, the texts are compared as one."""
NOWHERE = 1 << 30


def joined(lines: Lines) -> str:
    """The pieces of all lines in reading order, with spaces between them."""
    return " ".join(piece for line in lines for piece in line).strip()


def accuracy_of(lines: Lines, wanted: Sequence[str]) -> float:
    """Character accuracy `R_a = 1 - N_e / N` over all wanted texts; of a single one, `accuracy` of all that was read.

    Of several it is in [0, 1]. Raises `ValueError` when nothing is wanted.
    """
    targets = [normalise(text) for text in wanted]
    size = sum(map(len, targets))
    read = Read(lines)
    if len(wanted) == 1 or len(wanted) > MOST or size * len(read.characters) > CELLS or not all(targets):
        return accuracy(joined(lines), " ".join(wanted))
    return 1 - fewest_edits(read, targets) / size


def fewest_edits(read: "Read", targets: Sequence[str]) -> int:
    """Edits that all targets need together, each character of the reading used once."""
    best = {target: read.best(target) for target in set(targets)}
    free = [(target, best[target]) for target in targets]
    uses = Counter(place for _, run in free for place in run.places)
    alone = [run for _, run in free if all(uses[place] == 1 for place in run.places)]
    contested = [target for target, run in free if any(uses[place] > 1 for place in run.places)]
    contested.sort(key=len, reverse=True)
    used = {place for run in alone for place in run.places}
    orders = set(permutations(contested)) if len(contested) <= TURNS else {tuple(contested)}
    return sum(run.edits for run in alone) + min(in_turn(read, order, used) for order in orders)


def in_turn(read: "Read", targets: Sequence[str], used: Collection[int]) -> int:
    """Edits of targets that take their best runs one after the other, of characters that are not yet used."""
    edits, taken = 0, set(used)
    for target in targets:
        run = read.best(target, taken)
        edits, taken = edits + run.edits, taken.union(run.places)
    return edits


Step = tuple[NDArray[np.int64], NDArray[np.int64]]
"""The fewest edits of a run that ends at a character, to each beginning of a text, and the step before it in that run
(-1: it begins here)."""


@dataclass(frozen=True)
class Run:
    """Where a text was found."""

    edits: int
    places: tuple[int, ...]
    """The characters of the reading that it uses."""


class Read:
    """A reading as characters, each with its word and its line."""

    def __init__(self, lines: Lines) -> None:
        words = [(row, word) for row, line in enumerate(lines) for piece in line for word in piece.split()]
        folded = [(row, unicodedata.normalize("NFKC", word).casefold()) for row, word in words]
        found = [(c, number, row) for number, (row, word) in enumerate(folded) for c in word if not c.isspace()]
        self.characters = [character for character, _, _ in found]
        self.words = [word for _, word, _ in found]
        self.rows = [row for _, _, row in found]

    @cached_property
    def letters(self) -> list[int]:
        """Places of what is compared where letters are wanted."""
        return [place for place, character in enumerate(self.characters) if kept(character)]

    def best(self, target: str, used: Collection[int] = ()) -> Run:
        """The run with the fewest edits to a normalised text; without a character where none is worth it."""
        places = self.letters if any(map(kept, target)) else list(range(len(self.characters)))
        if not set(target) & {self.characters[place] for place in places}:
            return Run(len(target), ())
        table = self.table(target, places, used)
        ends = [int(edits[-1]) for edits, _ in table]
        at = int(np.argmin(ends))
        if ends[at] >= len(target):
            return Run(len(target), ())
        return Run(ends[at], tuple(places[step] for step in traced(table, at)))

    def table(self, target: str, places: Sequence[int], used: Collection[int]) -> list[Step]:
        """A step for every place; over none that is used."""
        codes = np.array([ord(character) for character in target], dtype=np.int64)
        steps = np.arange(len(target) + 1)
        begin, nowhere = np.full(len(steps), -1), np.full(len(steps), NOWHERE)
        above, above_from = nowhere, begin
        ends: list[int] = []
        table: list[Step] = []
        for at, place in enumerate(places):
            last = places[at - 1] if at else None
            edits, before = steps, begin
            if last is not None and self.rows[last] == self.rows[place]:
                edits, before = least((edits, before), (table[-1][0], np.full(len(steps), at - 1)))
            else:
                for end in ends:  # every word of the lines above may go on here
                    above, above_from = least((above, above_from), (table[end][0], np.full(len(steps), end)))
                ends = []
            if last is None or self.words[last] != self.words[place]:
                edits, before = least((edits, before), (above, above_from))
            if place in used:
                table.append((nowhere, begin))
                continue
            changed = edits + 1
            changed[1:] = np.minimum(changed[1:], edits[:-1] + (codes != ord(self.characters[place])))
            table.append((np.minimum.accumulate(changed - steps) + steps, before))
            if at + 1 == len(places) or self.words[places[at + 1]] != self.words[place]:
                ends.append(at)
        return table


def least(first: Step, second: Step) -> Step:
    """The smaller edits, with where they come from; the first's where they are equal."""
    return np.minimum(first[0], second[0]), np.where(second[0] < first[0], second[1], first[1])


def traced(table: list[Step], at: int) -> list[int]:
    """The steps of the table that the best run to `at` goes through; where it can, it leaves a character unused."""
    path, left = [], len(table[at][0]) - 1
    while at >= 0:
        edits, before = table[at]
        while left and edits[left] == edits[left - 1] + 1:
            left -= 1  # this wanted character is missing
        path.append(at)
        if left and came(table, at, left) != edits[left] - 1:
            left -= 1  # read as this or as another character
        at = int(before[left])
    return path


def came(table: list[Step], at: int, left: int) -> int:
    """Edits to a beginning of the text before the character at a step was read."""
    source = int(table[at][1][left])
    return left if source < 0 else int(table[source][0][left])

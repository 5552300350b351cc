"""RapidOCR's recogniser (PP-OCR, from its wheel) as a frozen torch module: a line of text to characters in frames."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from rewardkit.errors import UserError
from rewardkit.ocr import characters, kept, normalise, recogniser_file
from rewardkit.ocr.onnx import Graph, TorchGraph, read_graph

HEIGHT = 48
"""Height of a line, in pixels."""
STRIDE = 8
"""Width of one output frame, in pixels."""
BLANK = 0
LINES = 16
"""Lines per batch."""

Line = Float[Tensor, "3 48 _"]
"""A line of text cropped from an image; RGB in [0, 1], its width a multiple of `STRIDE`."""

Frames = Float[Tensor, "_ classes"]
"""Log-probabilities over the width of a line; each frame sums to 1."""


class Recogniser(nn.Module):
    """Lines of text -> log-probabilities of the characters in every frame."""

    def __init__(self) -> None:
        super().__init__()
        self.graph = TorchGraph(_without_softmax(read_graph(recogniser_file())))
        self.characters = characters()
        self.requires_grad_(False).eval()

    def forward(self, lines: Float[Tensor, "lines 3 48 line_width"]) -> Float[Tensor, "lines frames classes"]:
        # BGR in [-1, 1], as in training. The logits are used, not the probabilities: their log-softmax
        # and its gradient stay finite.
        return self.graph(lines.flip(1) * 2 - 1).log_softmax(-1)

    def frames(self, lines: Sequence[Line]) -> list[Frames]:
        """Read lines of several widths; shorter ones are padded with grey on the right, as RapidOCR does."""
        found: list[Frames] = []
        for start in range(0, len(lines), LINES):
            part = lines[start : start + LINES]
            widest = max(line.shape[-1] for line in part)
            padded = [functional.pad(line, (0, widest - line.shape[-1]), value=0.5) for line in part]
            read = self(torch.stack(padded))
            found += [one[: line.shape[-1] // STRIDE] for one, line in zip(read, part, strict=True)]
        return found

    def text(self, frames: Frames) -> str:
        """Greedy decoding: the most likely character of every frame, without repeats and blanks."""
        best = torch.unique_consecutive(frames.argmax(-1)).tolist()
        return "".join(self.characters[index - 1] for index in best if index != BLANK)


def _without_softmax(graph: Graph) -> Graph:
    last = graph.nodes[-1]
    if last.operator != "Softmax" or last.outputs != graph.outputs:
        raise UserError("RapidOCR's recogniser does not end in a softmax; install rapidocr>=3.10,<4")
    return replace(graph, nodes=graph.nodes[:-1], outputs=last.inputs)


class Target:
    """A wanted text as groups of classes: characters that `rewardkit.ocr` treats as the same are one group.

    Group 0 is the blank with everything that is not compared (spaces; punctuation, unless only symbols are wanted);
    the last group is everything else, so that the groups of a frame sum to 1.
    """

    def __init__(self, wanted: str) -> None:
        """Raise `UserError` for characters that the recogniser does not know."""
        self.text = normalise(wanted)
        members = members_of(any(kept(character) for character in self.text))
        unknown = [character for character in self.text if character not in members]
        if unknown or not self.text:
            what = f"it does not know {unknown[0]!r}" if unknown else "it has no characters"
            raise UserError(f"{wanted!r} is not measurable by ocr-ctc: {what}; leave such prompts out of the text axis")
        letters = list(dict.fromkeys(self.text))
        self.labels = torch.tensor([1 + letters.index(character) for character in self.text])
        self.groups = [members[""], *(members[letter] for letter in letters)]
        taken = torch.cat(self.groups)
        rest = torch.ones(len(characters()) + 1, dtype=torch.bool).index_fill(0, taken, False)
        self.groups.append(rest.nonzero().flatten())

    def log_likelihood(self, frames: Frames) -> Float[Tensor, ""]:
        """CTC log-likelihood of the text (Graves et al. 2006) per character; -inf if there are too few frames."""
        # torch's gradient of ctc_loss is correct only for probabilities that sum to 1, hence the last group.
        grouped = torch.stack([frames[:, group.to(frames.device)].logsumexp(1) for group in self.groups], 1)
        labels = self.labels.to(frames.device)[None]
        lengths = torch.tensor([len(frames)]), torch.tensor([len(self.text)])
        loss = functional.ctc_loss(grouped[:, None], labels, *lengths, blank=0, reduction="none")
        return -loss[0] / len(self.text)

    @property
    def least_frames(self) -> int:
        """Frames that the text needs: one per character, and one between equal neighbours."""
        return len(self.text) + sum(one == other for one, other in zip(self.text, self.text[1:], strict=False))


@lru_cache
def members_of(letters: bool) -> dict[str, Tensor]:
    """Classes by normalised character; "" is what is not compared, with `letters` including punctuation."""
    members: dict[str, list[int]] = {"": [BLANK]}
    for index, character in enumerate(characters(), 1):
        compared = normalise(character) if kept(character) or not letters else ""
        if len(compared) <= 1:  # a ligature is two characters and belongs to the last group
            members.setdefault(compared, []).append(index)
    return {character: torch.tensor(indices) for character, indices in members.items()}

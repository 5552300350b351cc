"""Prompts that do not belong to an image: what teaches a head to read the prompt at all.

Preference pairs share their prompt, so a few thousand of them say little about what a prompt asks for. An image should
also score higher with its own prompt than with another's, and higher with its own text than with that text misspelt;
both comparisons cost no label.
"""

from dataclasses import fields, replace

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from rewardkit.types import Scalar, Scores
from rm.glyphs import PAD, Glyphs
from rm.heads import Features
from rm.losses import mismatch
from rm.model import RewardModel


def mismatch_loss(
    model: RewardModel,
    axis: str,
    features: Features,
    scores: Scores,
    label: Float[Tensor, " pairs"],
    generator: Generator,
) -> Scalar:
    """Compare the likelier image of a pair under its own prompt with the same image under a wrong one.

    Every other pair is enough, and half the work.

    `features` and `scores` are of the first images of the pairs, then of the second ones.
    """
    count = len(label)
    pairs = torch.arange(0, count, 2, device=label.device)
    label = label[pairs]
    better = torch.where(label >= 0.5, pairs, pairs + count)
    own = pick(features, better)
    wrong, differs = wrong_prompts(own, generator, misspell=axis == "text")
    other = model.judge(wrong, (axis,))[axis]
    return mismatch(scores[better], other, (differs & ~label.isnan()).to(other))


def wrong_prompts(features: Features, generator: Generator, *, misspell: bool) -> tuple[Features, Tensor]:
    """Give each image a prompt of another image, or its own text misspelt; and say where the two really differ."""
    count = len(features.glyphs)
    turn = int(torch.randint(1, max(count, 2), (), generator=generator))
    moved = torch.arange(count, device=features.glyphs.device).roll(turn)
    text, glyphs = features.text[moved], features.glyphs[moved]
    if misspell:
        wrong = torch.rand(count, generator=generator) < 0.5
        glyphs = torch.where(wrong.to(glyphs.device)[:, None], misspelt(features.glyphs, generator), glyphs)
        both = ((glyphs != PAD).any(1)) & ((features.glyphs != PAD).any(1))
        return replace(features, text=text, glyphs=glyphs), both & (glyphs != features.glyphs).any(1)
    return replace(features, text=text, glyphs=glyphs), (text != features.text).any(1)


def misspelt(glyphs: Glyphs, generator: Generator) -> Glyphs:
    """Replace one byte of each text by a byte of some text of the batch."""
    length = (glyphs != PAD).sum(1)
    place = (torch.rand(len(glyphs), generator=generator).to(length.device) * length).long()
    letters = glyphs[glyphs != PAD]
    if not len(letters):
        return glyphs
    drawn = letters[torch.randint(len(letters), (len(glyphs),), generator=generator).to(letters.device)]
    changed = glyphs.scatter(1, place[:, None], drawn[:, None])
    return torch.where(glyphs != PAD, changed, glyphs)


def pick(features: Features, rows: Tensor) -> Features:
    """Keep some rows of a batch."""
    return Features(*(getattr(features, one.name)[rows] for one in fields(features)))

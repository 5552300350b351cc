"""Wrong prompts for an image, which teach a head to read the prompt.

The images of a pair share their prompt, so a few thousand pairs teach little about prompts. An image should
also score higher with its own prompt than with another one, and higher with its own text than with a misspelling;
both comparisons need no labels.
"""

from dataclasses import fields, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor
from torch.nn import functional as F

from rewardkit.types import Scalar
from rm.glyphs import MAX_BYTES, PAD, Glyphs
from rm.heads import Features
from rm.losses import MemberScores, mismatch
from rm.model import RewardModel


def mismatch_loss(
    model: RewardModel,
    axis: str,
    features: Features,
    scores: MemberScores,
    label: Float[Tensor, " pairs"],
    generator: Generator,
) -> Scalar:
    """Compare the more likely image of a pair with its own prompt and with a wrong one.

    Only every other pair is used, which halves the work.

    `features` and `scores` are of the first images of the pairs, then of the second images.
    """
    count = len(label)
    pairs = torch.arange(0, count, 2, device=label.device)
    label = label[pairs]
    better = torch.where(label >= 0.5, pairs, pairs + count)
    return wrong_prompt_loss(model, axis, features, scores, better, ~label.isnan(), generator)


def wrong_prompt_loss(
    model: RewardModel,
    axis: str,
    features: Features,
    scores: MemberScores,
    chosen: Int[Tensor, " chosen"],
    judged: Bool[Tensor, " chosen"],
    generator: Generator,
) -> Scalar:
    """Compare judged images of a batch with their own prompts and with wrong prompts."""
    own = pick(features, chosen)
    wrong, differs = wrong_prompts(own, generator, misspell=axis == "text")
    other = model.judge(wrong, (axis,))[axis]
    return mismatch(scores[..., chosen], other, (differs & judged).to(other))


def wrong_prompts(features: Features, generator: Generator, *, misspell: bool) -> tuple[Features, Tensor]:
    """Give each image a prompt of another image, or its own text misspelt; also return where the two differ."""
    count = len(features.glyphs)
    turn = int(torch.randint(1, max(count, 2), (), generator=generator))
    moved = torch.arange(count, device=features.glyphs.device).roll(turn)
    text, glyphs = features.text[moved], features.glyphs[moved]
    if misspell:
        slips = misspelt(features.glyphs, generator)
        own, glyphs = (F.pad(one, (0, slips.shape[1] - one.shape[1]), value=PAD) for one in (features.glyphs, glyphs))
        wrong = torch.rand(count, generator=generator) < 0.5
        glyphs = torch.where(wrong.to(glyphs.device)[:, None], slips, glyphs)
        both = (glyphs != PAD).any(1) & (own != PAD).any(1)
        return replace(features, text=text, glyphs=glyphs), both & (glyphs != own).any(1)
    return replace(features, text=text, glyphs=glyphs), (text != features.text).any(1)


def misspelt(glyphs: Glyphs, generator: Generator) -> Int[Tensor, "batch slipped"]:
    """Make one error in each text: a byte replaced by one of the batch, swapped with the next, missing, or doubled.

    Image models make such errors. Returns (B, length + 1), for a doubled byte, up to the maximum length.
    """
    letters = glyphs[glyphs != PAD]
    if not len(letters):
        return glyphs
    length = (glyphs != PAD).sum(1, keepdim=True)
    glyphs = F.pad(glyphs, (0, int(glyphs.shape[1] < MAX_BYTES)), value=PAD)
    chance = torch.rand(len(glyphs), 1, generator=generator).to(glyphs.device)
    drawn = letters[torch.randint(len(letters), (len(glyphs), 1), generator=generator).to(glyphs.device)]
    replaced = glyphs.scatter(1, (chance * length).long(), drawn)
    at, here = (chance * (length - 1).clamp_min(1)).long(), torch.arange(glyphs.shape[1], device=glyphs.device)
    sources = (
        torch.where(here == at, at + 1, torch.where(here == at + 1, at, here)),
        here + (here >= at).long(),
        here - (here > at).long(),
    )
    with_end = F.pad(glyphs, (0, 1), value=PAD)
    slips = torch.stack([replaced, *(with_end.gather(1, source) for source in sources)])
    kind = torch.randint(len(slips), (len(glyphs),), generator=generator).to(glyphs.device)
    kind = kind.where(length[:, 0] > 1, 0)  # a single letter can only be replaced
    chosen = slips[kind, torch.arange(len(glyphs), device=glyphs.device)]
    return torch.where(length > 0, chosen, glyphs)


def pick(features: Features, rows: Tensor) -> Features:
    """Keep some rows of a batch."""
    return Features(*(getattr(features, one.name)[rows] for one in fields(features)))

"""The loss on rank lists: Plackett-Luce, of which Bradley-Terry is the case of two."""

import torch
from jaxtyping import Float
from torch import Tensor

from rewardkit.types import Scalar

Lists = Float[Tensor, "batch items"]
"""One number per image of a list (its score, or its rank), one list per row."""


def plackett_luce(scores: Lists, ranks: Lists) -> Scalar:
    """Negative log-likelihood of rankings, averaged over their choices (Luce 1959, Plackett 1975).

    A ranking of n images is n - 1 choices: the best of all, then the best of the rest, and so on. A smaller rank is
    better, and ranks need not be consecutive. NaN is an image that was not ranked, or padding, and is in no choice.

    Tied images are each chosen from the set that contains all of them, as in Breslow's (1974) partial likelihood.
    The last group of m images, which leaves no choice in a strict ranking, has weight (m - 1) / m, so that a list of
    two is exactly `bradley_terry` with a label of 1, 0 or, tied, 0.5.
    """
    ranked = ~ranks.isnan()
    # The images left when an image of this rank is chosen; an unranked image competes only with itself.
    there = (ranks[:, None, :] >= ranks[:, :, None]) | torch.eye(ranks.shape[1], dtype=torch.bool, device=ranks.device)
    rivals = scores[:, None, :].masked_fill(~there, -torch.inf)
    losses = rivals.logsumexp(-1) - scores
    return (choice_weights(ranks) * losses).sum() / (ranked.sum(1) - 1).clamp_min(0).sum().clamp_min(1)


def choice_weights(ranks: Lists) -> Lists:
    """Weight of the choice of each ranked image: 1, and (m - 1) / m in the last group of m; 0 for unranked images."""
    ranked = ~ranks.isnan()
    worst = ranks.masked_fill(~ranked, -torch.inf).amax(1, keepdim=True)
    last = ranks == worst
    size = last.sum(1, keepdim=True).clamp_min(1).to(ranks)
    return torch.where(last, (size - 1) / size, torch.ones_like(ranks)) * ranked

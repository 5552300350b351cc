"""Losses on Gaussian scores: the quality of an image and its uncertainty (HPSv3, arXiv:2508.03789).

With z the difference of two independent Gaussian scores, there are two losses for "the first is better":

- `expected_preference`: E[-log sigmoid(z)], the loss of HPSv3's code (`sampled_preference` is the published version, by
  sampling). -log sigmoid is convex, so more variance always costs more: under this loss alone uncertainties only
  shrink.
- `marginal_preference`: -log E[sigmoid(z)], the likelihood of the judgement with the scores integrated out. Where
  judgements contradict the means, a larger variance lowers the loss.

Both expectations are one-dimensional, so quadrature computes them to many digits without sampling noise.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn import functional as F

from rewardkit.types import PerImage, Scalar
from rm.losses.pairwise import MemberScores, filled, masked_mean

NODES = 129
REACH = 8.0
"""Nodes of the quadrature, evenly spaced over this many standard deviations on each side.

The trapezoid rule on a Gaussian times an analytic function converges faster than any power of the spacing; checked to
1e-9 for standard deviations up to 4, and good to 1 % at 30.
"""


@dataclass(frozen=True)
class Gaussian:
    """Scores as Gaussians."""

    mean: MemberScores
    log_variance: PerImage


def sampled_preference(
    first: Gaussian, second: Gaussian, label: PerImage, generator: Generator, samples: int = 1000
) -> Scalar:
    """The loss of HPSv3's code: the mean of Bradley-Terry losses over samples of the difference of scores."""
    mean, deviation = difference(first, second)
    noise = torch.randn((samples, *mean.shape), generator=generator, dtype=mean.dtype, device=generator.device)
    target, judged = filled(label)
    drawn = mean + deviation * noise.to(mean.device)
    losses = F.binary_cross_entropy_with_logits(drawn, target.expand_as(drawn), reduction="none")
    return masked_mean(losses.mean(0), judged)


def expected_preference(first: Gaussian, second: Gaussian, label: PerImage) -> Scalar:
    """The limit of `sampled_preference` for infinitely many samples; with variances of 0 it is Bradley-Terry."""
    values, weights = spread(*difference(first, second))
    target, judged = filled(label)
    losses = F.binary_cross_entropy_with_logits(values, target[..., None].expand_as(values), reduction="none")
    return masked_mean((losses * weights).sum(-1), judged)


def marginal_preference(first: Gaussian, second: Gaussian, label: PerImage) -> Scalar:
    """Cross-entropy of P(first is better) = E[sigmoid(z)] with a soft label."""
    values, weights = spread(*difference(first, second))
    target, judged = filled(label)
    logs = weights.log()
    win = (F.logsigmoid(values) + logs).logsumexp(-1)
    loss = (F.logsigmoid(-values) + logs).logsumexp(-1)
    return masked_mean(-(target * win + (1 - target) * loss), judged)


def difference(first: Gaussian, second: Gaussian) -> tuple[MemberScores, PerImage]:
    """Mean and standard deviation of the first score minus the second."""
    deviation = torch.logaddexp(first.log_variance, second.log_variance).div(2).exp()
    return first.mean - second.mean, deviation


def spread(
    mean: MemberScores, deviation: PerImage
) -> tuple[Float[Tensor, "*members batch nodes"], Float[Tensor, " nodes"]]:
    """Values of a Gaussian variable at the nodes of the quadrature, and the weights of the nodes, which sum to 1."""
    nodes = torch.linspace(-REACH, REACH, NODES, dtype=mean.dtype, device=mean.device)
    weights = torch.exp(-nodes.square() / 2)
    return mean[..., None] + deviation[..., None] * nodes, weights / weights.sum()

"""SimPO's loss as the paper writes it (Meng et al. 2024, arXiv:2405.14734).

Training goes through TRL's trainer, which is marked experimental there; these lines say what it must compute, and the
tests hold it to them.
"""

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from rewardkit.types import PerImage, Scalar


def mean_log_probability(logits: Float[Tensor, "batch tokens words"], labels: Int[Tensor, "batch tokens"]) -> PerImage:
    """Average over each answer the log-probability of its tokens; labels of -100 (prompt, padding) do not count.

    Logits at a position predict the label of the next one, as a causal language model gives them.
    """
    logits, labels = logits[:, :-1], labels[:, 1:]
    counted = labels != -100
    chosen = logits.log_softmax(-1).gather(-1, labels.where(counted, 0)[..., None])[..., 0]
    return (chosen * counted).sum(-1) / counted.sum(-1)


def simpo_loss(chosen: PerImage, rejected: PerImage, beta: float, gamma: float) -> Scalar:
    """Mean of `-log sigmoid(beta (chosen - rejected) - gamma)` over mean log-probabilities; no reference model.

    `gamma` is the margin the chosen answer must win by, in units of beta times log-probability (TRL's `simpo_gamma`).
    """
    return -F.logsigmoid(beta * (chosen - rejected) - gamma).mean()

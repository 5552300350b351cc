"""SimPO's loss as in the paper (Meng et al. 2024, arXiv:2405.14734).

Training uses TRL's trainer, which is marked experimental; this file is the reference with which the tests compare it.
"""

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from rewardkit.types import PerImage, Scalar


def mean_log_probability(logits: Float[Tensor, "batch tokens words"], labels: Int[Tensor, "batch tokens"]) -> PerImage:
    """Average the log-probability of the tokens of each answer; labels of -100 (prompt, padding) are ignored.

    Logits at a position predict the label of the next, as in a causal language model.
    """
    logits, labels = logits[:, :-1], labels[:, 1:]
    counted = labels != -100
    chosen = logits.log_softmax(-1).gather(-1, labels.where(counted, 0)[..., None])[..., 0]
    return (chosen * counted).sum(-1) / counted.sum(-1)


def simpo_loss(chosen: PerImage, rejected: PerImage, beta: float, gamma: float) -> Scalar:
    """Mean of `-log sigmoid(beta (chosen - rejected) - gamma)` over mean log-probabilities; no reference model.

    `gamma` is the target margin of the chosen answer, in units of beta times log-probability (TRL's `simpo_gamma`).
    """
    return -F.logsigmoid(beta * (chosen - rejected) - gamma).mean()

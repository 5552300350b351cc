"""Give every reward of a panel a pull of equal strength on the pixels, so that none starves beside a steep one.

A z-score makes the values of rewards comparable, not their slopes. In the manner of GradNorm (Chen et al. 2018,
arXiv:1711.02257), but at the pixels, where a gradient costs one pass through the reward and none through the denoiser.
"""

from collections.abc import Mapping, Sequence

import torch

from rewardkit.reward import Panel
from rewardkit.types import Images, Scalar, Scores


def balanced(panel: Panel, raw: Mapping[str, Scores], prompts: Sequence[str], images: Images) -> Scalar:
    """The panel's loss in value; in gradient, a sum of parts whose norms at the pixels are as their weights.

    The mean norm stays what it was, so the learning rate keeps its meaning. A part past its target stays out.
    """
    loss = panel.loss(raw, prompts)
    pulls = [
        (panel.part(name).weight, gradient)
        for name, value in raw.items()
        if (gradient := pull(panel.loss({name: value}, prompts), images)) is not None
    ]
    if not pulls:
        return loss
    units = torch.stack([gradient.norm() / weight for weight, gradient in pulls])
    total = torch.stack([units.mean() / unit * gradient for unit, (_, gradient) in zip(units, pulls, strict=True)])
    surrogate = (images * total.sum(0)).sum()
    return surrogate + (loss - surrogate).detach()


def pull(loss: Scalar, images: Images) -> Images | None:
    """Gradient at the pixels; None where there is none, or nothing but zeros."""
    if not loss.requires_grad:
        return None
    (gradient,) = torch.autograd.grad(loss, images, retain_graph=True, allow_unused=True)
    return gradient if gradient is not None and gradient.any() else None

"""Give every reward of a panel a gradient of equal norm at the pixels, so that no steep reward dominates.

A z-score makes the values of rewards comparable, but not their gradients. As in GradNorm (Chen et al. 2018,
arXiv:1711.02257), but at the pixels, where a gradient costs one pass through the reward and none through the denoiser.
"""

from collections.abc import Mapping, Sequence

import torch

from rewardkit.rewards.panel import Panel
from rewardkit.training.batch_shard import BatchShard
from rewardkit.types import Images, Scalar, Scores


def balanced(
    panel: Panel, raw: Mapping[str, Scores], prompts: Sequence[str], images: Images, share: BatchShard | None = None
) -> Scalar:
    """The panel's loss in value; its gradient is a sum of parts with norms at the pixels proportional to their weights.

    The mean norm is preserved, so the learning rate keeps its meaning. A part past its target has no gradient. Norms
    are over the whole batch, of which the images may be one process's `share`.
    """
    loss = panel.loss(raw, prompts)
    pulls = torch.stack([pull(panel.loss({name: value}, prompts), images) for name, value in raw.items()])
    norms = pulls.flatten(1).norm(dim=1)
    norms = share.norms(norms) if share else norms
    pulling = norms != 0  # a NaN is not left out: the update stops on it
    if not pulling.any():
        return loss
    units = (norms / norms.new_tensor([panel.part(name).weight for name in raw]))[pulling]
    total = torch.einsum("r,r...->...", units.mean() / units, pulls[pulling])
    surrogate = (images * total).sum()
    return surrogate + (loss - surrogate).detach()


def pull(loss: Scalar, images: Images) -> Images:
    """Gradient at the pixels; zeros where there is none."""
    if not loss.requires_grad:
        return torch.zeros_like(images)
    (gradient,) = torch.autograd.grad(loss, images, retain_graph=True, allow_unused=True)
    return torch.zeros_like(images) if gradient is None else gradient

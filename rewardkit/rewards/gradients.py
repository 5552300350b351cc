"""Check that the gradients of a panel's rewards reach the pixels and are finite."""

from collections.abc import Sequence

import torch

from rewardkit.errors import UserError
from rewardkit.rewards.panel import Panel
from rewardkit.rewards.results import PROMISED, REMEDY
from rewardkit.types import Images


@torch.enable_grad()
def reached(panel: Panel, images: Images, prompts: Sequence[str]) -> set[str]:
    """Names of the scores whose gradient is non-zero at some pixel of these images.

    Scores that apply to none of the prompts are not included. Raises `UserError` for a score without a gradient at
    the pixels, and for a gradient that is not finite.
    """
    pixels = images.detach().clone().requires_grad_()
    found, gates = set(), panel.gates(prompts)
    for name, scores in panel.raw(pixels, prompts).items():
        gate = gates[name].to(scores.device)
        if not gate.any():
            continue
        (gradient,) = torch.autograd.grad(scores[gate].sum(), pixels, retain_graph=True, allow_unused=True)
        if gradient is None:
            raise UserError(f"reward {name!r} {PROMISED}, but its gradient does not reach the images; {REMEDY}")
        if not gradient.isfinite().all():
            raise UserError(
                f"the gradient of reward {name!r} at the images is not finite, though its scores are; check for a "
                "square root or a norm at zero, a division, or a logarithm"
            )
        if gradient.any():
            found.add(name)
    return found

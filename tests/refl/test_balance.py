"""A balanced panel pulls the pixels as its weights say."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from refl.objectives.balance import balanced
from rewardkit.diffusion.families.sd3 import StableDiffusion3Base
from rewardkit.rewards.formulas import Colourfulness
from rewardkit.rewards.panel import Panel, Part
from rewardkit.training.batch_shard import BatchShard
from rewardkit.training.processes import Processes
from tests.refl.chains import PROMPTS, chain_of, loss_of, made


def test_a_balanced_panel_pulls_the_pixels_as_its_weights_say(
    base: StableDiffusion3Base, adapter: dict[str, nn.Parameter]
) -> None:
    """A reward a thousand times as steep in the pixels, of the same spread: unbalanced it drowns the other."""

    class Steep:
        axis = "aesthetic"
        differentiable = True

        def __init__(self, name: str, channel: int, factor: float) -> None:
            self.name, self.channel, self.factor = name, channel, factor

        def score(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
            return self.factor * images[:, self.channel].mean((1, 2))

    parts = {"red": Part(target=1e6), "green": Part(target=1e6, weight=3.0)}
    panel = Panel([Steep("red", 0, 1000.0), Steep("green", 1, 1.0)], parts)
    images = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    raw = panel.raw(images, PROMPTS)
    loss = balanced(panel, raw, PROMPTS, images)
    assert loss.item() == pytest.approx(panel.loss(raw, PROMPTS).item())
    (gradient,) = torch.autograd.grad(loss, images)
    red, green, blue = (gradient[:, i].norm().item() for i in range(3))
    assert green / red == pytest.approx(3.0, rel=1e-4)
    assert blue == 0


def test_a_balanced_panel_of_one_is_the_panel(base: StableDiffusion3Base, adapter: dict[str, nn.Parameter]) -> None:
    refl, panel, gradients = made("refl", kl=0.0), Panel([Colourfulness()]), []
    for balance in (False, True):
        base.denoiser.zero_grad()
        loss_of(replace(refl, balance=balance), chain_of(base), base, panel).loss.backward()
        gradients.append({name: parameter.grad.clone() for name, parameter in adapter.items()})
    for name in adapter:
        torch.testing.assert_close(gradients[0][name], gradients[1][name], rtol=1e-4, atol=1e-8)


class Heard(Processes):
    """One of two processes, taken in turns: in the first round it says its value, in the second it knows both."""

    said: list[Tensor] = []  # noqa: RUF012

    def gather(self, value: Tensor) -> list[Tensor]:  # type: ignore[override]
        if len(self.said) < self.count:
            self.said.append(value)
        return self.said


def test_a_share_of_a_batch_is_balanced_by_the_norms_of_all() -> None:
    """The sum of the processes' gradients, each by its share, is that of one process; their own norms would differ."""

    class Square:
        axis = "aesthetic"
        differentiable = True

        def __init__(self, name: str, channel: int) -> None:
            self.name, self.channel = name, channel

        def score(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
            return images[:, self.channel].square().mean((1, 2))

    panel = Panel([Square("red", 0), Square("green", 1)], {"red": Part(target=9.0), "green": Part(target=9.0)})
    images = 0.1 * torch.rand(3, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    images[0, 1] *= 10

    def gradient(share: BatchShard) -> Tensor:
        own = share.take(images).requires_grad_()
        prompts = ["a"] * len(own)
        loss = balanced(panel, panel.raw(own, prompts), prompts, own, share) * share.weight
        return torch.autograd.grad(loss, own)[0]

    shares = [BatchShard(3, world=Heard(rank, 2)) for rank in range(2)]
    for _ in range(2):
        found = torch.cat([gradient(share) for share in shares])
    torch.testing.assert_close(found, gradient(BatchShard(3)))

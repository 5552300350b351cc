"""What any objective keeps for the way back."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rewardkit.diffusion.families.sd3 import StableDiffusion3Base
from tests.refl.chains import ALL, made, outcome_of


def saved_bytes(base: StableDiffusion3Base, reward: Any, name: str, **options: Any) -> int:
    resident = {}

    def pack(tensor: Tensor) -> Tensor:
        resident[tensor.data_ptr()] = tensor.nbytes
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        outcome = outcome_of(base, reward, name, **options)
    assert outcome.loss.requires_grad
    return sum(resident.values())


@pytest.mark.parametrize("name", [name for name in ALL if made(name).passes(4) == made(name).passes(16)])
def test_memory_does_not_grow_with_the_number_of_steps(
    base: StableDiffusion3Base, adapter: dict[str, nn.Parameter], redness: Callable, name: str
) -> None:
    few = saved_bytes(base, redness(), name, steps=4)
    many = saved_bytes(base, redness(), name, steps=16)
    assert many <= few * 1.02


@pytest.mark.parametrize("name", ["draft-k", "drtune"])
def test_memory_is_linear_in_the_steps_with_a_graph(
    base: StableDiffusion3Base, adapter: dict[str, nn.Parameter], redness: Callable, name: str
) -> None:
    resident = [
        saved_bytes(base, redness(), name, steps=4, ways={"grad_steps": k, "window": (0.75, 1.0)}) for k in (1, 2, 4)
    ]
    assert resident[1] - resident[0] > 0
    assert (resident[2] - resident[1]) / (resident[1] - resident[0]) == pytest.approx(2, rel=0.05)

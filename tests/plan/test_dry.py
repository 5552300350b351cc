"""Dry runs: bytes and FLOPs against closed forms, and against what autograd saves on real tensors."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from rewardkit.plan.dry import META, Account, DryRun
from rewardkit.plan.layers import kinds, measured


def linear(width: int = 8) -> nn.Linear:
    return nn.Linear(width, width, bias=False, device=META)


def test_a_linear_layer_counts_its_input_its_output_and_its_flops() -> None:
    layer = linear()
    with DryRun() as dry:
        dry.leave_out(layer)
        x = torch.zeros(3, 8, device=META)
        with dry.phase("forward"):
            y = layer(x)
    assert dry.phases["forward"].resident == 2 * 3 * 8 * 4  # x and y, float32
    assert dry.phases["forward"].flops == {("float32", "matmul"): 2 * 3 * 8 * 8}
    assert y.shape == (3, 8)


def test_what_is_freed_is_counted_off_and_the_peak_stays() -> None:
    with DryRun() as dry, dry.phase("adding"):
        x = torch.zeros(100, 100, device=META)
        (x + 1).sum()
    assert dry.phases["adding"].peak == 2 * 40_000 + 4
    assert dry.phases["adding"].resident == 40_000


def test_attention_never_holds_the_matrix_of_all_pairs() -> None:
    tokens, width = 512, 16
    with DryRun() as dry, dry.phase("attention"):
        q, k, v = (torch.zeros(1, 2, tokens, width, device=META, requires_grad=True) for _ in range(3))
        out = F.scaled_dot_product_attention(q, k, v)
    pairs = 2 * tokens * tokens * 4
    inputs_and_output = 4 * 2 * tokens * width * 4
    assert out.shape == q.shape
    assert inputs_and_output <= dry.phases["attention"].peak < pairs
    assert sum(dry.phases["attention"].flops.values()) == 2 * 2 * 2 * tokens * tokens * width


def test_a_mask_that_is_real_decides_shapes() -> None:
    with DryRun():
        x = torch.zeros(4, 6, device=META)
        mask = torch.arange(4) < 3
        assert x[mask].shape == (3, 6)
        assert int(mask.to(META).sum()) == 3


class Stack(nn.Module):
    def __init__(self, depth: int) -> None:
        super().__init__()
        self.first = linear()
        self.layers = nn.ModuleList(nn.Sequential(linear(), nn.GELU(), linear(), nn.GELU()) for _ in range(depth))
        self.others = nn.ModuleList(nn.Sequential(linear(), nn.GELU()) for _ in range(2))

    def forward(self, x: Tensor, again: bool = False) -> Tensor:
        x = self.first(x)
        for layer in self.layers:
            x = checkpoint(layer, x, use_reentrant=False) if again else layer(x)
        for layer in self.others:
            x = layer(x)
        return x


def account(net: Stack, again: bool) -> Callable[[], dict[str, Account]]:
    def run() -> dict[str, Account]:
        with DryRun() as dry:
            dry.leave_out(net)
            x = torch.zeros(5, 8, device=META, requires_grad=True)
            with dry.phase("forward"):
                y = net(x, again)
            with dry.phase("backward"):
                torch.autograd.backward([y], [torch.zeros_like(y)])
        return dry.phases

    return run


@pytest.mark.parametrize("again", [False, True])
def test_a_few_layers_extend_to_all_of_them(again: Any) -> None:
    net = Stack(9).requires_grad_(False)
    whole, few = account(net, again)(), measured(net, account(net, again))
    assert [len(kind.layers) for kind in kinds(net)] == [9, 2]
    for name, each in whole.items():
        assert (few[name].resident, few[name].peak, few[name].flops) == (each.resident, each.peak, each.flops)
    assert len(net.layers) == 9


def test_checkpointing_keeps_less_and_computes_more() -> None:
    net = Stack(9).requires_grad_(False)
    plain, again = account(net, False)(), account(net, True)()
    assert again["forward"].resident < plain["forward"].resident
    assert sum(again["backward"].flops.values()) > sum(plain["backward"].flops.values())

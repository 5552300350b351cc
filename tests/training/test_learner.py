"""What learns: averages in closed form, updates that go on to the same bits, and states that do not fit."""

from collections.abc import Iterable

import pytest
import torch
from diffusers.training_utils import EMAModel
from torch import nn

from rewardkit.errors import UserError
from rewardkit.training.average import Average, Lerp, Rule
from rewardkit.training.learner import Learner
from rewardkit.training.optimizer_state import load_moments, moments
from rewardkit.training.schedule import linear, shares


def model(width: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, width), nn.Tanh(), nn.Linear(width, 1))


def learner(network: nn.Module, rule: str = "lerp", clip: float = 1.0) -> Learner:
    parameters = dict(network.named_parameters())
    values = list(parameters.values())
    rules: dict[str, Rule] = {"lerp": Lerp(values, 0.9), "ema": EMAModel(values, decay=0.9, foreach=True)}
    optimizers = {"matrices": torch.optim.AdamW(values[::2], lr=1e-2), "rest": torch.optim.SGD(values[1::2], 1e-2, 0.9)}
    schedule = shares(lambda step: linear(step, 5))
    return Learner(parameters, optimizers, schedule, clip=clip, average=Average(parameters, rules[rule]))


def steps(one: Learner, network: nn.Module, numbers: Iterable[int]) -> None:
    for number in numbers:
        images = torch.randn(8, 4, generator=torch.Generator().manual_seed(number))
        one.update((network(images).flatten() - images.sum(1)).square().mean())


@pytest.mark.parametrize(("rule", "first"), [("lerp", 0.1), ("ema", 0.0)])
def test_the_average_is_the_closed_form_and_is_taken_off_again(rule: str, first: float) -> None:
    network = nn.Linear(1, 1, bias=False)
    average = learner(nn.Sequential(network, nn.Identity(), nn.Linear(1, 1)), rule).average
    assert average is not None
    expected = network.weight.item()
    for update, value in enumerate((1.0, 3.0, -2.0)):
        network.weight.data.fill_(value)
        average.update()
        keep = (1 + update) / (10 + update) if update else first
        expected = keep * expected + (1 - keep) * value
    with average.swapped():
        assert network.weight.item() == pytest.approx(expected)
    assert network.weight.item() == -2.0


@pytest.mark.parametrize("rule", ["lerp", "ema"])
def test_a_saved_state_goes_on_to_the_same_bits(rule: str) -> None:
    whole, cut, resumed = model(), model(), model(3)
    first, second, third = learner(whole, rule), learner(cut, rule), learner(resumed, rule)
    steps(first, whole, range(7))
    steps(second, cut, range(3))
    saved = {name: {key: value.clone() for key, value in group.items()} for name, group in second.state().items()}
    with torch.no_grad():
        for parameter in resumed.parameters():
            parameter.add_(1)
    third.load(3, saved)
    steps(third, resumed, range(3, 7))
    assert third.step == first.step == 7
    expected, got = first.state(), third.state()
    assert expected.keys() == got.keys() == {"weights", "matrices", "rest", "average"}
    for name, group in expected.items():
        assert group.keys() == got[name].keys()
        assert all(torch.equal(value, got[name][key]) for key, value in group.items()), name
    assert not torch.equal(expected["weights"]["0.weight"], expected["average"]["0.weight"])


def test_a_gradient_is_clipped_over_all_parameters() -> None:
    network = model()
    one = learner(network, clip=1e-3)
    norm = one.update(100 * network(torch.ones(2, 4)).square().sum())
    clipped = torch.stack([parameter.grad.norm() for parameter in network.parameters()]).norm().item()
    assert norm > 1
    assert clipped == pytest.approx(1e-3, rel=1e-2)


def test_a_gradient_that_is_not_finite_stops_before_the_weights_change() -> None:
    network = model()
    before = [parameter.clone() for parameter in network.parameters()]
    with pytest.raises(UserError, match=r"update 1: the gradient's norm is nan .*lower --lr"):
        learner(network).update(network(torch.full((1, 4), float("nan"))).sum())
    assert all(torch.equal(one, other) for one, other in zip(before, network.parameters(), strict=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("shape", r"0\.weight is of shape \(5, 4\), not of shape \(3, 4\); resume with the options of"),
        ("name", r"0\.weight is missing"),
        ("group", r"0\.weight is missing"),
    ],
)
def test_a_state_of_other_weights_is_refused(change: str, message: str) -> None:
    saved = learner(model(5 if change == "shape" else 3)).state()
    if change == "name":
        del saved["weights"]["0.weight"]
    if change == "group":
        del saved["weights"]
    with pytest.raises(UserError, match=message):
        learner(model()).load(1, saved)


def test_moments_are_put_back_for_an_optimizer_that_has_not_stepped() -> None:
    network = model()
    optimizer = torch.optim.AdamW(network.parameters())
    assert moments(optimizer) == {}
    network(torch.ones(1, 4)).sum().backward()
    optimizer.step()
    fresh = torch.optim.AdamW(network.parameters())
    load_moments(fresh, moments(optimizer))
    assert moments(fresh).keys() == {f"{i}.{name}" for i in range(4) for name in ("step", "exp_avg", "exp_avg_sq")}
    assert all(torch.equal(value, moments(fresh)[name]) for name, value in moments(optimizer).items())

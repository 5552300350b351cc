"""Davidson ties, Plackett-Luce lists and Gaussian scores against closed forms, integrals and finite differences."""

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from scipy.integrate import quad
from torch import Tensor

from rm.heads import Features, Shapes, build_head
from rm.losses import (
    Gaussian,
    bradley_terry,
    davidson,
    expected_preference,
    marginal_preference,
    plackett_luce,
    sampled_preference,
)
from rm.uncertainty import HeadWithUncertainty

NAN = float("nan")
GaussianLoss = Callable[[Gaussian, Gaussian, Tensor], Tensor]
INTEGRATED = (expected_preference, marginal_preference)


def row(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def slope_agrees(value: Callable[[Tensor], Tensor], at: Tensor) -> None:
    """Hold the gradient of `value` against central differences."""
    assert torch.autograd.gradcheck(value, (at.clone().requires_grad_(True),), eps=1e-6, atol=1e-6)


@pytest.mark.parametrize("difference", [-30.0, -2.0, 0.0, 0.7])
def test_davidson_outcomes_sum_to_one_and_match_the_formula(difference: float) -> None:
    nu, strength = 0.8, math.exp(difference)
    total = strength + 1 + nu * math.sqrt(strength)
    outcomes = {1.0: strength / total, 0.0: 1 / total, 0.5: nu * math.sqrt(strength) / total}
    assert sum(outcomes.values()) == pytest.approx(1)
    for label, probability in outcomes.items():
        found = davidson(row(difference), row(0.0), row(label), nu).item()
        assert found == pytest.approx(-math.log(probability))


def test_davidson_without_ties_is_bradley_terry_and_its_tie_weight_can_learn() -> None:
    first, second, label = row(1.0, -2.0), row(0.3, 0.4), row(1.0, 0.2)
    assert davidson(first, second, label, 1e-12).item() == pytest.approx(bradley_terry(first, second, label).item())
    labels = row(0.5, 0.5, 1.0, NAN)
    slope_agrees(lambda scores: davidson(scores, row(0.1, 0.2, 0.3, 0.4), labels, 0.5), row(1.0, 0.0, -2.0, 3.0))
    slope_agrees(
        lambda log_tie: davidson(row(1.0, 0.0, -2.0, 3.0), row(0, 0, 0, 0), labels, log_tie.exp()), row(0.3)[0]
    )
    with pytest.raises(ValueError, match="positive"):
        davidson(first, second, label, 0.0)


def strict(scores: list[float]) -> float:
    """Minus the log-likelihood of a list in its best-first order, by the definition."""
    rest = [scores[i:] for i in range(len(scores) - 1)]
    return -sum(math.log(math.exp(left[0]) / sum(map(math.exp, left))) for left in rest)


def test_plackett_luce_is_a_product_of_choices() -> None:
    scores = row(0.3, -1.2, 2.0, 0.9)[None]
    found = plackett_luce(scores, row(2.0, 9.0, 1.0, 4.0)[None])
    assert found.item() == pytest.approx(strict([2.0, 0.3, 0.9, -1.2]) / 3)


def test_plackett_luce_leaves_out_padding_and_averages_choices() -> None:
    scores, ranks = torch.zeros(3, 4, dtype=torch.float64), torch.full((3, 4), NAN, dtype=torch.float64)
    scores[0], ranks[0] = row(1.0, 2.0, -1.0, 0.5), row(1.0, 2.0, 3.0, 4.0)
    scores[1], ranks[1, [0, 2]] = row(1.0, 50.0, 0.2, -50.0), row(2.0, 1.0)
    ranks[2, 1] = 1.0  # one image alone is no choice
    expected = (strict([1.0, 2.0, -1.0, 0.5]) + strict([0.2, 1.0])) / 4
    assert plackett_luce(scores, ranks).item() == pytest.approx(expected)
    slope_agrees(lambda s: plackett_luce(s, ranks), scores)
    learning = scores.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(plackett_luce(learning, ranks), learning)
    assert gradient[1, [1, 3]].tolist() == [0, 0]
    assert gradient[2].tolist() == [0, 0, 0, 0]
    nothing = plackett_luce(learning, torch.full_like(ranks, NAN))
    assert nothing.item() == 0
    assert not torch.autograd.grad(nothing, learning)[0].any()


@pytest.mark.parametrize(("ranks", "label"), [((1.0, 2.0), 1.0), ((3.0, 0.0), 0.0), ((1.0, 1.0), 0.5)])
def test_a_list_of_two_is_bradley_terry(ranks: tuple[float, float], label: float) -> None:
    expected = bradley_terry(row(0.4), row(-1.0), row(label))
    assert plackett_luce(row(0.4, -1.0)[None], row(*ranks)[None]).item() == pytest.approx(expected.item())


def test_tied_images_meet_each_other_in_every_choice() -> None:
    """Two tied at the top, one below: both are chosen from all three, and the last is no choice."""
    scores = row(0.5, -0.3, 1.1)
    whole = scores.exp().sum().log()
    expected = (2 * whole - scores[0] - scores[2]) / 2
    found = plackett_luce(scores[None], row(1.0, 2.0, 1.0)[None])
    assert found.item() == pytest.approx(expected.item())
    turned = plackett_luce(scores[[2, 0, 1]][None], row(1.0, 1.0, 2.0)[None])
    assert found.item() == pytest.approx(turned.item())


def gaussian(means: Tensor, log_variances: Tensor) -> Gaussian:
    return Gaussian(means, log_variances)


def integral(mean: float, deviation: float, of: Callable[[float], float]) -> float:
    def density(z: float) -> float:
        return math.exp(-0.5 * ((z - mean) / deviation) ** 2) / (deviation * math.sqrt(2 * math.pi))

    edges = [mean + deviation * step for step in (-12, -4, 0, 4, 12)]
    return float(sum(quad(lambda z: of(z) * density(z), low, high, epsabs=1e-13)[0] for low, high in pairwise(edges)))


@pytest.mark.parametrize(("mean", "variances"), [(0.7, (0.1, 0.2)), (-2.0, (1.0, 3.0)), (1.5, (10.0, 6.0))])
def test_gaussian_losses_are_the_integrals(mean: float, variances: tuple[float, float]) -> None:
    first = gaussian(row(mean + 0.3), row(math.log(variances[0])))
    second = gaussian(row(0.3), row(math.log(variances[1])))
    deviation = math.sqrt(sum(variances))
    cost = integral(mean, deviation, lambda z: math.log1p(math.exp(-z)))
    chance = integral(mean, deviation, lambda z: 1 / (1 + math.exp(-z)))
    assert expected_preference(first, second, row(1.0)).item() == pytest.approx(cost, abs=1e-9)
    assert marginal_preference(first, second, row(1.0)).item() == pytest.approx(-math.log(chance), abs=1e-9)
    assert marginal_preference(first, second, row(0.0)).item() == pytest.approx(-math.log(1 - chance), abs=1e-9)
    # Jensen: the likelihood of the judgement costs less than the mean cost.
    assert -math.log(chance) < cost


def test_the_published_samples_tend_to_the_integral() -> None:
    first, second = gaussian(row(0.5, -1.0), row(0.2, 1.0)), gaussian(row(0.1, 0.3), row(-0.5, 0.4))
    label, samples = row(1.0, 0.3), 200_000
    found = sampled_preference(first, second, label, torch.Generator().manual_seed(0), samples)
    # Differences deviate by 1.4 and 2, losses by less, so 4 standard errors of the mean of two are under 0.011.
    assert found.item() == pytest.approx(expected_preference(first, second, label).item(), abs=0.011)


@pytest.mark.parametrize("loss", INTEGRATED)
def test_without_spread_a_gaussian_is_its_mean(loss: GaussianLoss) -> None:
    first, second, label = row(1.0, -2.0), row(0.3, 0.4), row(0.9, 0.0)
    sure = row(-40.0, -40.0)
    expected = bradley_terry(first, second, label)
    assert loss(gaussian(first, sure), gaussian(second, sure), label).item() == pytest.approx(expected.item())


@pytest.mark.parametrize("loss", INTEGRATED)
def test_slopes_of_gaussian_losses(loss: GaussianLoss) -> None:
    label = row(1.0, 0.5, 0.2, NAN)

    def value(parts: Tensor) -> Tensor:
        return loss(gaussian(parts[0], parts[1]), gaussian(parts[2], parts[3]), label)

    at = torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    slope_agrees(value, at)
    learning = at.requires_grad_(True)
    (gradient,) = torch.autograd.grad(value(learning), learning)
    assert gradient[:, 3].tolist() == [0, 0, 0, 0]


def test_only_the_marginal_loss_lets_a_wrong_model_doubt() -> None:
    """A judgement against the means: the published loss still lowers the spread, the likelihood raises it."""
    spread = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    slopes = {}
    for loss in INTEGRATED:
        value = loss(gaussian(row(-2.0), spread), gaussian(row(0.0), row(0.0)), row(1.0))
        slopes[loss] = torch.autograd.grad(value, spread)[0].item()
    assert slopes[expected_preference] > 0
    assert slopes[marginal_preference] < 0


def test_the_head_gives_a_score_and_how_sure_it_is() -> None:
    torch.manual_seed(0)
    shapes = Shapes(token_width=4, embed_dim=3)
    head = HeadWithUncertainty(build_head("aesthetic", "heads", shapes), shapes, width=16)
    count, generator = 6, torch.Generator().manual_seed(1)
    features = Features(
        torch.randn(count, 5, 4, generator=generator),
        torch.randn(count, 3, generator=generator),
        torch.rand(count, 10, generator=generator),
        torch.zeros(count, 0),
        torch.zeros(count, 1, dtype=torch.long),
    )
    start = head.gaussian(features)
    assert torch.equal(head(features), start.mean)
    assert start.mean.unique().numel() == count
    assert not start.log_variance.any()
    label = torch.tensor([1.0, 0.0, 1.0])
    optimizer = torch.optim.Adam(head.parameters(), 0.005)
    losses = []
    for _ in range(30):
        means, spreads = (part.chunk(2) for part in vars(head.gaussian(features)).values())
        loss = marginal_preference(Gaussian(means[0], spreads[0]), Gaussian(means[1], spreads[1]), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    end = head.gaussian(features)
    assert losses[-1] < 0.2 < losses[0]
    # Once the means are right, doubt only costs.
    assert end.log_variance.mean() < 0
    assert end.log_variance.abs().max() < 8

"""A panel: weighted, z-scored, gated parts with targets, against closed forms."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
import torch

from rewardkit.errors import UserError
from rewardkit.rewards.loaded import LoadedReward, loaded, score_all
from rewardkit.rewards.panel import Panel, Part
from rewardkit.rewards.protocol import applies
from rewardkit.types import Images, Scores

PLAIN, QUOTED = "a red circle", 'a red circle with "SALE"'


@dataclass
class Channel:
    """The mean of one colour channel, times a scale."""

    name: str
    axis: str
    channel: int
    scale: float = 1.0
    differentiable: bool = True

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        return images[:, self.channel].mean((1, 2)) * self.scale


@dataclass
class Both:
    """Two axes at once, counting its calls."""

    name: str = "both"
    axes: tuple[str, ...] = ("alignment", "text")
    differentiable: bool = True
    calls: int = 0

    def scores(self, images: Images, prompts: Sequence[str]) -> dict[str, Scores]:
        self.calls += 1
        return {"alignment": images[:, 0].mean((1, 2)), "text": images[:, 1].mean((1, 2))}


LOOKS, TEXT = Channel("looks", "aesthetic", 0), Channel("text", "text", 1)


def images(count: int = 8) -> torch.Tensor:
    return torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(0))


def test_any_reward_becomes_a_loaded_one() -> None:
    assert loaded(LOOKS).axes == {"looks": "aesthetic"}
    assert loaded(Both()).axes == {"both.alignment": "alignment", "both.text": "text"}
    assert loaded(loaded(LOOKS)).source is LOOKS
    assert all(isinstance(reward, LoadedReward) for reward in Panel([LOOKS, Both()]).rewards)
    with pytest.raises(UserError, match=r"is a class; pass an object of it, Both\(\)"):
        loaded(Both)


def test_several_axes_cost_one_forward_pass() -> None:
    both = Both()
    assert list(score_all([both, LOOKS], images(), [PLAIN] * 8)) == ["both.alignment", "both.text", "looks"]
    assert both.calls == 1


def test_loss_by_hand() -> None:
    """z = (raw - mean) / std; the loss is the mean of w * gate * relu(target - z).

    Looks: z = (3 - 1) / 2 = 1 and (9 - 1) / 2 = 4, target 2 -> pulls 1 and 0, weight 2 -> 2 and 0.
    Text: z = -1 and -1, target 0 -> pulls 1 and 1, weight 5, but only the second prompt asks for text -> 0 and 5.
    Mean over the batch: (2 + 5) / 2 = 3.5.
    """
    panel = Panel([LOOKS, TEXT], {"looks": Part(2.0, 2.0, 1.0, 2.0), "text": Part(5.0, 0.0, 4.0, 3.0)})
    raw = {"looks": torch.tensor([3.0, 9.0]), "text": torch.tensor([1.0, 1.0])}
    assert panel.loss(raw, [PLAIN, QUOTED]).item() == pytest.approx(3.5)


def test_total_by_hand() -> None:
    """Plain: looks alone, z = 1. Quoted: (2 * 4 + 5 * -1) / 7 = 3 / 7."""
    panel = Panel([LOOKS, TEXT], {"looks": Part(2.0, 2.0, 1.0, 2.0), "text": Part(5.0, 0.0, 4.0, 3.0)})
    raw = {"looks": torch.tensor([3.0, 9.0]), "text": torch.tensor([1.0, 1.0])}
    assert panel.total(raw, [PLAIN, QUOTED]).tolist() == pytest.approx([1.0, 3 / 7])


def test_nothing_pulls_past_its_target() -> None:
    raw = torch.tensor([1.9, 2.1], requires_grad=True)
    Panel([LOOKS]).loss({"looks": raw}, [PLAIN] * 2).backward()
    assert raw.grad is not None
    assert raw.grad.tolist() == [-0.5, 0.0]


def test_a_raw_reward_times_100_changes_nothing() -> None:
    prompts = [PLAIN, QUOTED] * 4
    losses, gradients = [], []
    for scale in (1.0, 100.0):
        panel = Panel([replace(LOOKS, scale=scale), replace(TEXT, scale=scale)])
        panel = panel.fit(panel.raw(images(), prompts), prompts)
        pixels = images().requires_grad_()
        loss = panel.loss(panel.raw(pixels, prompts), prompts)
        loss.backward()
        losses.append(loss.item())
        gradients.append(pixels.grad)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-7)


def test_the_gradient_is_the_finite_difference() -> None:
    panel = Panel([LOOKS, TEXT], {"looks": Part(2.0, 2.0, 0.3, 0.5), "text": Part(0.5, 3.0, 0.1, 0.2)})
    pixels = images(2).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: panel.loss(panel.raw(x, [PLAIN, QUOTED]), [PLAIN, QUOTED]), pixels)


def test_fit_makes_z_scores_over_the_prompts_that_apply() -> None:
    prompts = [PLAIN, QUOTED] * 4
    panel = Panel([LOOKS, TEXT], {"looks": Part(weight=3.0, target=1.0)})
    raw = panel.raw(images(), prompts)
    fitted = panel.fit(raw, prompts)
    z = fitted.normalise(raw)
    text = z["text"][applies("text", prompts)]
    for values in (z["looks"], text):
        assert values.mean().item() == pytest.approx(0, abs=1e-5)
        assert values.std().item() == pytest.approx(1, rel=1e-5)
    assert (fitted.part("looks").weight, fitted.part("looks").target) == (3.0, 1.0)
    assert panel.part("looks").std == 1.0
    assert fitted.state()["text"]["mean"] == pytest.approx(raw["text"][1::2].mean().item())


def test_fit_needs_prompts_that_apply() -> None:
    panel = Panel([TEXT])
    with pytest.raises(UserError, match="'text' applies to 1 of 3 prompts"):
        panel.fit({"text": torch.rand(3)}, [PLAIN, PLAIN, QUOTED])


def test_a_constant_reward_stays_finite() -> None:
    panel = Panel([LOOKS]).fit({"looks": torch.full((4,), 0.5)}, [PLAIN] * 4)
    assert torch.isfinite(panel.loss({"looks": torch.full((4,), 0.5)}, [PLAIN] * 4))


@pytest.mark.parametrize("prompt", [QUOTED, "海报「新年」", "a sign “OPEN”"])
def test_text_speaks_only_where_text_is_asked_for(prompt: str) -> None:
    assert applies("text", [prompt, PLAIN, "the dog's bone"]).tolist() == [True, False, False]
    assert applies("aesthetic", [prompt, PLAIN]).tolist() == [True, True]


def test_without_a_part_that_applies_the_total_is_zero() -> None:
    assert Panel([TEXT]).total({"text": torch.tensor([3.0])}, [PLAIN]).tolist() == [0.0]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_bad_score_names_its_sample(bad: float) -> None:
    pixels = images(3)
    pixels[:, 0] = torch.tensor([0.0, 1.0, 0.0]).view(3, 1, 1)
    spoiled = Channel("looks", "aesthetic", 0, bad)  # 0 * bad is no number either
    with pytest.raises(UserError, match=r"'looks' gave -?(nan|inf) for sample [01] of 3 \(prompt: '(one|two)'\)"):
        score_all([spoiled], pixels, ["one", "two", "three"])


def test_the_counts_must_agree() -> None:
    with pytest.raises(UserError, match="got 8 images and 1 prompts"):
        score_all([LOOKS], images(), [PLAIN])


def test_a_part_for_no_reward_is_refused() -> None:
    with pytest.raises(UserError, match="'lookz'; it has looks"):
        Panel([LOOKS], {"lookz": Part()})

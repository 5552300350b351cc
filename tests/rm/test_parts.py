"""A step in parts is the step in one, and an encoder in bfloat16 keeps its weights."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from rewardkit.encoders import ImageFeatures
from rewardkit.training.processes import ALONE
from rm import RewardModel
from rm.features import PairFeatures
from rm.fit import descend
from rm.image_cache import ImageStore, Rows
from rm.lists import ListFeatures
from rm.names import Loss
from rm.objective import Objective, Pairs, RankLists
from rm.sources import CachedPrompts, LiveImages, LivePrompts, cache_images, cache_prompts

AXES = ("alignment", "aesthetic")
NAN = float("nan")
CPU = torch.device("cpu")


@dataclass
class Fixed:
    """Features that are drawn once, so that a loss depends on rows alone."""

    generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(0))

    def __post_init__(self) -> None:
        shapes = ((4, 32), (16,), (10,))
        self.features = [torch.randn(24, *shape, generator=self.generator) for shape in shapes]

    def image(self, rows: Rows, generator: torch.Generator | None) -> ImageFeatures:
        return ImageFeatures(*(one[rows] for one in self.features))


def pairs(loss: Loss) -> Pairs:
    labels = {
        "alignment": torch.tensor([1.0, NAN, 0.5, 0.0, NAN, NAN, 1.0, 1.0, 0.3, 0.5]),
        "aesthetic": torch.tensor([NAN, 1.0, 0.0, 1.0, 0.5, NAN, NAN, 1.0, 0.0, 1.0]),
    }
    rows, prompts = torch.arange(10), CachedPrompts(torch.randn(10, 16, generator=torch.Generator().manual_seed(1)))
    letters = torch.zeros(10, 1, dtype=torch.long)
    return Pairs(PairFeatures(Fixed(), prompts, rows, rows + 10, rows, letters, labels), loss, 0.4, 0.0)


def lists() -> RankLists:
    generator = torch.Generator().manual_seed(2)
    image = torch.arange(24).view(8, 3).clone()
    ranks = {axis: torch.randint(3, (8, 3), generator=generator).float() for axis in AXES}
    for place in (2, 5):
        image[place, 2] = -1
        for one in ranks.values():
            one[place, 2] = NAN
    ranks["alignment"][3] = NAN
    prompts = CachedPrompts(torch.randn(8, 16, generator=generator))
    letters = torch.zeros(8, 1, dtype=torch.long)
    return RankLists(ListFeatures(Fixed(), prompts, image, torch.arange(8), letters, ranks), 0.0)


@pytest.mark.parametrize("loss", ["bradley-terry", "rao-kupper", "davidson", "gaussian", "plackett-luce"])
def test_parts_add_up_to_the_gradient_of_the_whole(encoder: Any, loss: Loss) -> None:
    objective: Objective = lists() if loss == "plackett-luce" else pairs(loss)
    torch.manual_seed(0)
    model = RewardModel(encoder, AXES, uncertain=loss == "gaussian")
    rows = torch.arange(len(objective)).flip(0)

    def step(parts: int) -> tuple[dict[str, float], list[torch.Tensor]]:
        model.zero_grad()
        losses = descend(model, objective, rows, parts, lambda name: torch.Generator())
        return losses, [one.grad.clone() for one in model.parameters() if one.grad is not None]

    whole, gradients = step(1)
    direct = objective.losses(model, rows, torch.Generator())
    assert whole == pytest.approx({axis: loss.item() for axis, loss in direct.items()})
    for parts in (3, 4, 20):  # parts of unlike length, with unlike numbers of judgements, and none at all
        losses, found = step(parts)
        assert losses == pytest.approx(whole, rel=1e-5)
        torch.testing.assert_close(found, gradients, rtol=1e-4, atol=1e-6)


def test_every_part_draws_for_itself(encoder: Any) -> None:
    names: list[str] = []

    def generator(name: str) -> torch.Generator:
        names.append(name)
        return torch.Generator()

    descend(RewardModel(encoder, AXES), pairs("bradley-terry"), torch.arange(10), 3, generator)
    assert len(set(names)) == 3


def test_an_encoder_in_bfloat16_keeps_float32_weights_and_gradients(encoder: Any, tmp_path: Path) -> None:
    pixels = torch.randint(256, (6, 3, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    image_cache, rows, prompts = ImageStore(pixels), torch.arange(6), ["a red circle", "a blue star"]
    encoder.adapt(2, 2.0, text=True)
    exact = LiveImages(encoder, image_cache, CPU, None).image(rows, None)
    source = LiveImages(encoder, image_cache, CPU, None, "bfloat16")
    live = source.image(rows, None)
    assert not torch.equal(live.pooled, exact.pooled)
    torch.testing.assert_close(live.pooled.float(), exact.pooled, rtol=0.0, atol=0.03)
    (live.pooled.float().square() * torch.arange(16)).sum().backward()
    learning = [one for one in encoder.parameters() if one.requires_grad]
    assert all(one.dtype == torch.float32 for one in learning)
    assert any(one.grad.abs().sum() > 0 for one in learning if one.grad is not None)
    text = LivePrompts(encoder, prompts, CPU, "bfloat16").text(torch.tensor([1, 0, 1])).float()
    cached = cache_prompts(encoder, prompts, ALONE, "bfloat16").text(torch.tensor([1, 0, 1]))
    torch.testing.assert_close(text, cached, rtol=0.0, atol=0.03)
    torch.testing.assert_close(cached, encoder.text(prompts)[[1, 0, 1]], rtol=0.0, atol=0.03)
    kept = cache_images(source, lambda step, name: torch.Generator(), 1, tmp_path, ALONE, batch_size=4)
    assert kept.pooled.dtype == torch.float32
    torch.testing.assert_close(kept.pooled[0], live.pooled.float(), rtol=0.0, atol=0.02)

"""ocr-ctc: CTC against all paths, gradients against finite differences, and what it says of right and wrong text."""

import itertools
import math
from functools import cache

import pytest
import torch
from torch import Tensor

from rewardkit.errors import UserError
from rewardkit.images import to_tensor
from rewardkit.ocr import characters
from rewardkit.ocr.ctc import OcrCtcReward
from rewardkit.ocr.ctc.crop import blur, crop, line_width, shake, turned, wear
from rewardkit.ocr.ctc.recogniser import Recogniser, Target
from rewardkit.ocr.ctc.reward import bands, best_run
from rewardkit.posters.draw import draw
from rewardkit.posters.scene import Scene
from rewardkit.rewards.registry import load_reward

SCENE = Scene("star", "red", "centre", "small", "white", "vivid", "OPEN")
PROMPT = 'a red star with "OPEN"'


@cache
def recogniser() -> Recogniser:
    return Recogniser()


def reward(strength: float = 1.0, **options: float) -> OcrCtcReward:
    made = OcrCtcReward(strength=strength, **options)  # type: ignore[arg-type]
    made.__dict__["recogniser"] = recogniser()
    return made


@cache
def poster() -> Tensor:
    return to_tensor(draw(SCENE, 64))


def by_all_paths(frames: Tensor, target: Target) -> float:
    """Add up the probability of every path that reads as the text, group by group."""
    probabilities = torch.stack([frames[:, group].exp().sum(1) for group in target.groups], 1).tolist()
    total = 0.0
    for path in itertools.product(range(len(target.groups)), repeat=len(frames)):
        read = [group for group, _ in itertools.groupby(path) if group != 0]
        if read == target.labels.tolist():
            total += math.prod(probabilities[at][group] for at, group in enumerate(path))
    return total


@pytest.mark.parametrize("wanted", ["ab", "aa", "!"])
def test_likelihood_is_the_sum_over_paths(wanted: str) -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(5, len(characters()) + 1, generator=generator, dtype=torch.float64)
    target = Target(wanted)
    logits[:, torch.cat(target.groups[:-1])] += 6
    frames = logits.log_softmax(-1)
    expected = torch.tensor(by_all_paths(frames, target)).log() / len(target.text)
    assert float(target.log_likelihood(frames)) == pytest.approx(float(expected), rel=1e-6)


def test_gradient_of_the_likelihood_against_finite_differences() -> None:
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(6, len(characters()) + 1, generator=generator, dtype=torch.float64)
    target = Target("Tea")
    logits[:, torch.cat(target.groups[:-1])] += 5
    logits.requires_grad_()
    target.log_likelihood(logits.log_softmax(-1)).backward()
    for frame, place in ((0, target.groups[1][0]), (3, target.groups[2][-1]), (5, 0), (2, target.groups[-1][7])):
        step = torch.zeros_like(logits)
        step[frame, place] = 1e-5
        with torch.no_grad():
            ahead, behind = (target.log_likelihood((logits + s).log_softmax(-1)) for s in (step, -step))
        assert logits.grad is not None
        assert float(logits.grad[frame, place]) == pytest.approx(float((ahead - behind) / 2e-5), abs=1e-7)


def test_what_is_compared_is_what_ocr_compares() -> None:
    target = Target("Öffnen, now!")
    assert target.text == "öffnennow"
    classes = {characters()[int(index) - 1] for index in target.groups[1]}
    assert {"Ö", "ö"} <= classes
    ignored = {characters()[int(index) - 1] for index in target.groups[0] if index}
    assert {" ", ",", "!"} <= ignored
    assert target.least_frames == 9 + 2
    assert sum(map(len, target.groups)) == len(characters()) + 1


@pytest.mark.parametrize("wanted", ["봄", "Ωραίος", "\U0002a6d6"])
def test_text_it_cannot_read_is_refused(wanted: str) -> None:
    with pytest.raises(UserError, match="not measurable"):
        OcrCtcReward().score(poster()[None], [f'a sign "{wanted}"'])


def test_gradient_to_the_pixels_against_finite_differences() -> None:
    network = Recogniser().double()
    quad = torch.tensor([[6.0, 44.0], [58.0, 45.0], [57.0, 62.0], [6.0, 61.0]], dtype=torch.float64)
    # Grain, because on flat ground a max-pooling has ties, where there is no derivative to compare with.
    grain = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    image = (0.9 * poster().double() + 0.1 * grain).requires_grad_()
    target = Target("OVEN")

    def score(pixels: Tensor) -> Tensor:
        return target.log_likelihood(network.frames([crop(pixels, quad, line_width(quad, 4))])[0])

    score(image).backward()
    gradient = image.grad.clone()
    assert gradient[:, :40].abs().max() == 0  # outside of the box nothing counts
    generator = torch.Generator().manual_seed(0)
    for channel in range(3):
        assert gradient[channel].abs().max() > 0
    direction = torch.randn(image.shape, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        ahead, behind = (score(image + step * direction) for step in (1e-8, -1e-8))
    assert float((gradient * direction).sum()) == pytest.approx(float((ahead - behind) / 2e-8), rel=1e-4)


def test_crop_is_the_box_at_its_own_size() -> None:
    image = torch.rand(3, 60, 120, generator=torch.Generator().manual_seed(3))
    quad = torch.tensor([[8.0, 4.0], [88.0, 4.0], [88.0, 52.0], [8.0, 52.0]])
    assert torch.allclose(crop(image, quad, line_width(quad, 1)), image[:, 4:52, 8:88], atol=1e-5)
    large = torch.nn.functional.interpolate(image[None], scale_factor=2)[0]
    assert torch.allclose(crop(large, quad * 2, 80), image[:, 4:52, 8:88], atol=1e-5)


def test_boxes_of_upright_text_are_turned_and_narrow_ones_widened() -> None:
    tall = torch.tensor([[0.0, 0.0], [10.0, 0.0], [10.0, 40.0], [0.0, 40.0]])
    assert turned(tall).tolist() == [[10, 0], [10, 40], [0, 40], [0, 0]]
    assert turned(tall.flip(1)[[0, 3, 2, 1]]).tolist() == tall.flip(1)[[0, 3, 2, 1]].tolist()
    assert line_width(tall, 30) == 240


def test_shaking_stays_small_and_is_drawn_from_the_generator() -> None:
    quad = torch.tensor([[0.0, 0.0], [100.0, 0.0], [100.0, 20.0], [0.0, 20.0]])
    first, again = (shake(quad, torch.Generator().manual_seed(0), 1.0) for _ in range(2))
    assert torch.equal(first, again)
    assert 0 < (first - quad).abs().max() <= 20 * 0.15 + 1e-5
    line = torch.rand(3, 48, 64, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(wear(line, torch.Generator().manual_seed(0), 0.0), line)
    assert not torch.allclose(wear(line, torch.Generator().manual_seed(0), 1.0), line)


def test_blur_is_a_gaussian() -> None:
    point = torch.zeros(3, 48, 48)
    point[:, 24, 24] = 1
    spread = blur(point, 1.5)[0]
    assert float(spread.sum()) == pytest.approx(1, abs=1e-5)
    assert float(spread[24, 26] / spread[24, 24]) == pytest.approx(
        torch.tensor(-4 / (2 * 1.5**2)).exp().item(), rel=1e-4
    )


def test_best_run_joins_lines_and_skips_others() -> None:
    def line(text: str) -> Tensor:
        frames = torch.full((2 * len(text), len(characters()) + 1), 1e-6)
        for at, letter in enumerate(text):
            frames[2 * at, characters().index(letter) + 1] = 1
            frames[2 * at + 1, 0] = 1
        return frames.log().log_softmax(-1)

    lines = [line("STOP"), line("GRAND"), line("HALL")]
    assert float(best_run(lines, Target("Grand Hall"))) > -0.1
    assert float(best_run(lines, Target("Stop"))) > -0.1
    assert float(best_run(lines, Target("Stop Hall"))) < -1


def test_right_text_scores_the_target_and_wrong_text_less() -> None:
    scores = reward().score(poster().expand(3, -1, -1, -1), [PROMPT, 'a red star with "OVEN"', "a red star"])
    assert scores[0] == pytest.approx(-0.1)
    assert scores[1] < -1
    assert scores[2] == 0


def test_the_gradient_reaches_wrong_text_and_stops_at_the_target() -> None:
    images = poster().expand(2, -1, -1, -1).clone().requires_grad_()
    judge = reward(views=1)
    judge.score(images, [PROMPT, 'a sign "SALE"']).sum().backward()
    again = judge.score(images, [PROMPT, 'a sign "SALE"'])
    assert images.grad is not None
    assert images.grad[1].abs().max() > 0
    assert torch.equal(again, judge.score(images, [PROMPT, 'a sign "SALE"']))  # the draws are the picture's own


def test_a_picture_without_text_still_has_a_gradient() -> None:
    image = torch.full((1, 3, 48, 48), 0.5, requires_grad=True)
    score = reward(strength=0.0).score(image, [PROMPT])
    score.sum().backward()
    assert torch.isfinite(score).all()
    assert image.grad.abs().max() > 0


def test_bands_cover_the_picture() -> None:
    quads = bands(64, 32)
    assert len(quads) == 8
    assert quads[0].tolist() == [[0, 0], [32, 0], [32, 16], [0, 16]]
    assert quads[-2][2].tolist() == quads[-1][2].tolist() == [32, 64]


def test_it_goes_by_its_name() -> None:
    judge = load_reward("ocr-ctc")
    assert isinstance(judge.source, OcrCtcReward)
    assert (judge.name, judge.axes, judge.differentiable) == ("ocr-ctc", {"ocr-ctc": "text"}, True)

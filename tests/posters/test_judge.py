"""Gold judges on posters whose truth is known: right, wrong, worn, and no posters at all."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from rewardkit.images import to_tensor
from rewardkit.ocr import Engine
from rewardkit.posters.captions import LANGUAGES, long_caption, short_caption
from rewardkit.posters.colour import lab
from rewardkit.posters.draw import draw
from rewardkit.posters.judge import (
    MEASURED,
    PostersAesthetic,
    PostersAlignment,
    PostersText,
    colourfulness,
    gold_judges,
    rms_contrast,
)
from rewardkit.posters.measure import measure
from rewardkit.posters.scene import CHOICES, Scene, random_scene
from rewardkit.rewards.protocol import Reward

SCENE = Scene("circle", "red", "left", "large", "white", "vivid", "SALE")


def posters(scenes: list[Scene], size: int = 64) -> Tensor:
    return torch.stack([to_tensor(draw(scene, size)) for scene in scenes])


def random_scenes(count: int, seed: int = 0) -> list[Scene]:
    generator = torch.Generator().manual_seed(seed)
    return [random_scene(generator) for _ in range(count)]


def weathered(images: Tensor, sigma: float = 0.05) -> Tensor:
    soft = functional.avg_pool2d(functional.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    return (soft + sigma * torch.randn(images.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)


@pytest.fixture(scope="module")
def text_judge() -> PostersText:
    return PostersText(Engine(threads=1))


def test_the_judges_are_rewards() -> None:
    judges = gold_judges()
    assert all(isinstance(judge, Reward) and not judge.differentiable for judge in judges)
    assert [(judge.name, judge.axis) for judge in judges] == [
        ("posters-alignment", "alignment"),
        ("posters-aesthetic", "aesthetic"),
        ("posters-text", "text"),
    ]


@pytest.mark.parametrize("size", [64, 96])
def test_every_attribute_of_a_true_rendering_is_found(size: int) -> None:
    scenes = random_scenes(48)
    for name, rows in measure(posters(scenes, size)).items():
        truth = [CHOICES[name].index(getattr(scene, name)) for scene in scenes]
        assert rows.argmax(1).tolist() == truth, name
        assert rows[range(len(scenes)), truth].mean() > 0.95, name


def test_every_choice_is_found_in_worn_posters() -> None:
    scenes = [replace(SCENE, **{name: choice}) for name in MEASURED for choice in CHOICES[name]]
    scores = PostersAlignment().score(weathered(posters(scenes)), [long_caption(scene) for scene in scenes])
    assert scores.min() > 0.9


def test_alignment_is_near_chance_on_shuffled_captions() -> None:
    scenes = random_scenes(256)
    captions = [long_caption(scene) for scene in scenes]
    images, judge = posters(scenes), PostersAlignment()
    chance = sum(1 / len(CHOICES[name]) for name in MEASURED) / len(MEASURED)
    assert judge.score(images, captions).mean() > 0.97
    assert judge.score(images, captions[1:] + captions[:1]).mean() == pytest.approx(chance, abs=0.05)


@pytest.mark.parametrize("name", MEASURED)
def test_one_wrong_attribute_costs_its_share(name: str) -> None:
    wrong = replace(
        SCENE, **{name: next(choice for choice in reversed(CHOICES[name]) if choice != SCENE.stated()[name])}
    )
    true, off = PostersAlignment().score(posters([SCENE, wrong]), [long_caption(SCENE)] * 2).tolist()
    assert true - off == pytest.approx(1 / len(MEASURED), abs=0.04)


@pytest.mark.parametrize("language", LANGUAGES)
def test_prompts_of_every_language_and_length(language: str) -> None:
    scene = replace(SCENE, text=None)
    images = posters([scene, replace(scene, colour="blue")])
    short = short_caption(scene.without("position", "size", "background", "finish"), language)
    judge = PostersAlignment()
    assert judge.score(images, [long_caption(scene, language)] * 2).tolist() == pytest.approx([1.0, 0.8], abs=0.03)
    assert judge.score(images, [short] * 2).tolist() == pytest.approx([1.0, 0.5], abs=0.03)


def test_a_prompt_that_states_nothing_is_met() -> None:
    assert PostersAlignment().score(posters([SCENE]), ["a picture"]).item() == 1.0


def test_what_is_no_poster_gets_no_figure() -> None:
    flat = torch.full((1, 3, 64, 64), 246 / 255)
    noise = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    caption = long_caption(SCENE)
    assert PostersAlignment().score(flat, [caption]).item() == pytest.approx(1 / 5, abs=0.03)
    assert PostersAlignment().score(noise, [caption]).item() < 0.45
    assert torch.isfinite(PostersAlignment().score(torch.zeros(1, 3, 64, 64), [caption])).all()


def test_blobs_have_no_clear_shape() -> None:
    scene = replace(SCENE, shape="square", text=None)
    image = posters([scene])
    image[:, :, 10:36, 17:19] = image[:, :, 0:1, 0:1]  # cut the square in two halves
    assert measure(image)["shape"][0, CHOICES["shape"].index("square")] < 0.5


def test_lab_of_known_colours() -> None:
    rgb = torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    known = torch.tensor([[100.0, 0.0, 0.0], [0.0, 0.0, 0.0], [53.24, 80.09, 67.20], [32.30, 79.19, -107.86]])
    torch.testing.assert_close(lab(rgb), known, atol=0.2, rtol=0)


def test_looks_against_closed_forms() -> None:
    half = torch.zeros(1, 3, 8, 8)
    half[..., :4] = 1  # black and white halves
    assert rms_contrast(half).item() == pytest.approx(0.5, abs=1e-6)
    assert colourfulness(half).item() == pytest.approx(0.0, abs=1e-3)
    red = torch.zeros(1, 3, 8, 8)
    red[:, 0] = 1  # rg = 255, yb = 127.5, no spread
    assert colourfulness(red).item() == pytest.approx(0.3 * math.hypot(255, 127.5), rel=1e-5)


def test_vivid_looks_better_than_muted() -> None:
    scenes = random_scenes(32)
    judge = PostersAesthetic()
    vivid, muted = (judge.score(posters([replace(s, finish=f) for s in scenes]), [""] * 32) for f in ("vivid", "muted"))
    assert (vivid > muted).all()
    assert ((vivid <= 1) & (muted >= 0)).all()


def test_text_is_read_and_graded(text_judge: PostersText) -> None:
    scenes = [replace(SCENE, text=text) for text in ("SALE", "SALT", "MOON", None)]
    prompts = [long_caption(SCENE)] * 4
    assert text_judge.score(posters(scenes), prompts).tolist() == pytest.approx([1.0, 0.75, 0.0, 0.0])
    assert text_judge.score(posters(scenes[:1]), ["a red circle"]).tolist() == [0.0]


def test_the_figure_is_not_read_as_text(text_judge: PostersText) -> None:
    scenes = [
        replace(SCENE, shape=shape, position=place, text="93")
        for shape in CHOICES["shape"]
        for place in CHOICES["position"]
    ]
    assert text_judge.score(posters(scenes), ['a poster "93"'] * len(scenes)).mean() > 0.99

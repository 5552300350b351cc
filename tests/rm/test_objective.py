"""Every --loss, from its probabilities to a trained model."""

import json
import math
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rewardkit.data import PreferenceRecord, RankedRecord, read_pairs, write_pairs
from rewardkit.encoders import ImageFeatures
from rewardkit.errors import UserError
from rewardkit.images import to_pil
from rm import RewardModel
from rm.command import train
from rm.config import RmConfig
from rm.evaluation.config import EvalRmConfig
from rm.evaluation.evaluate import evaluate
from rm.features import pair_features
from rm.image_cache import ImageStore, Rows
from rm.lists import list_features, readable_lists
from rm.losses import bradley_terry
from rm.names import Loss
from rm.objective import Pairs, RankLists, best_images, pair_loss
from rm.sources import CachedPrompts
from tests.rm.resuming import resume_gives_the_same

MakePairs = Callable[..., Path]
NAN = math.nan
RED = torch.tensor([1.0, 0.0, 0.0])[:, None, None]


@pytest.mark.parametrize("loss", ["rao-kupper", "davidson"])
@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_equal_images_tie_with_the_probability_asked_for(loss: Loss, probability: float) -> None:
    score, tie = torch.zeros(1), torch.tensor([0.5])
    assert math.exp(-pair_loss(loss, probability)(score, score, tie).item()) == pytest.approx(probability, rel=1e-5)


def with_ties(path: Path) -> Path:
    """Call every third pair a tie."""
    records = read_pairs(path)
    write_pairs(path, [replace(r, label={"brightness": 0.5}) if i % 3 == 0 else r for i, r in enumerate(records)])
    return path


def options(data: Path, out: Path, **more: Any) -> RmConfig:
    return RmConfig(
        data=(data,),
        out=out,
        encoder="conv",
        augment="flip",
        epochs=8,
        batch_size=16,
        held_out=0.25,
        save_every_epochs=4,
        **more,
    )


def accuracy(out: Path) -> float:
    figure: float = json.loads((out / "summary.json").read_text())["axes"]["brightness"]["accuracy"]
    return figure


@pytest.mark.parametrize("loss", ["rao-kupper", "davidson"])
def test_ties_of_their_own_train(make_pairs: MakePairs, tmp_path: Path, loss: Loss) -> None:
    train(options(with_ties(make_pairs(axes=("brightness",))), tmp_path / "run", loss=loss))
    assert accuracy(tmp_path / "run") >= 0.9


def test_uncertain_scores_train_are_saved_and_evaluated(
    make_pairs: MakePairs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = make_pairs(axes=("brightness",)), tmp_path / "run"
    train(options(data, out, loss="gaussian"))
    assert accuracy(out) >= 0.9
    model = RewardModel.load(out / "rm")
    assert model.uncertain
    images = torch.rand(3, 3, 16, 16)
    features = model.features(images, ["a"] * 3)
    found = model.gaussians(features)["brightness"]
    assert torch.equal(model.score(images, "a", axis="brightness"), found.mean)
    assert found.log_variance.abs().max() > 0
    evaluate(EvalRmConfig(model=out / "rm", data=(data,)))
    assert "brightness: 0.9" in capsys.readouterr().out or accuracy(out) == 1
    model.save(tmp_path / "again")
    again = RewardModel.load(tmp_path / "again")
    assert torch.equal(again.gaussians(features)["brightness"].log_variance, found.log_variance)
    with pytest.raises(UserError, match="--loss gaussian"):
        RewardModel(model.encoder, ("brightness",)).gaussians(features)


@pytest.fixture
def make_lists(tmp_path: Path) -> Callable[..., Path]:
    """Write lists of images of one prompt, ranked by brightness, as ImageRewardDB publishes its test lists."""

    def make(count: int = 24) -> Path:
        generator = torch.Generator().manual_seed(5)
        folder = tmp_path / "lists"
        (folder / "images").mkdir(parents=True)
        rows = []
        for index in range(count):
            levels = torch.rand(3 + index % 2, generator=generator)
            names = [f"{index}_{place}.png" for place in range(len(levels))]
            for level, name in zip(levels, names, strict=True):
                grain = torch.rand(3, 16, 16, generator=generator)
                to_pil(0.8 * level + 0.2 * grain).save(folder / "images" / name)
            ranks = (levels[:, None] < levels).sum(1) + 1
            rows.append({"id": str(index), "prompt": "grey", "generations": names, "ranking": ranks.tolist()})
        (folder / "test.json").write_text(json.dumps(rows))
        return folder / "test.json"

    return make


def test_rank_lists_train_whole(
    make_lists: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_lists()
    (data.parent / "images" / "3_0.png").write_bytes(b"broken")
    config = options(data, tmp_path / "run", loss="plackett-luce", axes=("brightness",), max_bad=0.2)
    train(replace(config, epochs=16, batch_size=8))
    assert accuracy(config.out) >= 0.9
    assert "18 rank lists to train on" in capsys.readouterr().out


@pytest.mark.parametrize("loss", ["gaussian", "plackett-luce"])
def test_a_resumed_run_ends_with_the_same_weights(make_lists: Callable[..., Path], tmp_path: Path, loss: Loss) -> None:
    config = options(make_lists(), tmp_path / "run", loss=loss, axes=("brightness",), accumulate=2)
    resume_gives_the_same(replace(config, epochs=3, save_every_epochs=1), tmp_path)


def test_pairs_alone_are_no_rank_lists(make_pairs: MakePairs, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="plackett-luce needs rank lists"):
        train(options(make_pairs(axes=("brightness",)), tmp_path / "run", loss="plackett-luce"))


class Fixed:
    """Features that are drawn once, so that a loss depends on rows alone."""

    def __init__(self, count: int, width: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self.features = [torch.randn(count, *shape, generator=generator) for shape in ((4, 32), (width,), (10,))]

    def image(self, rows: Rows, generator: torch.Generator | None) -> ImageFeatures:
        return ImageFeatures(*(one[rows] for one in self.features))


IMAGES = [Path(f"{index}.png") for index in range(12)]
STORE = ImageStore(torch.zeros(12, 3, 1, 1, dtype=torch.uint8), {image: row for row, image in enumerate(IMAGES)})
AXES = ("alignment", "aesthetic")


def prompts_of(prompts: Any) -> CachedPrompts:
    embedded = [torch.randn(16, generator=torch.Generator().manual_seed(ord(prompt))) for prompt in prompts]
    return CachedPrompts(torch.stack(embedded))


@pytest.fixture
def model(encoder: Any) -> RewardModel:
    torch.manual_seed(0)
    return RewardModel(encoder, AXES)


def test_lists_of_two_have_the_loss_of_their_pairs(model: RewardModel) -> None:
    labels = [(1.0, 0.0), (0.0, 0.5), (NAN, 1.0), (0.5, NAN)]
    records = [
        PreferenceRecord(
            "abcd"[i],
            IMAGES[2 * i],
            IMAGES[2 * i + 1],
            {axis: value for axis, value in zip(AXES, label, strict=True) if value == value},
        )
        for i, label in enumerate(labels)
    ]
    source = Fixed(12, 16)
    pairs = Pairs(pair_features(records, STORE, source, prompts_of, AXES), "bradley-terry", 0.5, 0.0)
    listed = readable_lists([record.listed() for record in records], STORE, AXES)
    lists = RankLists(list_features(listed, STORE, source, prompts_of, AXES), 0.0)
    rows, generator = torch.tensor([3, 0, 2, 1]), torch.Generator()
    torch.testing.assert_close(lists.losses(model, rows, generator), pairs.losses(model, rows, generator))


def test_a_list_is_scored_place_by_place(model: RewardModel) -> None:
    scores = {"aesthetic": (3.0, NAN, 1.0), "alignment": (1.0, 1.0, 2.0)}
    long = RankedRecord("a", tuple(IMAGES[:3]), scores)
    short = RankedRecord("b", tuple(IMAGES[4:6]), {"aesthetic": (0.0, 5.0)})
    lists = list_features([long, short], STORE, Fixed(12, 16), prompts_of, AXES)
    assert lists.image.tolist() == [[0, 1, 2], [4, 5, -1]]
    ranks = lists.ranks["aesthetic"]
    found, there = lists.batch(torch.tensor([1, 0]), None)
    assert torch.equal(found.pooled, Fixed(12, 16).features[1][[4, 5, 0, 1, 2]])
    best, judged = best_images(ranks[[1, 0]], there)
    assert best.tolist() == [1, 2]
    assert judged.tolist() == [True, True]
    scores_of = model.judge(found)["aesthetic"]
    losses = RankLists(lists, 0.0).losses(model, torch.tensor([1, 0]), torch.Generator())
    pairs = bradley_terry(scores_of[[1, 2]], scores_of[[0, 4]], torch.ones(2))
    assert losses["aesthetic"].item() == pytest.approx(pairs.item(), rel=1e-5)
    with_wrong = RankLists(lists, 0.5).losses(model, torch.tensor([1, 0]), torch.Generator().manual_seed(0))
    assert with_wrong["aesthetic"] == losses["aesthetic"]
    assert with_wrong["alignment"] > losses["alignment"]


def test_an_image_that_cannot_be_read_leaves_its_list() -> None:
    gone = Path("gone.png")
    whole = RankedRecord("a", (gone, *IMAGES[:2]), {"aesthetic": (1.0, 2.0, 3.0)}, ids=("x", "y", "z"))
    lost = RankedRecord("b", (gone, IMAGES[2]), {"aesthetic": (1.0, 2.0)})
    (kept,) = readable_lists([whole, lost], STORE, AXES)
    assert kept.images == tuple(IMAGES[:2])
    assert kept.scores["aesthetic"] == (2.0, 3.0)
    assert kept.ids == ("y", "z")


def test_where_judgements_contradict_each_other_the_scores_are_less_certain(
    make_pairs: MakePairs, tmp_path: Path
) -> None:
    data = make_pairs(count=120, axes=("brightness",))
    records, coin, generator = read_pairs(data), random.Random(0), torch.Generator().manual_seed(1)
    for index, record in enumerate(records):
        if index % 2:  # red images: labels are thrown
            for path in (record.first, record.second):
                assert isinstance(path, Path)
                red = (
                    torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(index))
                    * torch.tensor([1.0, 0, 0])[:, None, None]
                )
                to_pil(red).save(path)
            records[index] = replace(record, label={"brightness": float(coin.random() < 0.5)})
    write_pairs(data, records)
    train(replace(options(data, tmp_path / "run", loss="gaussian"), epochs=12))
    model = RewardModel.load(tmp_path / "run" / "rm")
    grey = 0.8 * torch.rand(16, 1, 1, 1, generator=generator) + 0.2 * torch.rand(16, 3, 16, 16, generator=generator)
    red = torch.rand(16, 3, 16, 16, generator=generator) * RED
    certain, thrown = (
        model.gaussians(model.features(images, [""] * 16))["brightness"].log_variance.mean() for images in (grey, red)
    )
    assert thrown > certain

"""Training and evaluating end to end on pairs that can be told apart."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rewardkit.data import PreferenceRecord, read_pairs, write_pairs
from rewardkit.encoders import load_encoder
from rewardkit.errors import UserError
from rewardkit.images import load_image
from rewardkit.training.run import latest
from rm import RewardModel
from rm.command import new_model, train
from rm.config import RmConfig
from rm.evaluation.config import EvalRmConfig
from rm.evaluation.evaluate import evaluate
from rm.optim import make_optimizer
from tests.rm.resuming import resume_gives_the_same

MakePairs = Callable[..., Path]
AXES = ("alignment", "aesthetic", "text")


@pytest.fixture
def config(make_pairs: MakePairs, encoder_folder: str, tmp_path: Path) -> RmConfig:
    return RmConfig(
        data=(make_pairs(),),
        out=tmp_path / "run",
        encoder=encoder_folder,
        epochs=4,
        save_every_epochs=1,
        batch_size=16,
        views=2,
        mismatch=0.1,
        held_out=0.25,
        patience=50,
    )


def test_a_separable_set_is_learnt_on_every_axis(
    config: RmConfig, make_pairs: MakePairs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(replace(config, epochs=25, save_every_epochs=25))
    assert "held-out accuracy" in capsys.readouterr().out
    assert (config.out / "learning_curve.png").stat().st_size > 1000
    assert list((config.out / "tensorboard").glob("events*"))
    assert json.loads((config.out / "summary.json").read_text())["axes"]["text"]["n"] == 15
    fresh = make_pairs(count=40, seed=1)
    evaluate(EvalRmConfig(config.out / "rm", (fresh,), out=tmp_path / "eval.json"))
    figures = json.loads((tmp_path / "eval.json").read_text())["axes"]
    for axis in AXES:
        assert figures[axis]["value"] >= 0.85, (axis, figures)
        assert figures[axis]["n"] == 40
    printed = capsys.readouterr().out
    assert "tie rule: ties-excluded (pairs labelled a tie are left out" in printed


def test_a_resumed_run_ends_with_the_same_weights(config: RmConfig, tmp_path: Path) -> None:
    resume_gives_the_same(config, tmp_path)


@pytest.mark.parametrize("unfreeze", [1, -1])
def test_an_encoder_that_learns_is_saved_with_the_model(config: RmConfig, encoder_folder: str, unfreeze: int) -> None:
    train(replace(config, epochs=1, unfreeze=unfreeze, encoder_lr=1e-3, axes=("aesthetic",)))
    before = load_encoder(encoder_folder).state_dict()
    after = RewardModel.load(config.out / "rm").encoder.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert any("visual.transformer" in name for name in changed)
    assert not any(name.startswith("clip.transformer") for name in changed)
    assert ("clip.visual.conv1.weight" in changed) == (unfreeze == -1)


def adapted(config: RmConfig, **options: Any) -> RmConfig:
    return replace(config, lora_rank=4, encoder_lr=1e-2, epochs=3, mismatch=0.0, **options)


@pytest.mark.parametrize("text", [False, True])
def test_lora_is_saved_merged_and_scores_the_same(config: RmConfig, encoder_folder: str, text: bool) -> None:
    config = adapted(config, lora_text=text, axes=("alignment",))
    train(config)
    found = RewardModel.load(config.out / "rm")
    before = load_encoder(encoder_folder).state_dict()
    after = found.encoder.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert before.keys() == after.keys()
    assert any(name.startswith("clip.visual.transformer") for name in changed)
    assert any(name.startswith("clip.transformer") for name in changed) == text
    checkpoint = latest(config.out)
    assert checkpoint is not None
    unmerged = new_model(config, ("alignment",)).eval()
    unmerged.load_state_dict(checkpoint.tensors["best"], strict=False)
    assert all("lora_" in name or name.startswith("heads.") for name in checkpoint.tensors["best"])
    images, prompts = torch.rand(3, 3, 20, 16), ["a", 'the text "B"', "c"]
    torch.testing.assert_close(found.scores(images, prompts), unmerged.scores(images, prompts), atol=1e-5, rtol=1e-5)


def test_lora_resumes_to_the_same_weights(config: RmConfig, tmp_path: Path) -> None:
    resume_gives_the_same(adapted(config, lora_text=True, axes=("text",)), tmp_path)


def test_lora_learns_at_a_rate_of_its_own(config: RmConfig) -> None:
    def peaks(encoder_lr: float | None, **options: Any) -> set[float]:
        model = new_model(replace(config, **options), ("text",))
        return {group["lr"] for group in make_optimizer(model, 0.5, encoder_lr, 0.0).param_groups}

    assert peaks(None, lora_rank=2) == {0.5, 1e-4}
    assert peaks(None, unfreeze=1) == {0.5, 1e-5}
    assert peaks(3e-6, unfreeze=1) == {0.5, 3e-6}


def test_conv_learns_from_scratch_on_an_axis_of_ones_own(make_pairs: MakePairs, tmp_path: Path) -> None:
    data = make_pairs(axes=("brightness",))
    out = tmp_path / "run"
    train(RmConfig(data=(data,), out=out, encoder="conv", epochs=8, batch_size=16, augment="flip", held_out=0.25))
    assert json.loads((out / "summary.json").read_text())["axes"]["brightness"]["accuracy"] >= 0.9


def test_the_cosine_trains_too(config: RmConfig) -> None:
    train(replace(config, head="cosine", epochs=1))
    assert RewardModel.load(config.out / "rm").kind == "cosine"


def test_a_corrupt_image_stops_the_run_and_is_named(config: RmConfig) -> None:
    bad = read_pairs(config.data[0])[3].first
    bad.write_bytes(b"broken")
    with pytest.raises(UserError, match=bad.name):
        train(config)


def test_a_share_of_corrupt_images_is_skipped_and_counted(config: RmConfig, capsys: pytest.CaptureFixture[str]) -> None:
    read_pairs(config.data[0])[3].first.write_bytes(b"broken")
    train(replace(config, epochs=1, max_bad=0.1))
    assert "skipped 1 of 60 pairs" in capsys.readouterr().out
    assert json.loads((config.out / "skipped.json").read_text())["skipped"] == 1


def test_missing_things_are_named(config: RmConfig, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file of pairs"):
        train(replace(config, data=(tmp_path / "none.jsonl",)))
    with pytest.raises(UserError, match="axis 'beauty'"):
        train(replace(config, axes=("beauty",)))
    with pytest.raises(UserError, match="held_out"):
        train(replace(config, held_out=0.0))
    with pytest.raises(UserError, match="only one of them"):
        train(replace(config, lora_rank=4, unfreeze=1))
    with pytest.raises(UserError, match="--lora-rank N too"):
        train(replace(config, lora_text=True))
    with pytest.raises(UserError, match="no pretrained tower"):
        train(replace(config, encoder="conv", lora_rank=4, axes=("aesthetic",)))


def test_an_axis_judged_in_some_pairs_only_trains(config: RmConfig) -> None:
    records = read_pairs(config.data[0])
    partly = [
        PreferenceRecord(r.prompt, r.first, r.second, dict(r.label) if i % 2 else {"aesthetic": r.label["aesthetic"]})
        for i, r in enumerate(records)
    ]
    write_pairs(config.data[0], partly)
    train(replace(config, epochs=1))
    axes = json.loads((config.out / "summary.json").read_text())["axes"]
    assert axes["text"]["n"] < axes["aesthetic"]["n"]


def test_eval_prints_the_ceiling_of_gold_scores(
    config: RmConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(replace(config, epochs=1, axes=("aesthetic",)))
    records = read_pairs(config.data[0])
    gold = tmp_path / "gold.jsonl"
    means = [[float(load_image(path).mean()) for path in (r.first, r.second)] for r in records]
    gold.write_text("".join(json.dumps({"aesthetic": pair}) + "\n" for pair in means))
    evaluate(EvalRmConfig(config.out / "rm", config.data, gold=gold, temperature={"aesthetic": 0.1}))
    first, second = torch.tensor(means, dtype=torch.float64).unbind(1)
    ceiling = torch.sigmoid((first - second).abs() / 0.1).mean().item()
    assert f"ceiling {ceiling:.3f}" in capsys.readouterr().out
    gold.write_text(json.dumps({"aesthetic": [1, 0]}) + "\n")
    with pytest.raises(UserError, match="1 rows for 60 pairs"):
        evaluate(EvalRmConfig(config.out / "rm", config.data, gold=gold))


def test_eval_names_axes_that_do_not_meet(config: RmConfig, make_pairs: MakePairs) -> None:
    train(replace(config, epochs=1, axes=("aesthetic",)))
    other = make_pairs(axes=("texture",), seed=2)
    with pytest.raises(UserError, match="no axis in common"):
        evaluate(EvalRmConfig(config.out / "rm", (other,)))
    with pytest.raises(UserError, match="axis 'text'"):
        evaluate(EvalRmConfig(config.out / "rm", config.data, axes=("text",)))


def test_accumulation_and_bfloat16_resume_to_the_same_weights(config: RmConfig, tmp_path: Path) -> None:
    options = replace(config, accumulate=3, dtype="bfloat16", unfreeze=1, epochs=2, axes=("alignment",))
    resume_gives_the_same(options, tmp_path)


def test_training_stops_when_nothing_gets_better(config: RmConfig) -> None:
    still = replace(config, lora_rank=2, lr=0.0, encoder_lr=0.0, epochs=9, patience=2, axes=("aesthetic",))
    train(still)
    assert len((config.out / "metrics.jsonl").read_text().splitlines()) == 2
    assert (config.out / "learning_curve.png").stat().st_size > 1000
    assert json.loads((config.out / "summary.json").read_text())["axes"]["aesthetic"]["epoch"] == 1

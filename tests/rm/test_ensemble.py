"""Heads that learn apart: each has the gradient it would have alone, and the score is the mean."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from rewardkit.data import read_pairs
from rewardkit.encoders import ClipEncoder
from rewardkit.errors import UserError
from rewardkit.images import load_image
from rm import RewardModel
from rm.command import train
from rm.config import RmConfig
from rm.losses import Gaussian, bradley_terry, davidson, marginal_preference, mismatch, rao_kupper

MakePairs = Callable[..., Path]
LABEL = torch.tensor([1.0, 0.0, 0.5, float("nan"), 0.3])


def of_gaussians(first: Tensor, second: Tensor) -> Tensor:
    spread = torch.linspace(-1, 1, 5)
    return marginal_preference(Gaussian(first, spread), Gaussian(second, -spread), LABEL)


@pytest.mark.parametrize(
    "loss",
    [
        lambda first, second: bradley_terry(first, second, LABEL),
        lambda first, second: rao_kupper(first, second, LABEL, 0.7),
        lambda first, second: davidson(first, second, LABEL, 0.7),
        lambda first, second: mismatch(first, second, torch.tensor([1.0, 1, 0, 1, 0])),
        of_gaussians,
    ],
)
def test_a_loss_of_members_is_the_mean_of_their_losses(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    first, second = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0))
    alone = torch.stack([loss(*pair) for pair in zip(first, second, strict=True)])
    torch.testing.assert_close(loss(first, second), alone.mean())


def test_members_differ_and_the_score_is_their_mean(encoder: ClipEncoder, tmp_path: Path) -> None:
    model = RewardModel(encoder, ("aesthetic", "text"), members={"text": 3})
    images, prompts = torch.rand(4, 3, 16, 16), [f'a sign "{word}"' for word in ("A", "BC", "DEF", "")]
    features = model.features(images, prompts)
    each = model.train().judge(features)["text"]
    mean = model.eval().judge(features)["text"]
    assert each.shape == (3, 4)
    assert (each[:, 0].detach().diff().abs() > 1e-4).all()
    torch.testing.assert_close(mean, each.mean(0))
    model.save(tmp_path / "rm")
    again = RewardModel.load(tmp_path / "rm")
    assert again.members == {"aesthetic": 1, "text": 3}
    torch.testing.assert_close(again.score(images, prompts, "text"), mean)


def test_a_model_without_members_in_its_config_still_loads(encoder: ClipEncoder, tmp_path: Path) -> None:
    RewardModel(encoder, ("text",)).save(tmp_path / "rm")
    file = tmp_path / "rm" / "config.json"
    config = json.loads(file.read_text())
    del config["members"]
    file.write_text(json.dumps(config))
    assert RewardModel.load(tmp_path / "rm").members == {"text": 1}


@pytest.mark.parametrize("loss", ["bradley-terry", "gaussian"])
def test_members_train_end_to_end(loss: str, make_pairs: MakePairs, encoder_folder: str, tmp_path: Path) -> None:
    data = make_pairs(axes=("alignment", "text"))
    config = RmConfig(
        data=(data,),
        out=tmp_path / "run",
        encoder=encoder_folder,
        epochs=25,
        save_every_epochs=25,
        batch_size=16,
        mismatch=0.1,
        held_out=0.25,
        patience=50,
        members={"text": 2},
        loss=loss,  # type: ignore[arg-type]
    )
    train(config)
    model = RewardModel.load(tmp_path / "run" / "rm")
    records = read_pairs(data)
    first, second = (
        torch.stack([load_image(getattr(record, side)) for record in records]) for side in ("first", "second")
    )
    prompts = [record.prompt for record in records]
    better = model.score(first, prompts, "text") > model.score(second, prompts, "text")
    wanted = torch.tensor([record.label["text"] > 0.5 for record in records])
    assert (better == wanted).float().mean() > 0.85
    head: nn.Module = model.heads["text"]
    starts = [parameter for name, parameter in head.named_parameters() if name.endswith("reader.memory.weight")]
    assert not torch.equal(*starts)


def test_what_makes_no_ensemble_is_named(make_pairs: MakePairs, encoder_folder: str, tmp_path: Path) -> None:
    config = RmConfig(data=(make_pairs(),), out=tmp_path / "run", encoder=encoder_folder)
    with pytest.raises(UserError, match=r"no axis 'txt' is trained; .*text"):
        train(replace(config, members={"txt": 2}))
    with pytest.raises(UserError, match="members must be 1 or more; got 0"):
        train(replace(config, members={"text": 0}))

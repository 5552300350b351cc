"""`rm.train` from Python: records and an encoder in memory learn what files and names do."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import rm
from rewardkit.data import PreferenceRecord, read_records, write_pairs
from rewardkit.encoders import load_encoder
from rewardkit.errors import UserError
from rewardkit.images import save_image

OPTIONS: dict[str, Any] = {"epochs": 1, "views": 1, "axes": ["aesthetic"], "held_out": 0.25, "batch_size": 4}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bright images are preferred."""
    folder = tmp_path_factory.mktemp("pairs")
    records = []
    for number in range(12):
        dark, bright = (folder / f"{number}_{side}.png" for side in ("dark", "bright"))
        save_image(torch.full((3, 32, 32), 0.2 + number / 100), dark)
        save_image(torch.full((3, 32, 32), 0.8 + number / 100), bright)
        records.append(PreferenceRecord(f"prompt {number}", dark, bright, {"aesthetic": 0.0}))
    write_pairs(folder / "pairs.jsonl", records)
    return folder / "pairs.jsonl"


def weights(model: rm.RewardModel) -> dict[str, Tensor]:
    return dict(model.heads.state_dict())


def test_records_learn_what_their_file_does(pairs: Path, tmp_path: Path) -> None:
    named = rm.train(str(pairs), tmp_path / "named", **OPTIONS)
    given = rm.train(read_records(pairs), str(tmp_path / "given"), **OPTIONS)
    first, second = weights(named), weights(given)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_an_encoder_of_ones_own_is_trained_on(pairs: Path, tmp_path: Path) -> None:
    encoder = load_encoder("conv")
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    given = rm.train(str(pairs), tmp_path / "run", encoder=encoder, unfreeze=-1, **OPTIONS | {"epochs": 20, "lr": 1e-2})
    assert any(not torch.equal(before[name], value) for name, value in encoder.state_dict().items())
    bright, dark = torch.full((1, 3, 32, 32), 0.8), torch.full((1, 3, 32, 32), 0.2)
    assert given.score(bright, "a", "aesthetic") > given.score(dark, "a", "aesthetic")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([], "pairs are PreferenceRecord or RankedRecord objects; got an empty list"),
        ("nowhere.jsonl", "no such file of pairs: nowhere.jsonl"),
    ],
)
def test_data_of_another_kind_is_refused(tmp_path: Path, data: Any, says: str) -> None:
    with pytest.raises(UserError, match=says):
        rm.train(data, tmp_path / "run", **OPTIONS)
    assert not (tmp_path / "run").exists()


def test_an_unknown_option_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no option 'epoch'; did you mean 'epochs'"):
        rm.train("pairs.jsonl", tmp_path, epoch=3)
    with pytest.raises(UserError, match="lr"):
        rm.train("pairs.jsonl", tmp_path, lr=float("nan"))

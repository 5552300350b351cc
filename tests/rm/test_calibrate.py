"""`calibrate`: from ready scores and from rated images, and what is wrong with a file is named."""

import io
import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from rewardkit.errors import UserError
from rewardkit.rewards.calibration import Calibration
from rewardkit.types import Images, Scores
from rm.calibration.command import calibrate
from rm.calibration.config import CalibrateConfig


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def rated(tmp_path: Path) -> Path:
    """Sixty prompts whose scores are a bent but rising function of the ratings."""
    generator = torch.Generator().manual_seed(0)
    ratings = (1 + 6 * torch.rand(60, 4, generator=generator)).tolist()
    rows = [
        {"prompt": f"p{i}", "scores": [math.exp(r) for r in some], "ratings": some} for i, some in enumerate(ratings)
    ]
    return write(tmp_path / "rated.jsonl", *rows)


def test_a_bent_scale_is_straightened(rated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "calibration.json"
    calibrate(CalibrateConfig(scores=(rated,), low=1.0, high=7.0, out=out))
    found = json.loads(out.read_text())["axes"]["preference"]
    assert (found["images"], found["prompts"]) == (240, 60)
    assert found["error"]["value"] < 0.05 < 0.7 < found["error_of_mean"]["value"]
    assert found["temperature"] < 1  # every preference follows the scores, so they may be surer
    assert sum(part["n"] for part in found["after"]) == 6 * found["error"]["n"]  # six pairs of four images
    assert out.with_suffix(".png").stat().st_size > 1000
    calibration = Calibration.load(out)
    scores = torch.tensor([math.exp(1), math.exp(4), math.exp(7)])
    assert calibration.rate("preference", scores).tolist() == pytest.approx([1, 3, 5], abs=0.1)
    assert calibration.prefer("preference", scores[1:], scores[:2]).min() > 0.9
    assert "held-out prompts" in capsys.readouterr().out


class Brightness:
    name, axis, differentiable = "brightness", "light", True

    def score(self, images: Images, prompts: list[str]) -> Scores:
        return images.mean((1, 2, 3))


def test_rated_images_of_a_public_set_are_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rewardkit.rewards.formulas.Colourfulness", Brightness)
    models = ("one", "two", "three")
    rows = []
    for prompt in range(12):
        shades = {model: 60 * place + 5 * prompt for place, model in enumerate(models)}
        rating = {model: [1 + 2 * place] * 3 for place, model in enumerate(models)}
        cells = {model: {"bytes": png(shade), "path": None} for model, shade in shades.items()}
        rows.append({"Index": prompt, "Prompt": f"p{prompt}", "Tags": "", "HumanRatings": json.dumps(rating), **cells})
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rated.parquet")
    out = tmp_path / "calibration.json"
    calibrate(CalibrateConfig("colourfulness", (tmp_path / "rated.parquet",), out=out))
    found = json.loads(out.read_text())["axes"]["alignment"]
    assert (found["images"], found["prompts"]) == (36, 12)
    rates = Calibration.load(out).rate("alignment", torch.tensor([0.0, 1.0]))
    assert rates.tolist() == [1, 5]


def png(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (shade,) * 3).save(buffer, "png")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"scores": [1, 2], "ratings": [1]}, "row 1 has 2 scores, 1 ratings"),
        ({"scores": [1, 2], "ratings": [1, float("nan")]}, "row 1, ratings: number 2 is nan"),
        ({"scores": [1, 2], "ranks": [1, 2]}, "row 1 has no 'ratings'"),
        ({"scores": [1, 2], "ratings": [1, 9]}, "prompt 'p': a rating is 9"),
        ({"scores": [1, 2], "ratings": [1, 2]}, "too few prompts"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: dict[str, Any], words: str) -> None:
    path = write(tmp_path / "rated.jsonl", {"prompt": "p", **row})
    with pytest.raises(UserError, match=words):
        calibrate(CalibrateConfig(scores=(path,), out=tmp_path / "c.json"))


def test_ratings_that_never_differ_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", *({"prompt": f"p{i}", "scores": [i, 1], "ratings": [3, 3]} for i in range(30)))
    with pytest.raises(UserError, match="no two images of one prompt are rated differently"):
        calibrate(CalibrateConfig(scores=(path,), out=tmp_path / "c.json"))


def test_what_is_not_given_is_asked_for(rated: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing to calibrate"):
        calibrate(CalibrateConfig())
    with pytest.raises(UserError, match=r"give --out FILE\.json"):
        calibrate(CalibrateConfig(scores=(rated,)))
    with pytest.raises(UserError, match="--low below --high"):
        calibrate(CalibrateConfig(scores=(rated,), low=5.0, high=1.0))
    with pytest.raises(UserError, match="is not a calibration of this version"):
        Calibration.load(write(tmp_path / "x.json", {"a": 1}))

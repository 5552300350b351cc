"""Photos and their degraded copies."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from rewardkit.data import read_pairs
from rewardkit.data.config import DegradeConfig
from rewardkit.data.degradation import DEGRADATIONS, blur, degrade, jpeg, low_resolution, noise
from rewardkit.errors import UserError
from rewardkit.images import load_image, save_image


def texture(seed: int, side: int = 48) -> torch.Tensor:
    """Random detail at several scales."""
    generator = torch.Generator().manual_seed(seed)
    layers = [
        F.interpolate(torch.rand(1, 3, side // scale, side // scale, generator=generator), size=(side, side))[0]
        for scale in (1, 2, 4, 8)
    ]
    return torch.stack(layers).mean(0)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for index in range(3):
        save_image(texture(index), tmp_path / "photos" / f"{index}.png")
    return tmp_path / "photos"


def detail(image: torch.Tensor) -> float:
    return float((image[:, :, 1:] - image[:, :, :-1]).square().mean())


def test_blur_of_a_point_is_a_gaussian() -> None:
    image = torch.zeros(3, 31, 31)
    image[:, 15, 15] = 1
    out = blur(image, 2.0)
    assert out.sum().item() == pytest.approx(3, rel=1e-4)
    place = torch.arange(31.0) - 15
    assert (out[0].sum(0) * place**2).sum().item() == pytest.approx(4.0, rel=0.05)  # the variance, a little cut off


def test_noise_has_the_stated_strength() -> None:
    change = noise(torch.full((3, 64, 64), 0.5), 10.0, torch.Generator().manual_seed(0)) - 0.5
    assert change.std().item() * 255 == pytest.approx(10, rel=0.05)


@pytest.mark.parametrize("kind", [blur, low_resolution])
def test_softening_takes_detail_away_by_strength(kind: object) -> None:
    image = texture(0)
    levels = [detail(image)] + [detail(kind(image, strength)) for strength in (1.5, 3.0)]  # type: ignore[operator]
    assert levels == sorted(levels, reverse=True)


def test_worse_jpeg_changes_more() -> None:
    image = texture(0)
    high, low = ((jpeg(image, quality) - image).square().mean() for quality in (90.0, 10.0))
    assert low > 2 * high


def test_pairs_are_written_grouped_swapped_and_reproducible(photos: Path, tmp_path: Path) -> None:
    degrade(DegradeConfig((photos,), tmp_path / "one", crops=8, size=32))
    degrade(DegradeConfig((photos,), tmp_path / "two", crops=8, size=32))
    records = read_pairs(tmp_path / "one" / "pairs.jsonl")
    assert len(records) == 24
    assert {r.group for r in records} == {f"photos/{index}.png" for index in range(3)}
    assert {r.label["texture"] for r in records} == {0.0, 1.0}
    assert {r.source.split()[0] for r in records} == set(DEGRADATIONS)
    for record, again in zip(records, read_pairs(tmp_path / "two" / "pairs.jsonl"), strict=True):
        assert torch.equal(load_image(record.first), load_image(again.first))


def test_the_label_names_the_original(photos: Path, tmp_path: Path) -> None:
    degrade(DegradeConfig((photos,), tmp_path / "out", crops=10, size=32, kinds=("blur",)))
    for record in read_pairs(tmp_path / "out" / "pairs.jsonl"):
        sharper = detail(load_image(record.first)) > detail(load_image(record.second))
        assert record.label["texture"] == float(sharper)


def test_a_flat_photo_gives_no_pair_and_a_small_one_is_counted(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_image(torch.full((3, 48, 48), 0.5), photos / "flat.png")
    save_image(texture(9, 16), photos / "small.png")
    degrade(DegradeConfig((photos,), tmp_path / "out", crops=2, size=32, kinds=("blur",)))
    assert "1 too small, 2 crops without visible change" in capsys.readouterr().out


def test_a_corrupt_photo_stops_or_is_counted(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "broken.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"broken\.png"):
        degrade(DegradeConfig((photos,), tmp_path / "out", crops=1, size=32))
    degrade(DegradeConfig((photos,), tmp_path / "out", crops=1, size=32, max_bad=0.5))
    assert "1 unreadable photos" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kinds": ("melt",)}, "melt"),
        ({"jpeg": (0.0, 50.0)}, "jpeg"),
        ({"size": 8}, "size"),
        ({"blur": (2.0, 1.0)}, "blur"),
    ],
)
def test_wrong_options_are_user_errors(photos: Path, tmp_path: Path, change: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        degrade(DegradeConfig((photos,), tmp_path / "out", **change))  # type: ignore[arg-type]

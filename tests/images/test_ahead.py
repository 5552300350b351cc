"""Work done in threads comes in order, no further ahead than a few items, and errors come where they belong."""

import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image

from rewardkit.errors import UserError
from rewardkit.images import QUIET, load_image, save_image
from rewardkit.images.ahead import ahead


def test_results_come_in_order_with_errors_in_their_place() -> None:
    def halve(number: int) -> float:
        if number == 3:
            raise UserError("three")
        return number / 2

    found = list(ahead(halve, range(40), threads=4))
    assert [item for item, _ in found] == list(range(40))
    assert isinstance(found[3][1], UserError)
    assert [result for item, result in found if item != 3] == [item / 2 for item in range(40) if item != 3]


def test_it_works_at_once_and_not_far_ahead() -> None:
    together = threading.Barrier(2, timeout=20)  # two must be at work at the same time to get past it
    taken = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    results = ahead(lambda number: together.wait() >= 0, items(), threads=2)
    assert next(results) == (0, True)
    assert len(taken) <= 8
    assert len(list(results)) == 99


def test_a_depth_of_ones_own_is_kept() -> None:
    taken = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    results = ahead(lambda number: number, items(), threads=2, depth=30)
    assert next(results) == (0, 0)
    assert len(taken) == 30


def test_any_other_error_is_raised() -> None:
    def fail(number: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(ahead(fail, range(3)))


def test_images_read_in_threads_are_those_read_alone_and_warnings_come_back(tmp_path: Path) -> None:
    paths = [tmp_path / f"{index}.png" for index in range(12)]
    for index, path in enumerate(paths):
        save_image(torch.full((3, 5 + index, 4), index / 12), path)
    paths[7].write_bytes(paths[7].read_bytes()[:40])
    for path, image in ahead(load_image, paths, threads=4):
        if path == paths[7]:
            assert str(path) in str(image)
        else:
            assert torch.equal(image, load_image(path))  # type: ignore[arg-type]
    assert not QUIET.inside
    with pytest.warns(UserWarning, match="still heard"):
        warnings.warn("still heard", stacklevel=1)


def test_pillows_warnings_are_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_image(torch.zeros(3, 20, 20), tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)  # PIL warns of the 400 pixels of this image
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_image(tmp_path / "a.png").shape == (3, 20, 20)

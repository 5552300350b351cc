"""Files become batches whatever their sizes, few wait in memory, and they are framed in 8 bits."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from rewardkit.images import load_bytes, load_image, save_image
from rewardkit.images.preprocess import FramedPixels, Pixels, Preprocess, floats
from rewardkit.rewards.batches import Batch, Unreadable, batches, score_batch
from rewardkit.types import Images, Scores


class Small:
    """A reward that frames, and remembers what it was given."""

    name = "small"
    axis = "aesthetic"
    differentiable = True
    preprocess = Preprocess((6, 6))

    def frame(self, images: Pixels) -> FramedPixels:
        return self.preprocess.frame(images)

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        return self.frame(images).mean((1, 2, 3))


class Whole:
    """A reward that takes images as they are."""

    name = "whole"
    axis = "aesthetic"
    differentiable = True

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        return images.amax((1, 2, 3))


def paint(folder: Path, sizes: Sequence[tuple[int, int]]) -> list[Path]:
    generator = torch.Generator().manual_seed(0)
    files = [folder / f"{index}.png" for index in range(len(sizes))]
    for file, size in zip(files, sizes, strict=True):
        save_image(torch.rand(3, *size, generator=generator), file)
    return files


def test_images_of_any_size_share_a_batch_of_a_reward_that_frames(tmp_path: Path) -> None:
    files = paint(tmp_path, [(8, 8), (8, 12), (20, 8), (9, 9)])
    (batch,) = batches(files, [Small()], 4)
    assert isinstance(batch, Batch)
    assert batch.images[0].shape == (4, 3, 6, 6)
    scores = score_batch([Small()], batch, [""] * 4, "cpu")["small"]
    small = [floats(Small.preprocess.frame(load_bytes(files[row])[None])) for row in batch.rows]
    torch.testing.assert_close(scores, torch.cat([Small().score(image, [""]) for image in small]))
    exact = torch.cat([Small().score(load_image(files[row])[None], [""]) for row in batch.rows])
    torch.testing.assert_close(scores, exact, rtol=0, atol=1 / 255)  # which are resized in floats
    assert batch.images[0].is_contiguous()


def test_beside_a_reward_that_does_not_they_go_by_size_and_every_one_once(tmp_path: Path) -> None:
    files = paint(tmp_path, [(8, 8), (8, 12), (8, 8), (8, 12), (8, 8)])
    found = [batch for batch in batches(files, [Small(), Whole()], 2) if isinstance(batch, Batch)]
    assert [list(batch.rows) for batch in found] == [[0, 2], [1, 3], [4]]
    assert all(batch.images[1].shape[-2:] == load_image(files[batch.rows[0]]).shape[-2:] for batch in found)


def test_few_images_wait_however_many_sizes_there_are(tmp_path: Path) -> None:
    files = paint(tmp_path, [(4, 4 + index) for index in range(20)])
    rows: list[int] = []
    for batch in batches(files, [Whole()], 2):
        assert isinstance(batch, Batch)
        assert max(batch.rows) - len(rows) < 8  # those before it are out, but for seven
        rows += batch.rows
    assert sorted(rows) == list(range(20))


def test_a_broken_file_is_named_with_its_place(tmp_path: Path) -> None:
    files = paint(tmp_path, [(8, 8)] * 3)
    files[1].write_bytes(b"no image")
    (bad,) = (batch for batch in batches(files, [Small()], 2) if isinstance(batch, Unreadable))
    assert bad.row == 1
    assert "1.png" in bad.error


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_bytes_are_resized_as_floats_are(fit: str) -> None:
    preprocess = Preprocess((16, 16), fit=fit)  # type: ignore[arg-type]
    ramp = torch.linspace(0.1, 0.9, 3 * 40 * 50).view(1, 3, 40, 50)
    whole = ramp.mul(255).round().byte()
    framed = preprocess.frame(whole)
    assert framed.dtype == torch.uint8
    assert (framed.float() - preprocess.frame(whole / 255).mul(255)).abs().max() <= 1

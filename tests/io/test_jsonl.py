"""JSON lines are split at newlines alone, whatever a prompt holds."""

from pathlib import Path

import pytest
import torch

from rewardkit.data import PreferenceRecord, read_pairs, write_pairs
from rewardkit.data.image_folder import read_image_folder
from rewardkit.diffusion.generate import write_prompts
from rewardkit.errors import UserError
from rewardkit.images import save_image
from rewardkit.io.jsonl import numbered_rows, read_objects, write_rows
from rewardkit.prompts import Prompt, read_prompts
from rewardkit.workflows.rounds.label import label

ODD = 'one\u2028two\u0085three\x0bfour\x0cfive\x1csix "SALE" — 春'


def test_a_prompt_of_odd_line_breaks_comes_through_every_reader(tmp_path: Path) -> None:
    """From the file that `generate` writes to labelled pairs."""
    image = tmp_path / "00000.png"
    save_image(torch.rand(3, 16, 16), image)
    write_prompts([Prompt(ODD, {})], [image], 0, tmp_path / "prompts.jsonl")
    assert [prompt.text for prompt in read_prompts(tmp_path / "prompts.jsonl")] == [ODD]
    assert [item.prompt for item in read_image_folder(tmp_path).items] == [ODD]
    write_rows(
        tmp_path / "asked.jsonl", [{"prompt": ODD, "first": str(image), "second": str(image), "source": "random"}]
    )
    label(tmp_path / "asked.jsonl", tmp_path / "labelled.jsonl", ["colourfulness"], {}, seed=0)
    assert [record.prompt for record in read_pairs(tmp_path / "labelled.jsonl")] == [ODD]
    write_pairs(tmp_path / "pairs.jsonl", [PreferenceRecord(ODD, image, image, {"text": 1.0}, ODD, "test")])
    assert [record.prompt for record in read_pairs(tmp_path / "pairs.jsonl")] == [ODD]


def test_rows_come_back_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('\ufeff{"a": 1}\r\n\n  \n["b"]\n', encoding="utf-8")
    assert list(numbered_rows(path)) == [(1, {"a": 1}), (4, ["b"])]
    write_rows(path, [{"prompt": ODD}, {}])
    assert list(read_objects(path)) == [{"prompt": ODD}, {}]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"a": 1}\n{"a": \n', "line 2 is not JSON"),
        (b"[1]\n", "line 1 is not a JSON object"),
        (b'{"a": "\xff"}\n', "not UTF-8"),
        (b"[" * 100_000 + b"\n", "line 1 cannot be read as JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}\n", "line 1 cannot be read as JSON"),
    ],
)
def test_what_cannot_be_read_names_file_and_line(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(data)
    with pytest.raises(UserError, match=message) as error:
        list(read_objects(path))
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        list(read_objects(tmp_path / "nothing.jsonl"))

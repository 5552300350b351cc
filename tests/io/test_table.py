"""Tables: delimiters, cells of any length, quotation marks."""

from pathlib import Path

import pytest

from rewardkit.data import read_pairs
from rewardkit.errors import UserError
from rewardkit.io.table import read_table
from rewardkit.prompts import read_prompts


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_the_first_line_says_what_splits_cells(tmp_path: Path, delimiter: str, ending: str) -> None:
    path = tmp_path / f"p.{ending}"
    path.write_text(f"\nprompt {delimiter}kind\na cat{delimiter}x\n\na dog\n")
    assert list(read_table(path)) == [(3, {"prompt": "a cat", "kind": "x"}), (5, {"prompt": "a dog", "kind": ""})]


def test_one_column_keeps_its_commas_out(tmp_path: Path) -> None:
    path = tmp_path / "p.tsv"
    path.write_text("prompt\na cat, a dog; a bird\n")
    assert [prompt.text for prompt in read_prompts(path)] == ["a cat, a dog; a bird"]


def test_a_cell_may_be_of_any_length(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text(f"prompt,first,second,label_x,notes\na,a.png,b.png,1,{'x' * 200_000}\n")
    assert read_pairs(path)[0].label == {"x": 1.0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('prompt,first,second,label_x\n"a sign with "OPEN" on it",a,b,1\n', r"line 2 is not CSV: .*mark .* twice"),
        ("prompt,first,second,label_x\na,b,c,1,2\n", "line 2 has 5 cells, but the first line names 4"),
        ("prompt,first,second,first\na,b,c,1\n", "names the column 'first' twice"),
    ],
)
def test_a_bad_table_is_named_for_pairs_and_prompts(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "p.csv"
    path.write_text(text)
    for read in (read_pairs, read_prompts):
        with pytest.raises(UserError, match=message):
            read(path)

"""Reading, checking and splitting preference pairs."""

import json
from pathlib import Path
from typing import Any

import pytest

from rewardkit.data import PreferenceRecord, Skipped, axes_of, read_pairs, shared_images, split, write_pairs
from rewardkit.errors import UserError

ROW = {"prompt": "a cat", "first": "a.png", "second": "b.png", "label_alignment": 1, "label_text": 0.5}


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_jsonl_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (record,) = read_pairs(write_rows(tmp_path / "p.jsonl", [ROW]))
    assert record.first == tmp_path / "a.png"
    assert record.label == {"alignment": 1.0, "text": 0.5}
    assert record.group == "a cat"


def test_every_format_reads_the_same(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    jsonl = read_pairs(write_rows(tmp_path / "p.jsonl", [ROW]))
    (tmp_path / "p.csv").write_text("prompt,first,second,label_alignment,label_text\na cat,a.png,b.png,1,0.5\n")
    (tmp_path / "p.tsv").write_text("prompt\tfirst\tsecond\tlabel_alignment\tlabel_text\na cat\ta.png\tb.png\t1\t0.5\n")
    pq.write_table(pa.Table.from_pylist([ROW]), tmp_path / "p.parquet")
    for name in ("p.csv", "p.tsv", "p.parquet"):
        assert read_pairs(tmp_path / name) == jsonl


def test_an_empty_label_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("prompt,first,second,label_text,label_alignment\nx,a,b,,0\n")
    assert read_pairs(tmp_path / "p.csv")[0].label == {"alignment": 0.0}


def test_plain_label_takes_its_axis_from_column_or_caller(tmp_path: Path) -> None:
    row = {"prompt": "x", "first": "a", "second": "b", "label": 1}
    path = write_rows(tmp_path / "p.jsonl", [row])
    assert read_pairs(path, "aesthetic")[0].label == {"aesthetic": 1.0}
    assert read_pairs(write_rows(path, [{**row, "axis": "text"}]), "aesthetic")[0].label == {"text": 1.0}
    with pytest.raises(UserError, match=r"the axis of column .label. is unknown"):
        read_pairs(write_rows(path, [row]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"second": None}, "row 2: column 'second' is empty"),
        ({"second": ""}, "row 2: column 'second' names no image"),
        ({"prompt": None}, "row 2: column 'prompt' is empty"),
        ({"prompt": ["a cat"]}, r"row 2: column 'prompt' is no text but \['a cat'\]; write one prompt"),
        ({"prompt": {"en": "a cat"}}, "row 2: column 'prompt' is no text"),
        ({"prompt": float("nan")}, "row 2: column 'prompt' is no text but nan"),
        ({"prompt": "a \ud83d cat"}, r"row 2: column 'prompt' holds half a character \('.ud83d' at 2\)"),
        ({"label_text": 1.5}, "row 2, label of text is 1.5"),
        ({"label_text": "yes"}, "row 2, label of text is 'yes'"),
        ({"label_text": None, "label_alignment": "nan"}, "must be P"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_pairs(write_rows(tmp_path / "p.jsonl", [ROW, {**ROW, **change}]))


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("prompt,first,label_text\nx,a,1\n")
    with pytest.raises(UserError, match="no column 'second'"):
        read_pairs(tmp_path / "p.csv")


@pytest.mark.parametrize(("name", "text"), [("p.jsonl", "{"), ("p.jsonl", "[1]"), ("p.parquet", "no"), ("p.doc", "x")])
def test_unreadable_files_are_user_errors(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=name):
        read_pairs(tmp_path / name)


def test_a_missing_or_empty_file_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_pairs(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(UserError, match="has no pairs"):
        read_pairs(tmp_path / "empty.jsonl")


def test_records_survive_writing(tmp_path: Path) -> None:
    paths = tmp_path / "images" / "a.png", tmp_path / "images" / "b.png"
    record = PreferenceRecord('say "日本"', *paths, {"texture": 0.25}, "photo 1", "blur 2")
    assert write_pairs(tmp_path / "out" / "p.jsonl", [record]) == 1
    (back,) = read_pairs(tmp_path / "out" / "p.jsonl")
    assert back.first.resolve() == record.first
    assert (back.prompt, back.label, back.group, back.source) == (
        record.prompt,
        record.label,
        record.group,
        record.source,
    )


def make(count: int, groups: int) -> list[PreferenceRecord]:
    return [PreferenceRecord("", Path(f"{i}a"), Path(f"{i}b"), {"x": 1.0}, f"g{i % groups}") for i in range(count)]


def test_split_keeps_groups_whole_and_is_stable() -> None:
    records = make(200, 40)
    train, validation = split(records, 0.2, seed=1)
    assert len(validation) == 40
    assert not {r.group for r in train} & {r.group for r in validation}
    assert split(list(reversed(records)), 0.2, seed=1)[1] == list(reversed(validation))
    assert split(records, 0.2, seed=2)[1] != validation
    assert shared_images(train, validation) == 0
    assert shared_images(train, [*validation, train[0]]) == 2


def test_one_group_cannot_be_split() -> None:
    with pytest.raises(UserError, match="1 group"):
        split(make(10, 1), 0.2, seed=0)


def test_axes_are_those_of_all_records() -> None:
    first, second = make(2, 2)
    assert axes_of([first, PreferenceRecord("", second.first, second.second, {"y": 0.0, "x": 1.0})]) == ("x", "y")


def test_skipped_pairs_stop_the_run_past_the_share_allowed(tmp_path: Path) -> None:
    skipped = Skipped(seen=10)
    skipped.add("bad image in a pair", "cannot read a.png")
    report = tmp_path / "skipped.json"
    skipped.enforce(0.1, report)
    assert json.loads(report.read_text())["reasons"] == {"bad image in a pair": ["cannot read a.png"]}
    assert skipped.summary() == "skipped 1 of 10 pairs: 1 bad image in a pair"
    with pytest.raises(UserError, match=r"cannot read a\.png"):
        skipped.enforce(0.05)

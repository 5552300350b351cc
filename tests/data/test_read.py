"""Where pairs come from: files, folders, globs, the hub's layout; images in cells; RichHF's TFRecords."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rewardkit.data import CellImage, Skipped, read_pairs, read_records, read_source, write_pairs
from rewardkit.data.hub import read_hub
from rewardkit.data.records.tfrecord import example, masked_crc
from rewardkit.errors import UserError
from rewardkit.images import load_image
from rewardkit.images.preprocess import Preprocess
from rm.image_cache import read_images

Pick = Callable[..., Path]


def test_a_glob_joins_files_and_a_folder_refuses_two_splits(tmp_path: Path, pickapic: Pick) -> None:
    pickapic("set/train-0.parquet")
    pickapic("set/train-1.parquet")
    assert len(read_records(tmp_path / "set")) == 6
    pickapic("set/test-0.parquet")
    assert len(read_records(str(tmp_path / "set" / "train-*.parquet"))) == 6
    with pytest.raises(UserError, match=r"several splits \(test, train\)"):
        read_records(tmp_path / "set")
    with pytest.raises(UserError, match="no file matches"):
        read_records(tmp_path / "set" / "x*.parquet")


def test_hidden_files_are_passed_over(tmp_path: Path, pickapic: Pick) -> None:
    pickapic("set/train-0.parquet")
    (tmp_path / "set" / "._train-0.parquet").write_bytes(b"\0\5\26\7")
    assert len(read_records(tmp_path / "set")) == 3
    assert len(read_records(str(tmp_path / "set" / "**" / "*.parquet"))) == 3


def test_unknown_things_are_refused_by_name(tmp_path: Path, write_json: Callable[[str, Any], Path]) -> None:
    with pytest.raises(
        UserError, match=r"no known format\. It has a, b\. The nearest formats: .*: .*; .*--columns prompt=COLUMN"
    ):
        read_records(write_json("x.json", [{"a": 1, "b": 2}]))
    with pytest.raises(UserError, match="for a set on the hub write hub:owner/name"):
        read_records("owner/name")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no pairs in"):
        read_records(tmp_path / "empty")
    (tmp_path / "y.json").write_text("{")
    with pytest.raises(UserError, match="is not JSON"):
        read_records(tmp_path / "y.json")


def test_the_hubs_layout_streams(
    tmp_path: Path, pickapic: Pick, monkeypatch: pytest.MonkeyPatch, image: Callable[..., bytes]
) -> None:
    monkeypatch.setenv("REWARDKIT_CACHE", str(tmp_path / "cache"))
    pickapic("set/data/train-0.parquet", dicts=True)
    pickapic("set/data/validation-0.parquet", dicts=True)
    source = f"hub:{tmp_path / 'set'}"
    records = read_records(f"{source}@validation[:2]")
    assert [record.label["preference"] for record in records] == [1.0, 0.0]
    assert isinstance(records[0].first, Path)
    assert records[0].first.read_bytes() == image(10)
    assert [r.ids for r in read_records(f"{source}@train")] == [("u0", "u1"), ("u1", "u2"), ("u3", "u4")]
    assert len(list((tmp_path / "cache" / "images").rglob("?" * 62))) == 7  # of eight, two are alike
    pickapic("raw/data/train-0.parquet")  # no Image feature: the bytes themselves
    raw = read_records(f"hub:{tmp_path / 'raw'}")
    assert [one.first for one in raw[:2]] == [one.first for one in records]
    with pytest.raises(UserError, match="several splits; add one of @train, @validation"):
        read_records(source)
    with pytest.raises(UserError, match="cannot open hub:"):
        read_records(f"{source}@nope")


def test_a_stream_that_breaks_off_says_how_far_it_came(
    tmp_path: Path, pickapic: Pick, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REWARDKIT_CACHE", str(tmp_path / "cache"))
    pickapic("set/data/train-0.parquet", dicts=True)
    whole = pickapic("set/data/train-1.parquet", dicts=True)
    source = f"hub:{tmp_path / 'set'}@train"
    count = len(list(read_hub(source))) // 2
    whole.write_bytes(whole.read_bytes()[:-40])  # its footer is gone
    assert len(list(read_hub(f"{source}[:{count}]"))) == count
    with pytest.raises(UserError, match=rf"failed after {count} rows: .*\[:N\]"):
        list(read_hub(source))


def test_cells_go_into_the_store_and_bad_ones_stop_the_run_past_a_share(
    tmp_path: Path, pickapic: Pick, pick: Callable[..., Any], image: Callable[..., bytes]
) -> None:
    cut = image(10)[:-60]
    rows = [pick("a", ("1", "2"), 1.0), pick("b", ("3", "4"), 1.0, jpg_1=cut), pick("c", ("5", "6"), 0.0, jpg_0=None)]
    records = read_records(pickapic(rows=rows))
    assert isinstance(records[0].first, CellImage)
    kept, store = read_images(records, Preprocess((8, 8)), tmp_path, max_bad=0.7)
    assert kept == records[:1]
    assert store.images(torch.tensor([store.row[kept[0].second]])).mean() == pytest.approx(200 / 255, abs=0.01)
    report = (tmp_path / "skipped.json").read_text()
    assert "row 2, column jpg_1" in report
    assert "no image in" in report
    with pytest.raises(UserError, match=r"bad image in a pair: .* \(and 1 more, listed in"):
        read_images(records, Preprocess((8, 8)), tmp_path, max_bad=0.5)
    native, _ = read_images(records, Preprocess((0, 0), fit="native"), tmp_path, max_bad=0.7)
    assert native == records[:1]


def test_what_is_read_can_be_written_as_our_own(tmp_path: Path, pickapic: Pick) -> None:
    records = read_records(pickapic())
    write_pairs(tmp_path / "out" / "pairs.jsonl", records)
    back = read_pairs(tmp_path / "out" / "pairs.jsonl")
    assert [(r.prompt, r.label, r.ids, r.models, r.version) for r in back] == [
        (r.prompt, r.label, r.ids, r.models, r.version) for r in records
    ]
    assert back[0].second == back[1].first
    assert torch.equal(load_image(back[2].second), load_image(records[2].second))


def field(number: int, data: bytes) -> bytes:
    return bytes([number << 3 | 2]) + varint(len(data)) + data


def varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)


def record(values: dict[str, bytes | float]) -> bytes:
    """A framed tf.Example: bytes in a BytesList, a float in a packed FloatList."""
    features = b""
    for name, value in values.items():
        data = field(1, field(1, value)) if isinstance(value, bytes) else field(2, field(1, struct.pack("<f", value)))
        features += field(1, field(1, name.encode()) + field(2, data))
    return framed(field(1, features))


def framed(data: bytes) -> bytes:
    size = struct.pack("<Q", len(data))
    return size + struct.pack("<I", masked_crc(size)) + data + struct.pack("<I", 0)


def rich(uid: str, overall: float, **change: Any) -> dict[str, Any]:
    values: dict[str, Any] = {"filename": f"train/{uid}.png".encode(), "overall_score": overall}
    values |= dict.fromkeys(("aesthetics_score", "artifact_score", "misalignment_score"), 0.5)
    values |= {"artifact_map": b"\x89PNG" + bytes(300), "misalignment_map": b"", "prompt_misalignment_label": b"1 0"}
    return values | change


@pytest.fixture
def richhf(tmp_path: Path) -> Callable[..., Path]:
    def write(*examples: dict[str, Any]) -> Path:
        path = tmp_path / "train.tfrecord"
        path.write_bytes(b"".join(map(record, examples)))
        return path

    return write


def test_the_checksum_is_crc32c() -> None:
    assert masked_crc(b"123456789") == ((0xE3069283 >> 15 | 0xE3069283 << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_richhf_joins_pickapic_and_pairs_images_of_a_prompt(richhf: Callable[..., Path], pickapic: Pick) -> None:
    pickapic()
    scores = [
        rich("u0", 0.25, aesthetics_score=0.75),
        rich("u1", 0.5),
        rich("u2", 0.5),
        rich("u3", 1.0),
        rich("zz", 1.0),
    ]
    path = richhf(*scores)
    reading = read_source(path)
    (cats,) = reading.lists
    assert (cats.prompt, cats.ids) == ("a cat", ("u0", "u1", "u2"))
    assert cats.ranks("preference") == (3, 1, 1)
    assert cats.ranks("aesthetic") == (1, 2, 2)
    assert set(cats.scores) == {"preference", "aesthetic", "alignment", "fidelity"}
    assert round(float(load_image(cats.images[2]).mean()) * 255) == 90
    assert reading.left_out.reasons.keys() == {"without its Pick-a-Pic image", "prompt with one image only"}
    assert len(read_records(path.parent)) == 3  # in a folder the TFRecord comes before what it is joined to


def test_richhf_joins_images_with_their_prompts_beside(richhf: Callable[..., Path], save: Callable[..., Path]) -> None:
    path = richhf(rich("a", 1.0), rich("b", 0.0))
    with pytest.raises(UserError, match="neither prompts nor images"):
        read_records(path)
    for uid in "ab":
        save(f"images/{uid}.jpg").with_suffix(".txt").write_text("a cat\n")
    (pair,) = read_records(path)
    assert pair.prompt == "a cat"
    assert pair.label["preference"] == float(pair.ids == ("a", "b"))


def test_richhf_refuses_what_is_missing_or_cut(richhf: Callable[..., Path], pickapic: Pick) -> None:
    pickapic()
    for column in ("filename", "overall_score", "aesthetics_score", "artifact_score", "misalignment_score"):
        values = rich("u0", 1.0)
        del values[column]
        with pytest.raises(UserError, match=f"no column '{column}'"):
            read_records(richhf(values))
    path = richhf(rich("u0", 1.0), rich("u1", 0.0))
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    with pytest.raises(UserError, match="in the middle of record 2"):
        read_records(path)
    path.write_bytes(b"x" + whole)
    with pytest.raises(UserError, match="not a TFRecord file, or is damaged at record 1"):
        read_records(path)
    size = struct.pack("<Q", 2**63)  # of right checksum: nothing of that size is asked of the memory
    path.write_bytes(size + struct.pack("<I", masked_crc(size)) + bytes(20))
    with pytest.raises(UserError, match="in the middle of record 1"):
        read_records(path)
    path.write_bytes(framed(b"\xff" * 20))
    with pytest.raises(UserError, match=r"record 1 is not a tf\.Example"):
        read_records(path)


def test_a_tf_example_of_every_kind_of_list() -> None:
    """Lists may be packed or come one value at a time (a varint's key is number << 3)."""
    packed = field(3, field(1, varint(300) + varint(2**64 - 1)))
    single = field(3, b"\x08\x07")
    two_words = field(1, field(1, b"a") + field(1, b"b"))
    entries = {b"packed": packed, b"single": single, b"words": two_words}
    features = b"".join(field(1, field(1, name) + field(2, value)) for name, value in entries.items())
    assert example(field(1, features)) == {"packed": [300, -1], "single": 7, "words": [b"a", b"b"]}
    assert example(b"") == {}


def test_nothing_left_is_an_error(pickapic: Pick, pick: Callable[..., Any]) -> None:
    with pytest.raises(UserError, match="has no pairs; skipped 1 of 1"):
        read_records(pickapic(rows=[pick("x", ("a", "b"), 0.5, has_label=False)]))
    assert Skipped().summary() == ""

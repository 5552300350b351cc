"""Every reader, on files in the exact columns of its public set."""

import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rewardkit.data import PreferenceRecord, read_records, read_source
from rewardkit.errors import UserError
from rewardkit.images import load_image

Write = Callable[[str, Any], Path]
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def shade(image: Any) -> int:
    return round(float(load_image(image).mean()) * 255)


@pytest.mark.parametrize("dicts", [False, True])
def test_pickapic(pickapic: Callable[..., Path], dicts: bool) -> None:
    reading = read_source(pickapic(dicts=dicts))
    assert reading.format == "Pick-a-Pic"
    assert len(reading.columns) == 19
    assert [record.label for record in reading.records] == [{"preference": x} for x in (1.0, 0.0, 0.5)]
    assert [record.tie("preference") for record in reading.records] == [False, False, True]
    assert reading.left_out.seen == 4
    assert reading.left_out.summary() == "skipped 1 of 4 pairs: 1 never judged (has_label is False)"
    first, second, third = reading.records
    assert (first.prompt, first.ids, first.models) == ("a cat", ("u0", "u1"), ("sdxl", "dreamlike"))
    assert second.first is first.second  # one uid, one image
    assert [shade(image) for image in (first.first, second.second, third.first)] == [10, 90, 30]
    assert "row 3, column jpg_0" in str(third.first)


def test_pickapic_labels_must_add_up(pickapic: Callable[..., Path], pick: Callable[..., Any]) -> None:
    with pytest.raises(UserError, match=r"row 1: label_0 and label_1 are 1\.0 and 1\.0"):
        read_records(pickapic(rows=[pick("x", ("a", "b"), 1.0, label_1=1.0)]))


def test_hpdv2_pairs_lie_beside_the_file_or_under_train(save: Callable[..., Path], write_json: Write) -> None:
    a, b = save("train/1a.jpg"), save("train/1b.jpg")
    rows = [
        {"human_preference": [0, 1], "prompt": "a cat", "file_path": ["1a.jpg", "1b.jpg"]},
        {"human_preference": [0, 0], "prompt": "a dog", "file_path": ["1a.jpg", "1b.jpg"]},
    ]
    reading = read_source(write_json("train.json", rows))
    (record,) = reading.records
    assert (record.first, record.second, record.label) == (a, b, {"preference": 0.0})
    assert reading.left_out.reasons.keys() == {"without a preference"}


def test_hpdv2_ranks_expand_to_pairs_with_ties_and_votes(tmp_path: Path, write_json: Write) -> None:
    annotations = [
        {"rank": [1, 2, 3, 4, 5, 6, 7, 8, 9], "user_hash": "x"},
        {"rank": [2, 1, 3, 4, 5, 6, 7, 8, 9], "user_hash": "y"},
    ]
    row = {
        "prompt": "a cat",
        "image_path": [f"{i}.jpg" for i in range(9)],
        "rank": [1.5, 1.5, 3, 4, 5, 6, 7, 8, 9],
        "raw_annotations": annotations,
    }
    reading = read_source(write_json("test.json", [row]))
    (ranked,) = reading.lists
    assert ranked.ranks("preference") == (1, 1, 3, 4, 5, 6, 7, 8, 9)
    assert len(reading.records) == 36
    for record in reading.records:
        i, j = (int(Path(str(image)).stem) for image in (record.first, record.second))
        tie = {i, j} == {0, 1}
        assert record.label["preference"] == (0.5 if tie else float(i < j))
        assert record.votes == ((1, 1) if tie else (2, 0) if i < j else (0, 2))
    assert 5 < sum(record.label["preference"] == 1 for record in reading.records) < 30  # the place tells nothing
    with pytest.raises(UserError, match="9 images in image_path, but another number of ranks"):
        read_source(write_json("test.json", [row | {"rank": [1, 2]}]))


def hpdv3(count: int) -> list[dict[str, Any]]:
    blank = {"confidence": None, "choice_dist": None, "model1": "flux", "model2": "sd2"}
    return [{"prompt": f"p{i}", "path1": f"good{i}.jpg", "path2": f"bad{i}.jpg", **blank} for i in range(count)]


def good(record: PreferenceRecord) -> float:
    """P(the image called good is better)."""
    turned = "bad" in str(record.first)
    (label,) = record.label.values()
    assert record.models == (("sd2", "flux") if turned else ("flux", "sd2"))
    return 1 - label if turned else label


def test_hpdv3_is_turned_at_random_and_always_the_same_way(tmp_path: Path, write_json: Write) -> None:
    rows = hpdv3(400)
    records = read_records(write_json("train.json", rows))
    assert all(good(record) == 1 for record in records)
    turned = sum("bad" in str(record.first) for record in records)
    assert 160 < turned < 240
    lines = tmp_path / "copy.json"
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows))  # some copies are JSON lines
    assert [record.label for record in read_records(lines)] == [record.label for record in records]


def test_hpdv3_votes_and_confidence(write_json: Write) -> None:
    rows = hpdv3(4)
    rows[0] |= {"confidence": 0.98, "choice_dist": [15, 5]}
    rows[1] |= {"confidence": 0.5, "choice_dist": [4, 4]}
    rows[2] |= {"choice_dist": [1, 9]}
    reading = read_source(write_json("all.json", rows))
    assert [good(record) for record in reading.records] == [0.75, 0.5, 1.0]
    assert sorted(reading.records[0].votes or ()) == [5, 15]
    assert [record.confidence for record in reading.records] == [0.98, 0.5, None]
    assert reading.left_out.reasons.keys() == {"votes against the order of the file"}
    assert read_source(write_json("stage1_x.json", rows)).left_out.count == 2  # and the one that nobody judged


@pytest.mark.parametrize(
    ("name", "axis"), [("train_aes.json", "aesthetic"), ("test_tf.json", "alignment"), ("x.json", "mine")]
)
def test_hpdv3_plus_plus_has_its_axis_in_the_name(write_json: Write, name: str, axis: str) -> None:
    rows = [{"path1": f"images/good{i}.jpg", "path2": "images/bad.jpg", "prompt": "猫"} for i in range(3)]
    assert {next(iter(record.label)) for record in read_records(write_json(name, rows), "mine")} == {axis}


RATED = ("overall_rating", "image_text_alignment_rating", "fidelity_rating")
IMAGEREWARD = pa.schema(
    [(name, pa.string()) for name in ("image_path", "prompt_id", "prompt", "classification")]
    + [(name, pa.int8()) for name in ("image_amount_in_total", "rank", *RATED)]
)


def rated(name: str, group: str, rank: int, ratings: tuple[int, int, int], total: int = 3) -> dict[str, Any]:
    row = {"image_path": f"images/test/test_1/{name}.webp", "prompt_id": group, "prompt": f"prompt {group}"}
    return (
        row
        | {"classification": "People", "image_amount_in_total": total, "rank": rank}
        | dict(zip(RATED, ratings, strict=True))
    )


def test_imagereward_has_three_axes(tmp_path: Path) -> None:
    rows = [
        rated("a", "1", 1, (7, 6, 5)),
        rated("d", "2", 1, (4, 4, 4), total=2),  # groups need not be adjacent
        rated("b", "1", 2, (5, 6, 7)),
        rated("c", "1", 2, (5, 1, 7)),
    ]
    pq.write_table(pa.Table.from_pylist(rows, IMAGEREWARD), tmp_path / "metadata-test.parquet")
    reading = read_source(tmp_path / "metadata-test.parquet")
    first, _ = reading.lists
    assert first.ids == ("a", "b", "c")
    assert first.images[0] == tmp_path / "images/test/test_1/a.webp"
    assert {axis: first.ranks(axis) for axis in first.scores} == {
        "preference": (1, 2, 2),
        "alignment": (1, 1, 3),
        "fidelity": (3, 1, 1),
    }
    assert first.ratings["preference"] == (7, 5, 5)
    labels = {frozenset(r.ids): (r.ids, r.label) for r in reading.records}
    ids, label = labels[frozenset("bc")]
    assert label == {"preference": 0.5, "alignment": float(ids[0] == "b"), "fidelity": 0.5}
    assert len(reading.records) == 3
    assert reading.left_out.count == 1  # prompt 2 lacks one of its two images


def test_imagereward_lists(tmp_path: Path, write_json: Write) -> None:
    row = {"id": "005658-0040", "prompt": "x", "generations": [f"{n}.webp" for n in "abcd"], "ranking": [1, 2, 5, 2]}
    reading = read_source(write_json("test.json", [row]))
    assert reading.lists[0].ranks("preference") == (1, 2, 4, 2)
    assert len(reading.records) == math.comb(4, 2)
    assert {record.group for record in reading.records} == {"005658-0040"}


def test_rapidata(tmp_path: Path, image: Callable[..., bytes]) -> None:
    text = ("id", "prompt", "images", "model1", "model2", "evolution", "category", "subcategory")
    results = ("preference_responses", "aggregated_results", "detailed_results")
    schema = pa.schema([(name, pa.string()) for name in (*text, *results)] + [("image1", IMAGE), ("image2", IMAGE)])
    pictures = {f"image{side}": {"bytes": image(shade), "path": None} for side, shade in ((1, 20), (2, 220))}
    row = {"prompt": "a cat", "model1": "dev", "model2": "sd", **pictures}
    rows = [
        row | {"images": '["p_dev.png", "p_sd.png"]', "aggregated_results": '{"p_sd.png": 2, "p_dev.png": 8}'},
        row | {"aggregated_results": '{"aggregatedResults": {"sd": 7, "dev": 3}}'},
        row | {"aggregated_results": '{"image1": 0, "image2": 0}'},
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema), tmp_path / "train.parquet")
    reading = read_source(tmp_path / "train.parquet")
    assert [(r.label, r.votes) for r in reading.records] == [
        ({"preference": 0.8}, (8, 2)),
        ({"preference": 0.3}, (3, 7)),
    ]
    assert [shade(reading.records[0].first), shade(reading.records[0].second)] == [20, 220]
    assert reading.left_out.reasons.keys() == {"without a vote"}
    pq.write_table(
        pa.Table.from_pylist([row | {"aggregated_results": '{"x": 1, "y": 2}'}], schema), tmp_path / "y.parquet"
    )
    with pytest.raises(UserError, match="cannot tell which image is which"):
        read_source(tmp_path / "y.parquet")


def test_mmrb2(write_json: Write) -> None:
    def pair(chosen: str, prompt: list[list[str]]) -> dict[str, Any]:
        side = {name: {"model": name, "response_content": [["image", f"images/{name}.png"]]} for name in "ab"}
        row = {"pair_id": "1", "prompt_source": "hps", "prompt_content": prompt, "prompt_metadata": {}}
        return row | {"response_a": side["a"], "response_b": side["b"], "chosen": chosen, "human_annotations": []}

    pairs = [pair("B", [["text", "a cat"]]), pair("A", [["text", "make it red"], ["image", "in.png"]])]
    path = write_json("t2i.json", {"pairs": pairs})
    reading = read_source(path)
    (record,) = reading.records
    assert (record.prompt, record.label, record.models) == ("a cat", {"preference": 0.0}, ("a", "b"))
    assert record.first == path.parent / "images/a.png"
    assert reading.left_out.reasons.keys() == {"prompt with an image"}
    with pytest.raises(UserError, match="'chosen' is 'C'"):
        read_source(write_json("t2i.json", {"pairs": [pair("C", [["text", "a cat"]])]}))


def test_genaibench(tmp_path: Path, image: Callable[..., bytes]) -> None:
    models = ("DALLE_3", "SDXL_Turbo", "Midjourney_6")
    ratings = pa.struct([(model, pa.list_(pa.int64())) for model in models])
    tags = pa.struct([("advanced", pa.list_(pa.string())), ("basic", pa.list_(pa.string()))])
    schema = pa.schema(
        [("Index", pa.int64()), ("Prompt", pa.string()), ("Tags", tags), ("HumanRatings", ratings)]
        + [(model, IMAGE) for model in models]
    )
    rated = {"DALLE_3": [5, 4, 5], "SDXL_Turbo": [1, 2, 1], "Midjourney_6": [4, 5, 5]}
    pictures = {model: {"bytes": image(50 + 50 * i), "path": None} for i, model in enumerate(models)}
    rows = [
        {"Index": 0, "Prompt": "two cats", "Tags": {"advanced": [], "basic": []}, "HumanRatings": rated, **pictures}
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema), tmp_path / "x.parquet")
    reading = read_source(tmp_path / "x.parquet")
    (ranked,) = reading.lists
    assert ranked.models == models
    assert ranked.ranks("alignment") == (1, 3, 1)
    assert [shade(one) for one in ranked.images] == [50, 100, 150]
    assert sum(record.tie("alignment") for record in reading.records) == 1


REFUSED: dict[str, dict[str, Any]] = {
    "train.json": {"human_preference": [1, 0], "prompt": "x", "file_path": ["a", "b"]},
    "test.json": {"prompt": "x", "image_path": ["a", "b"], "rank": [1, 2], "raw_annotations": []},
    "hpdv3.json": {"prompt": "x", "path1": "a", "path2": "b"},
    "metadata.json": rated("a", "1", 1, (1, 1, 1)),
    "lists.json": {"prompt": "x", "generations": ["a", "b"], "ranking": [1, 2]},
    "rapidata.json": {
        **dict.fromkeys(("image1", "image2"), "a.png"),
        **{"prompt": "x", "aggregated_results": "{}", "preference_responses": "", "detailed_results": ""},
    },
    "t2i.json": {"pair_id": "", "prompt_content": [], "response_a": {}, "response_b": {}, "chosen": "A"},
    "genai.json": {"Index": 0, "Prompt": "x", "Tags": {}, "HumanRatings": {}},
    "own.json": {"prompt": "x", "first": "a", "second": "b", "label_text": 1},
}
OPTIONAL = {"raw_annotations", "classification", "preference_responses", "detailed_results", "pair_id", "Index", "Tags"}


@pytest.mark.parametrize(
    ("name", "column"),
    [(n, c) for n, row in REFUSED.items() for c in row if c not in OPTIONAL and c != "label_text"],
)
def test_a_missing_column_is_refused_by_name(write_json: Write, name: str, column: str) -> None:
    row = {key: value for key, value in REFUSED[name].items() if key != column}
    with pytest.raises(UserError, match=rf"row 1 has no column '{column}'"):
        read_records(write_json(name, [row]))


@pytest.mark.parametrize(
    "column", ["caption", "has_label", "label_0", "label_1", "image_0_uid", "image_1_uid", "jpg_0", "jpg_1"]
)
def test_pickapic_without_a_column_is_refused_by_name(pickapic: Callable[..., Path], column: str) -> None:
    with pytest.raises(UserError, match=rf"no column '{column}', which Pick-a-Pic needs"):
        read_records(pickapic(without=column))


def test_every_two_formats_differ() -> None:
    from rewardkit.data.formats import FORMATS

    for one, other in itertools.permutations(FORMATS, 2):
        assert one.likeness(other.telling) < 1

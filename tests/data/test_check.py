"""What `pairs check` finds: balance, the place, repeats, leaks, long prompts, bad images."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rewardkit.commands.check_pairs import counter
from rewardkit.commands.cli import main
from rewardkit.data import PreferenceRecord, write_pairs
from rewardkit.data.check import Pictures, balance, leaks, look, prompts_over, repeats

Save = Callable[..., Path]


def record(prompt: str, first: str, second: str, label: float = 1.0, **more: Any) -> PreferenceRecord:
    return PreferenceRecord(prompt, Path(first), Path(second), {"x": label}, **more)


def test_balance_counts_ties_apart_and_sees_a_biased_place() -> None:
    records = [record(str(i), "a", "b", label) for i, label in enumerate([1.0] * 40 + [0.0] * 10 + [0.5] * 25 + [0.8])]
    figure = balance(records)["x"]
    assert (figure["judged"], figure["first"], figure["second"], figure["ties"], figure["soft"]) == (76, 41, 10, 25, 1)
    assert figure["tie_share"]["value"] == pytest.approx(25 / 76)
    assert figure["first_preferred"]["value"] == pytest.approx(41 / 51)
    assert figure["first_preferred"]["low"] > 0.5  # Wilson's interval leaves a half out


def test_repeats_are_found_either_way_round() -> None:
    records = [
        record("A cat", "a", "b", 1.0),
        record("a  cat", "b", "a", 0.0),  # the same, said the other way round
        record("a cat", "b", "a", 1.0),  # against both
        record("a dog", "a", "b", 1.0),  # another prompt
        record("a dog", "c", "c", 0.5),
    ]
    found = repeats(records, Pictures())
    assert found["repeated_pairs"] == 2
    assert found["contradicting_repeats"] == 1
    assert found["pairs_of_one_image"] == 1


def test_images_are_one_by_what_they_hold(save: Save) -> None:
    records = [
        record("p", str(save("a.jpg", 5)), str(save("b.jpg", 5))),
        record("q", str(save("c.jpg", 9)), "none.jpg"),
    ]
    pictures = look(records, "decode")
    found = repeats(records, pictures)
    assert (found["pairs_of_one_image"], found["images_under_several_names"]) == (1, 1)
    assert pictures.missing == ["none.jpg"]


def test_leaks_by_prompt_by_id_by_path_and_by_content(save: Save) -> None:
    train = [
        record("a  Cat", "1", "2"),
        record("b", "3", "4", ids=("uid", "")),
        record("c", "5", "6"),
        record("d", str(save("x.jpg", 7)), "7"),
        record("e", "8", "9"),
    ]
    validation = [
        record("A cat", "11", "12"),
        record("f", "13", "14", ids=("", "uid")),
        record("g", "5", "15"),
        record("h", "16", str(save("copy/y.jpg", 7))),
    ]
    found = leaks(train, validation, look(train, "hash"), look(validation, "hash"))
    assert found["prompts"] == ["a cat"]
    assert {Path(name).name for name in found["images_by_name"]} == {"uid", "5"}
    assert [Path(name).name for name in found["images_by_content"]] == ["x.jpg"]
    assert found["pairs_touched"] == 4


def test_prompts_are_counted_in_the_encoders_tokens() -> None:
    tokens, limit = counter("clip")
    assert limit == 77
    fits, over = " ".join(["cat"] * 75), " ".join(["cat"] * 76)
    assert (tokens(fits), tokens(over)) == (77, 78)  # start and end are two
    found = prompts_over([record(prompt, "a", "b") for prompt in (fits, over, over, "")], tokens, limit)
    assert (found["prompts"], found["over"], found["longest"], found["empty"]) == (3, 1, 78, 1)


def test_the_command_tells_and_writes_all_of_it(
    tmp_path: Path, save: Save, pickapic: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    truncated = save("truncated.jpg", 3)
    truncated.write_bytes(truncated.read_bytes()[:-40])
    records = [record("a cat", str(save(f"{i}.jpg", i)), str(truncated)) for i in range(3)]
    write_pairs(tmp_path / "pairs.jsonl", [*records, record("a dog", "nowhere.jpg", str(save("0.jpg", 0)))])
    out = tmp_path / "found.json"
    words = ["--data", str(tmp_path / "pairs.jsonl"), "--against", str(pickapic()), "--out", str(out)]
    assert main(["pairs", "check", *words]) == 0
    said = capsys.readouterr().out
    assert "rewardkit, 4 rows, 4 pairs" in said
    assert "! images: 5, 1 missing" in said
    assert "! leaks: 2 prompts, 0 images by name" in said
    found = json.loads(out.read_text())
    assert len(found["images"]["corrupt"]) == 1
    assert "truncated.jpg" in found["images"]["corrupt"][0]
    assert found["leaks"]["prompts"] == ["a cat", "a dog"]
    assert main(["pairs", "check", "--data", str(pickapic()), "--images", "hash"]) == 0
    said = capsys.readouterr().out
    assert "Pick-a-Pic, 4 rows, 3 pairs" in said
    assert "left out: 1 never judged" in said
    assert "1 ties (33.3%" in said

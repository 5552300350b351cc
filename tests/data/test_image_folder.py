import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from rewardkit.data.image_folder import read_image_folder
from rewardkit.errors import UserError
from rewardkit.images import save_image


def put(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        save_image(torch.rand(3, 8, 8), folder / name)
    return folder


def lines(path: Path, rows: Sequence[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_list_beside_the_images_gives_prompts_and_tags(tmp_path: Path) -> None:
    folder = put(tmp_path / "a", "1.png", "2.png", "stray.png", "grid.png")
    rows = [
        {"image": "1.png", "prompt": "a cat", "category": "animal"},
        {"file_name": "2.png", "prompt": "a dog", "tags": {"category": "pet"}},
        {"image": "gone.png", "prompt": "a cow"},
    ]
    lines(folder / "prompts.jsonl", rows)
    found = read_image_folder(folder)
    assert [(item.path.name, item.prompt, dict(item.tags)) for item in found.items] == [
        ("1.png", "a cat", {"category": "animal"}),
        ("2.png", "a dog", {"category": "pet"}),
    ]
    assert found.missing == ("gone.png",)
    assert found.unmatched == ("stray.png",)


def test_a_prompt_file_is_matched_by_name_before_order(tmp_path: Path) -> None:
    folder = put(tmp_path / "a", "A small cat..png", "dog, running.png")
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("dog running\nA small cat.\nA cow\n", encoding="utf-8")
    found = read_image_folder(folder, prompts)
    assert {item.path.name: item.prompt for item in found.items} == {
        "A small cat..png": "A small cat.",
        "dog, running.png": "dog running",
    }
    assert found.missing == ("A cow",)


def test_numbered_images_follow_the_order_of_the_prompts(tmp_path: Path) -> None:
    folder = put(tmp_path / "a", "10.png", "2.png")
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("first\nsecond\n", encoding="utf-8")
    assert [(item.path.name, item.prompt) for item in read_image_folder(folder, prompts).items] == [
        ("2.png", "first"),
        ("10.png", "second"),
    ]
    prompts.write_text("first\nsecond\nthird\n", encoding="utf-8")
    with pytest.raises(UserError, match="2 images and 3 prompts"):
        read_image_folder(folder, prompts)


def test_text_files_and_names_are_prompts_too(tmp_path: Path) -> None:
    beside = put(tmp_path / "a", "1.png", "2.png")
    (beside / "1.txt").write_text("a cat\n", encoding="utf-8")
    found = read_image_folder(beside)
    assert [item.prompt for item in found.items] == ["a cat"]
    assert found.unmatched == ("2.png",)
    named = read_image_folder(put(tmp_path / "b", "a red cow.png", "0001.png"))
    assert [item.prompt for item in named.items] == ["a red cow"]
    assert named.unmatched == ("0001.png",)


@pytest.mark.parametrize(("rows", "words"), [([{"prompt": "a cat"}], "which image"), (["no row"], "JSON|which image")])
def test_a_bad_list_is_the_users_to_mend(tmp_path: Path, rows: list[object], words: str) -> None:
    folder = put(tmp_path / "a", "1.png")
    lines(folder / "prompts.jsonl", rows)
    with pytest.raises(UserError, match=words):
        read_image_folder(folder)


def test_no_folder_and_no_prompt_are_the_users_to_mend(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no folder"):
        read_image_folder(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"prompts\.jsonl next to"):
        read_image_folder(put(tmp_path / "a", "0001.png"))

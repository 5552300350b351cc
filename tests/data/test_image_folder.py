import json
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest
import torch

from rewardkit.data import read_pairs
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


def test_lists_and_captions_of_other_tools(tmp_path: Path) -> None:
    table = put(tmp_path / "a", "1.png", "2.png", "3.png")
    (table / "metadata.csv").write_text('file_name,text,kind\n1.png,"a ""SALE"" sign",x\n2.png,,y\n', encoding="utf-8")
    found = read_image_folder(table)
    assert [(item.path.name, item.prompt, dict(item.tags)) for item in found.items] == [
        ("1.png", 'a "SALE" sign', {"kind": "x"})
    ]
    assert found.unmatched == ("2.png", "3.png")  # an empty caption is none
    beside = put(tmp_path / "b", "1.png", "2.png", "3.png")
    (beside / "1.caption").write_text("a cat\n", encoding="utf-16")
    (beside / "2.txt").write_text("a dog", encoding="utf-8")
    (beside / "2.caption").write_text("not this", encoding="utf-8")
    (beside / "3.txt").write_text(" \n", encoding="utf-8")
    found = read_image_folder(beside)
    assert [item.prompt for item in found.items] == ["a cat", "a dog"]
    assert found.unmatched == ("3.png",)


def test_names_are_matched_whole(tmp_path: Path) -> None:
    """Prompts that share their first sixty letters are told apart; two that give one file name are refused."""
    start = "a wide photograph of a quiet harbour town in the early morning light with "
    prompts = tmp_path / "prompts.txt"
    prompts.write_text(f"{start}boats\n{start}gulls\n", encoding="utf-8")
    found = read_image_folder(put(tmp_path / "a", f"{start}gulls.png"), prompts)
    assert [item.prompt for item in found.items] == [f"{start}gulls"]
    prompts.write_text("a cat!\na cat?\nA dog\nA dog\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"may be of two prompts of prompts\.txt: 'a cat!' and 'a cat\?'"):
        read_image_folder(put(tmp_path / "b", "a cat.png", "a dog.png"), prompts)
    assert len(read_image_folder(put(tmp_path / "c", "a dog.png"), prompts).items) == 1


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_letters_composed_or_not_name_the_same_file(tmp_path: Path, form: Literal["NFC", "NFD"]) -> None:
    name = "ein Käse.png"
    other = unicodedata.normalize("NFD" if form == "NFC" else "NFC", name)
    folder = put(tmp_path / "a", unicodedata.normalize(form, name))
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("ein Kase\n" + other.removesuffix(".png"), encoding="utf-8")
    assert [item.prompt for item in read_image_folder(folder, prompts).items] == [other.removesuffix(".png")]
    lines(folder / "prompts.jsonl", [{"image": other, "prompt": "x"}])
    assert [item.prompt for item in read_image_folder(folder).items] == ["x"]


def test_paths_of_another_system_and_what_exists_as_given_comes_first(tmp_path: Path) -> None:
    folder = put(tmp_path / "a", "b#=[1].png")
    put(folder / "sub", "1.png", "2.png")
    put(folder, "sub\\2.png")
    names = ["sub\\1.png", "sub\\2.png", "b#=[1].png"]
    lines(folder / "prompts.jsonl", [{"image": name, "prompt": "x"} for name in names])
    found = [item.path for item in read_image_folder(folder).items]
    assert found == [folder / "sub" / "1.png", folder / "sub\\2.png", folder / "b#=[1].png"]
    lines(folder / "pairs.jsonl", [{"prompt": "x", "first": names[0], "second": names[1], "label_x": 1}])
    (record,) = read_pairs(folder / "pairs.jsonl")
    assert [record.first, record.second] == found[:2]


def test_what_is_left_out_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = put(tmp_path / "a", "a cat.png", "._a cat.png")
    (folder / "gone.png").symlink_to("nowhere.png")
    (folder / "x.heic").write_bytes(b"")
    put(folder / "sub", "1.png", "2.png")
    assert len(read_image_folder(folder).items) == 1
    said = capsys.readouterr().err
    assert "left out: 1 links that lead nowhere (gone.png), 2 images in sub-folders (1.png)" in said
    assert "1 files of formats that are not read (x.heic)" in said
    (folder / "a cat.png").unlink()
    with pytest.raises(UserError, match=r"no images in .*2 images in sub-folders \(1\.png\)"):
        read_image_folder(folder)

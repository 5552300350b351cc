import json
from pathlib import Path

import pytest
import torch

from rewardkit.data.image_folder import ImageFolder, Item
from rewardkit.errors import UserError
from rewardkit.images import save_image
from rewardkit.leaderboard.command import compare, run
from rewardkit.leaderboard.compare import Score
from rewardkit.leaderboard.config import LeaderboardConfig
from rewardkit.leaderboard.entries import Entry, is_images, parse_entries
from rewardkit.rewards.scoring import Scored


def draw(folder: Path, colours: dict[str, float]) -> Path:
    """Write one image a prompt; its red-green difference is its colourfulness, about 0.3 of it."""
    folder.mkdir()
    rows = []
    for i, (prompt, red) in enumerate(colours.items()):
        save_image(torch.tensor([red, 0.0, 0.0]).view(3, 1, 1).expand(3, 16, 16), folder / f"{i}.png")
        rows.append({"image": f"{i}.png", "prompt": prompt, "kind": "even" if i % 2 == 0 else "odd"})
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def config(tmp_path: Path, *entries: str, **options: object) -> LeaderboardConfig:
    settings = {"judges": ("colourfulness",), "out": tmp_path / "out", **options}
    return LeaderboardConfig(entries, **settings)  # type: ignore[arg-type]


def test_the_report_counts_what_it_could_not_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prompts = [f"prompt <{i}>" for i in range(8)]
    before = draw(tmp_path / "before", dict.fromkeys(prompts, 0.2))
    after = draw(tmp_path / "after", {**dict.fromkeys(prompts[:6], 0.8), "only here": 0.1})
    (after / "2.png").unlink()
    (after / "3.png").write_bytes(b"broken")
    run(config(tmp_path, f"before={before}", f"after={after}", title="<b>Reds</b>"))

    data = json.loads((tmp_path / "out" / "leaderboard.json").read_text(encoding="utf-8"))
    assert data["prompts"] == 4
    first, second = data["entries"]
    assert (first["prompts"], first["unshared"]) == (8, 4)
    assert (second["missing"], second["unreadable"], second["unshared"]) == (1, 1, 1)
    standing = data["rankings"][0]["standings"][1]
    # 0.6 more red on plain colour: 0.3 * sqrt(1 + 1/4) of it
    assert standing["difference"]["value"] == pytest.approx(0.6 * 0.3 * 1.25**0.5, abs=0.002)
    assert standing["wins"]["wins"] == 4
    assert {group["value"] for group in data["rankings"][0]["groups"]} == {"even", "odd"}

    page = (tmp_path / "out" / "leaderboard.html").read_text(encoding="utf-8")
    assert "<b>Reds" not in page
    assert "prompt &lt;0&gt;" in page
    assert page.count("data:image/webp") == 8
    said = capsys.readouterr().out
    assert "after: 1 listed but missing, the first: 2.png" in said
    assert "after: 1 unreadable" in said
    assert len((tmp_path / "out" / "scores.jsonl").read_text(encoding="utf-8").splitlines()) == 10


def test_judges_and_trained_rewards_stand_apart(tmp_path: Path) -> None:
    one = draw(tmp_path / "one", {f"p{i}": 0.1 * i for i in range(4)})
    two = draw(tmp_path / "two", {f"p{i}": 0.2 * i for i in range(4)})
    with pytest.raises(UserError, match="given twice"):
        run(config(tmp_path, f"a={one}", f"b={two}", rewards=("colourfulness",)))
    run(config(tmp_path, f"a={one}", f"b={two}", judges=(), rewards=("colourfulness",)))
    text = (tmp_path / "out" / "leaderboard.md").read_text(encoding="utf-8")
    assert "## Rewards that an entry was trained with" in text
    assert "## Judges" not in text


def test_three_entries_get_a_matrix_and_a_lone_one_its_means(tmp_path: Path) -> None:
    folders = [draw(tmp_path / name, {f"p{i}": 0.1 * i * k for i in range(4)}) for k, name in enumerate("xyz", 1)]
    run(config(tmp_path, *map(str, folders)))
    assert 'class="matrix"' in (tmp_path / "out" / "leaderboard.html").read_text(encoding="utf-8")
    run(config(tmp_path, str(folders[0]), gallery=2, limit=3))
    data = json.loads((tmp_path / "out" / "leaderboard.json").read_text(encoding="utf-8"))
    assert data["prompts"] == 3
    assert data["rankings"][0]["standings"][0]["difference"] is None


def test_a_text_judge_is_left_out_aloud_where_no_prompt_asks_for_text(capsys: pytest.CaptureFixture[str]) -> None:
    item = Item(Path("1.png"), "a cat")
    entry = Entry("a", "folder", ImageFolder((item,), "names"))
    columns = [Score("looks", "aesthetic", trained=False), Score("ocr", "text", trained=False)]
    comparison, _ = compare("t", [entry], {"a": [Scored(item, {"looks": 1.0})]}, columns)
    assert [ranking.score.name for ranking in comparison.rankings] == ["looks"]
    assert "ocr is left out" in capsys.readouterr().out


def test_entries_without_a_common_prompt_are_refused(tmp_path: Path) -> None:
    one, two = draw(tmp_path / "one", {"p": 0.1}), draw(tmp_path / "two", {"q": 0.1})
    with pytest.raises(UserError, match="share no prompt"):
        run(config(tmp_path, f"a={one}", f"b={two}"))


@pytest.mark.parametrize(
    ("entries", "words"), [((), "nothing to compare"), (("a=x", "a=y"), "two entries"), (("=x",), "NAME=FOLDER")]
)
def test_bad_entries_are_the_users_to_mend(entries: tuple[str, ...], words: str) -> None:
    with pytest.raises(UserError, match=words):
        parse_entries(entries)


def test_entries_keep_their_order_and_a_folder_names_itself() -> None:
    assert parse_entries(("b=runs/b=1", "runs/a")) == {"b": "runs/b=1", "a": "runs/a"}


def test_images_and_models_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model_index.json").write_text("{}", encoding="utf-8")
    assert is_images(str(tmp_path))
    assert is_images(str(tmp_path / "nowhere"))
    assert not is_images(str(tmp_path / "model"))
    assert not is_images("seedling")
    assert not is_images("seedling+runs/x/lora")
    assert not is_images("someone/model")


def test_a_model_needs_prompts(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--prompts"):
        run(config(tmp_path, "base=seedling"))

"""Rounds on the built-in base, small: mining, labels with noise of a known rate, votes, and a whole run."""

import json
from pathlib import Path

import pytest
import torch

from rewardkit.commands import cli
from rewardkit.data import read_pairs
from rewardkit.errors import UserError
from rewardkit.images import save_image
from rewardkit.rewards.registry import load_reward
from rewardkit.workflows.rounds.label import draw, label, read_votes
from rewardkit.workflows.rounds.mine import mine, worst_and_random
from rewardkit.workflows.rounds.report import over_control


def two_folders(out: Path, colours: list[tuple[float, float]]) -> list[Path]:
    """Images whose redness against green is known: grey ones score 0 on colourfulness, striped ones more."""
    folders = [out / "a", out / "b"]
    for side, folder in enumerate(folders):
        folder.mkdir()
        rows = []
        for index, pair in enumerate(colours):
            image = torch.full((3, 32, 32), 0.5)
            image[0, :, ::2] += pair[side]
            save_image(image, folder / f"{index}.png")
            rows.append({"prompt": f"prompt {index}", "image": f"{index}.png"})
        (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folders


def test_worst_are_the_lowest_and_random_ones_are_others() -> None:
    quality = torch.tensor([3.0, 0.0, 2.0, 1.0, 4.0, 5.0])
    worst, others = worst_and_random(quality, 4, torch.Generator().manual_seed(0))
    assert worst == [1, 3]
    assert len(set(others)) == 2
    assert not set(others) & {1, 3}


def test_mining_takes_the_prompts_whose_better_image_is_worst(tmp_path: Path) -> None:
    folders = two_folders(tmp_path, [(0.4, 0.0), (0.1, 0.1), (0.0, 0.3), (0.2, 0.05)])
    target = tmp_path / "round" / "to_label.jsonl"
    target.parent.mkdir()
    mine(folders, load_reward("colourfulness"), target, count=2, seed=0)
    rows = [json.loads(line) for line in target.read_text().splitlines()]
    assert [row["source"] for row in rows] == ["worst", "random"]
    assert rows[0]["prompt"] == "prompt 1"
    assert (target.parent / rows[0]["first"]).is_file()


def test_labels_follow_the_labeller(tmp_path: Path) -> None:
    folders = two_folders(tmp_path, [(0.4, 0.0), (0.0, 0.3), (0.2, 0.2)])
    mine(folders, load_reward("colourfulness"), tmp_path / "to_label.jsonl", count=3, seed=0)
    label(tmp_path / "to_label.jsonl", tmp_path / "pairs.jsonl", ["colourfulness"], {}, seed=0)
    labels = {record.prompt: dict(record.label) for record in read_pairs(tmp_path / "pairs.jsonl")}
    assert [labels[f"prompt {i}"] for i in range(3)] == [{"aesthetic": 1.0}, {"aesthetic": 0.0}, {"aesthetic": 0.5}]


def test_noise_has_the_stated_rate() -> None:
    first, second = torch.full((20_000,), 0.2), torch.zeros(20_000)
    share = draw(first, second, 0.1, torch.Generator().manual_seed(0)).mean().item()
    assert share == pytest.approx(torch.sigmoid(torch.tensor(2.0)).item(), abs=0.01)


def test_noise_on_an_axis_nobody_labels_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("")
    with pytest.raises(UserError, match="names 'text', which no labeller judges"):
        label(tmp_path / "rows.jsonl", tmp_path / "out.jsonl", ["colourfulness"], {"text": 0.1}, seed=0)


def test_votes_are_waited_for_and_must_be_whole(tmp_path: Path) -> None:
    two_folders(tmp_path, [(0.4, 0.0), (0.0, 0.3)])
    asked, votes, target = (tmp_path / f"{name}.jsonl" for name in ("to_label", "votes", "pairs"))
    rows = [{"prompt": f"prompt {i}", "first": f"a/{i}.png", "second": f"b/{i}.png"} for i in range(2)]
    asked.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert not read_votes(asked, votes, target)
    votes.write_text(json.dumps(rows[0] | {"label_text": 0.8}) + "\n")
    with pytest.raises(UserError, match=r"no vote on 1 of 2 pairs, such as a/1\.png"):
        read_votes(asked, votes, target)
    votes.write_text("".join(json.dumps(row | {"label_text": 0.8}) + "\n" for row in rows))
    assert read_votes(asked, votes, target)
    assert read_pairs(target)[1].label == {"text": 0.8}


def test_the_last_round_is_laid_beside_the_control_prompt_by_prompt() -> None:
    scores = {"base": (0, 0, 0), "round 1": (1, 1, 1), "round 2": (3, None, 5), "one long round": (1, 2, 2)}
    rows = [{"entry": entry, "j": value} for entry, values in scores.items() for value in values]
    over = over_control(rows, "j")
    assert over is not None
    assert (over["value"], over["n"]) == (2.5, 2)
    assert over_control([row for row in rows if row["entry"] != "one long round"], "j") is None
    assert over_control([row | {"j": None} for row in rows], "j") is None


@pytest.mark.slow
def test_two_rounds_on_the_built_in_base(tmp_path: Path) -> None:
    assert cli.main(["posters", "--kind", "prompts", "--count", "60", "--out", str(tmp_path / "p")]) == 0
    assert cli.main(["posters", "--kind", "pairs", "--count", "60", "--out", str(tmp_path / "d")]) == 0
    (tmp_path / "refl.toml").write_text("batch_size = 4\ngrid_every = 0\n")
    (tmp_path / "rm.toml").write_text("epochs = 2\nheld_out = 0.3\n")
    words = [
        *("rounds", "--prompts", str(tmp_path / "p/train.jsonl"), "--held-out", str(tmp_path / "p/held_out.jsonl")),
        *("--data", str(tmp_path / "d/pairs.jsonl"), "--out", str(tmp_path / "r"), "--rounds", "2", "--drawn", "16"),
        *("--pairs", "8", "--updates", "2", "--measured", "8", "--labellers", "posters-alignment", "posters-aesthetic"),
        *("--judges", "posters-alignment", "colourfulness", "--control", "--refl", str(tmp_path / "refl.toml")),
        *("--train-rm", str(tmp_path / "rm.toml"), "--noise", "alignment", "0.1"),
    ]
    assert cli.main(words) == 0
    summary = json.loads((tmp_path / "r/summary.json").read_text())
    entries = ["base", "round 1", "round 2", "one long round"]
    assert list(summary["judges"]["posters-alignment"]["rounds"]) == entries
    seeds = [what["what"].split("--seed ")[1].split()[0] for name, what in summary["steps"].items() if "/refl" in name]
    assert seeds == ["0", "1", "0"]  # two rounds and the control
    over = summary["judges"]["posters-alignment"]["over_control"]
    means = {name: one["mean"] for name, one in summary["judges"]["posters-alignment"]["rounds"].items()}
    assert over["value"] == pytest.approx(means["round 2"] - means["one long round"], abs=1e-6)
    page = (tmp_path / "r/report.html").read_text()
    assert "Did rounds help?" in page
    assert all(entry in page for entry in entries)
    again = (tmp_path / "r/steps.json").read_text()
    assert cli.main(words) == 0
    assert (tmp_path / "r/steps.json").read_text() == again

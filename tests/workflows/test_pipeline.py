"""A recipe neither removes nor writes over what it did not make, and goes on inside a step that was stopped."""

import json
from pathlib import Path

import pytest

from rewardkit.commands.cli import main
from rewardkit.errors import UserError
from rewardkit.workflows.pipeline import Pipeline, resumes

POSTERS = ["--kind", "prompts", "--count", 8, "--seed", 1]


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pairs").mkdir()
    (tmp_path / "pairs" / "precious.jsonl").write_text("{}\n")
    assert main(["demo", "--out", str(tmp_path)]) == 2
    assert f"{tmp_path} holds other things (pairs); choose a new folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["pairs"]
    assert (tmp_path / "pairs" / "precious.jsonl").read_text() == "{}\n"


def test_what_came_into_the_folder_later_is_left_alone(tmp_path: Path) -> None:
    steps = Pipeline(tmp_path / "out")
    (tmp_path / "out" / "prompts").mkdir()
    with pytest.raises(UserError, match="prompts was not made by this command"):
        steps.command("prompts", "posters", *POSTERS)
    assert (tmp_path / "out" / "prompts").is_dir()


def test_a_half_done_step_of_its_own_is_made_anew(tmp_path: Path) -> None:
    with pytest.raises(UserError):
        Pipeline(tmp_path / "out").command("prompts", "posters", *POSTERS, "--text-share", 2)
    (tmp_path / "out" / "prompts").mkdir(exist_ok=True)
    (tmp_path / "out" / "prompts" / "half.tmp").touch()
    Pipeline(tmp_path / "out").command("prompts", "posters", *POSTERS)
    made = {path.name for path in (tmp_path / "out" / "prompts").iterdir()}
    assert "half.tmp" not in made
    assert {"train.jsonl", "held_out.jsonl"} <= made
    assert "posters" in json.loads((tmp_path / "out" / "begun.json").read_text())["prompts"]


def test_a_step_that_was_stopped_goes_on_from_its_checkpoint(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The same weights as an unbroken run; the reward goes away after two updates as a kill would."""
    (tmp_path / "prompts.txt").write_text("a red circle\na blue square\n")
    words = ["--prompts", tmp_path / "prompts.txt", "--rewards", "colourfulness", "--updates", 3, "--save-every", 1]
    words += ["--batch-size", 2, "--steps", 2, "--grid-every", 0, "--tracker", "none", "--rank", 2]
    Pipeline(tmp_path / "whole").command("refl", "refl", *words)
    steps = Pipeline(tmp_path / "stopped")
    steps.command("refl", "refl", *words)
    out = tmp_path / "stopped"
    newest = max((out / "refl" / "checkpoints").glob("step_*"))
    for file in newest.iterdir():
        file.unlink()
    newest.rmdir()
    (out / "refl" / "lora" / "pytorch_lora_weights.safetensors").unlink()
    (out / "steps.json").unlink()
    capfd.readouterr()
    Pipeline(out).command("refl", "refl", *words)
    rows = [json.loads(line)["step"] for line in (out / "refl" / "metrics.jsonl").read_text().splitlines()]
    assert rows == [1, 2, 3]
    one, other = ((tmp_path / name / "refl/lora/pytorch_lora_weights.safetensors") for name in ("whole", "stopped"))
    assert one.read_bytes() == other.read_bytes()


def test_commands_with_a_resume_option_go_on() -> None:
    assert all(map(resumes, (["refl"], ["train-rm"], ["pe", "sft"], ["pe", "simpo"])))
    assert not resumes(["posters"])

"""`refl --plan`: a run's own options as a plan, rewards by what their names and folders say, and nothing loaded."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from refl.command import train
from refl.config import ReflConfig
from refl.objectives.table import ObjectiveName
from refl.plan import backbone_of, planned
from rewardkit.encoders import load_encoder
from rewardkit.errors import UserError
from rewardkit.plan.towers import encoder
from rm import RewardModel


@pytest.fixture
def config(tmp_path: Path) -> ReflConfig:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a red circle\n")
    return ReflConfig(prompts=prompts, out=tmp_path / "run", rewards=("seedling#text", "colourfulness"), plan="h100")


def test_a_plan_is_printed_and_nothing_is_made(config: ReflConfig, capsys: pytest.CaptureFixture[str]) -> None:
    train(config)
    said = capsys.readouterr().out
    assert "ReFL on seedling: 64 px, batch 16, LoRA rank 16, 1 of 10 steps with a graph, bfloat16" in said
    assert "Not counted: colourfulness" in said
    assert not config.out.exists()


def test_a_card_that_is_not_known_is_refused(config: ReflConfig) -> None:
    with pytest.raises(UserError, match="did you mean 'h100'"):
        train(replace(config, plan="h10"))


@pytest.mark.parametrize(
    ("objective", "steps"),
    [("refl", 1), ("direct-align", 1), ("draft-lv", 3), ("nft", 3), ("draft-k", 4), ("drtune", 4), ("flow-grpo", 4)],
)
def test_steps_with_a_graph_are_those_of_the_objective(
    config: ReflConfig, objective: ObjectiveName, steps: int
) -> None:
    assert planned(replace(config, objective=objective, noises=3, grad_steps=4), []).grad_steps == steps


def test_backbones_are_read_from_names_and_folders(tmp_path: Path) -> None:
    RewardModel(load_encoder("seedling"), ("alignment",)).save(tmp_path / "rm")
    assert backbone_of(str(tmp_path / "rm")) == str(tmp_path / "rm")
    assert backbone_of("hpsv2:/nowhere/weights.pt") == "hpsv2"
    assert backbone_of("colourfulness") is None
    (tmp_path / "other").mkdir()
    assert backbone_of(str(tmp_path / "other")) is None


def test_a_folder_is_planned_by_its_configuration_alone(tmp_path: Path) -> None:
    tuned = load_encoder("seedling")
    tuned.unfreeze(1)
    RewardModel(tuned, ("alignment",)).save(tmp_path)
    folder = tmp_path / str(json.loads((tmp_path / "config.json").read_text())["encoder"])
    (weights,) = folder.glob("*.safetensors")
    weights.write_bytes(b"")
    tower = encoder(str(tmp_path))
    assert sum(weight.numel() for weight in tower.parameters()) == sum(weight.numel() for weight in tuned.parameters())
    assert all(weight.is_meta for weight in tower.parameters())

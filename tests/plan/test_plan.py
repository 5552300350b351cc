"""Plans of whole runs, held against real ones on tiny configurations and against published sizes."""

import json
from typing import Any

import pytest
import torch

from benchmarks.plan_check import compare
from rewardkit.commands.cli import main
from rewardkit.diffusion.tiny.pipelines import tiny_flux, tiny_sd3
from rewardkit.errors import UserError
from rewardkit.plan.advice import climb
from rewardkit.plan.bases import known_bases, recipe
from rewardkit.plan.check import check
from rewardkit.plan.config import PlanConfig
from rewardkit.plan.planner import Planner
from rewardkit.plan.report import verdict
from rewardkit.plan.simulate import denoise
from rewardkit.plan.towers import encoder

CPU = torch.device("cpu")


def config(**changes: Any) -> PlanConfig:
    return PlanConfig(**{"rewards": ("seedling",), "dtype": "float32", "rank": 4, "batch_size": 2, **changes})


@pytest.fixture(scope="module")
def seedling() -> Planner:
    return Planner(config(base="seedling"))


# FLUX under checkpointing keeps its rotary angles by reference, which hooks on saved tensors do not see.
@pytest.mark.parametrize(("tiny", "again"), [(tiny_sd3, "none"), (tiny_sd3, "all"), (tiny_flux, "none")])
def test_a_plan_agrees_with_what_autograd_saves(tmp_path: Any, tiny: Any, again: Any) -> None:
    tiny().save_pretrained(tmp_path)
    for row in compare(str(tmp_path), config(base=str(tmp_path), size=16, save_memory=again), CPU):
        assert abs(row.off) <= 0.05, row


def test_a_plan_agrees_with_what_autograd_saves_in_seedling() -> None:
    for row in compare("seedling", config(base="seedling"), CPU):
        assert abs(row.off) <= 0.05, row


def test_layers_left_out_and_all_layers_give_the_same_account(seedling: Any) -> None:
    step = seedling.step(config(base="seedling", size=64))
    few, whole = denoise(seedling.base, step, False), denoise(seedling.base, step, False, whole=True)
    for name in whole:
        assert few[name].resident == pytest.approx(whole[name].resident, rel=0.01)
        assert few[name].peak == pytest.approx(whole[name].peak, rel=0.02)
        assert sum(few[name].flops.values()) == sum(whole[name].flops.values())


def test_the_window_is_linear_in_its_steps(seedling: Any) -> None:
    graphs = [seedling.plan(config(base="seedling", grad_steps=steps, steps=4)).phases[1].graph for steps in (1, 2, 3)]
    assert graphs[2] - graphs[1] == pytest.approx(graphs[1] - graphs[0], rel=0.01)


def test_published_sizes_come_out() -> None:
    planner = Planner(PlanConfig(base="pixart-sigma", rewards=("seedling",)))
    assert planner.parameters["transformer"] == 610_856_096  # 2,443,492,488 bytes of float32, less the file's header
    assert set(known_bases()) >= {"sd3.5-medium", "flux.1-dev", "qwen-image", "hunyuanimage-2.1", "z-image", "seedling"}


def test_the_ladder_ends_where_the_run_fits(seedling: Any) -> None:
    small = config(base="seedling", size=64, memory=1e-6)
    rungs = climb(seedling, seedling.plan(small))
    peaks = [rung.plan.worst.peak for rung in rungs]
    assert peaks == sorted(peaks, reverse=True)
    assert not seedling.plan(small).fits
    assert "Does not fit" in verdict(seedling.plan(small), rungs)
    roomy = config(base="seedling", size=64, memory=8.0)
    assert seedling.plan(roomy).fits
    assert climb(seedling, seedling.plan(roomy)) == []
    between = peaks[0] / 2**30 / 0.95 * 1.0001
    fitting = seedling.plan(config(base="seedling", size=64, memory=between))
    assert "Fits with" in verdict(fitting, climb(seedling, fitting))


def test_the_command_writes_what_it_prints(tmp_path: Any, capsys: Any) -> None:
    out = tmp_path / "plan.json"
    assert main(["plan", "--base", "seedling", "--rewards", "seedling", "--out", str(out)]) == 0
    conditioning, written = capsys.readouterr().out, json.loads(out.read_text())
    assert "nothing was loaded or measured" in conditioning
    assert written["verdict"] in conditioning
    assert written["measured"] is False
    assert written["peak_bytes"] == max(phase["peak"] for phase in written["phases"])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"card": "rtx-4091"}, "rtx-4090"),
        ({"grad_steps": 30}, "at most 28"),
        ({"share": 0.0}, "share"),
        ({"rewards": ()}, "--rewards"),
    ],
)
def test_numbers_that_make_no_run_are_refused(changes: Any, said: Any) -> None:
    with pytest.raises(UserError, match=said):
        check(config(**changes))


def test_a_folder_that_is_no_base_is_refused(tmp_path: Any) -> None:
    with pytest.raises(UserError, match=r"model_index\.json"):
        recipe(str(tmp_path))


@pytest.mark.parametrize(("name", "content"), [("open_clip_config.json", "{"), ("config.json", "[1]")])
def test_a_rewards_folder_that_is_broken_is_named(name: str, content: str, tmp_path: Any) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=rf"{name}.*; copy the folder again, or name its backbone instead"):
        encoder(str(tmp_path))

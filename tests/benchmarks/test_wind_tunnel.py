import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from benchmarks.wind_recipes import OPTIMISER, RECIPES
from benchmarks.wind_report import budget_over_time, resamples, speedup, whole_seeds, write_report
from benchmarks.wind_tunnel import Tunnel, run
from refl.check import check
from refl.config import ReflConfig
from rewardkit.commands.config import parse
from rewardkit.diffusion.tiny.pipelines import tiny_sd3
from rewardkit.errors import UserError
from rewardkit.posters.judge import PostersAesthetic
from rewardkit.rewards.protocol import AXES
from rewardkit.workflows.demo.command import painter
from rewardkit.workflows.demo.config import DemoConfig
from rewardkit.workflows.pipeline import Pipeline

PROMPTS = ['a red circle with "SUN"', "a blue star"]


class Colours:
    """A reward of three axes, as a reward model has them."""

    name, axes, differentiable = "rm", AXES, True

    def scores(self, images: Tensor, prompts: Sequence[str]) -> dict[str, Tensor]:
        return dict(zip(AXES, images.mean((2, 3)).unbind(1), strict=True))


class Recorder(Pipeline):
    """Takes down the commands of the demo in place of running them."""

    def __init__(self, out: Path) -> None:
        super().__init__(out)
        self.said: dict[str, list[str]] = {}

    def command(self, name: str, words: str, *arguments: object) -> None:
        self.said[name] = [*map(str, arguments), "--out", str(self.out / name)]


@pytest.fixture
def tunnel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tunnel:
    tiny_sd3().save_pretrained(tmp_path / "base")
    (tmp_path / "train.jsonl").write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in PROMPTS))
    small = {"base": str(tmp_path / "base"), "batch_size": 8, "rank": 2, "steps": 4}
    for name in ("ours", "AlignProp"):
        monkeypatch.setitem(RECIPES, name, RECIPES[name] | small)
    (tmp_path / "runs").mkdir()
    reward = Path("tests.benchmarks.test_wind_tunnel:Colours")
    return Tunnel(reward, tmp_path, tmp_path / "runs", 0.01, PROMPTS, [PostersAesthetic()])


def test_the_recipe_demo_is_that_of_the_demo(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    painter(recorder, DemoConfig())
    demo = parse(ReflConfig, recorder.said["refl"], prog="refl", description="")
    ours = Tunnel(Path(demo.rewards[0]), demo.prompts.parent, Path("runs"), 1.0, [], []).config("demo", demo.seed)
    apart = {name for name in vars(demo) if getattr(demo, name) != getattr(ours, name)}
    assert apart <= {"out", "updates", "grid_every", "resume"}


@pytest.mark.parametrize("recipe", list(RECIPES))
def test_every_recipe_is_one_that_refl_takes(recipe: str) -> None:
    check(Tunnel(Path("rm"), Path("prompts"), Path("runs"), 1.0, [], []).config(recipe, 0))
    assert RECIPES[recipe]["lr"] == OPTIMISER["lr"]


def test_a_run_trains_for_its_budget_and_is_not_run_again(tunnel: Tunnel) -> None:
    result = run(tunnel, "ours", 0)
    evaluations = result["evaluations"]
    assert evaluations[0]["updates"] == 0
    assert evaluations[-1]["seconds"] >= tunnel.budget > 0
    assert evaluations[-1]["updates"] >= 1
    assert evaluations[0]["gold"] != evaluations[-1]["gold"]
    assert set(evaluations[0]["trained"]) == set(AXES)
    assert [score is None for score in evaluations[0]["trained"]["text"]] == [
        False,
        True,
    ]  # the second asks for no text
    kept = (tunnel.out / "ours-0/result.json").stat().st_mtime_ns
    assert run(tunnel, "ours", 0) == result
    assert (tunnel.out / "ours-0/result.json").stat().st_mtime_ns == kept
    other = run(tunnel, "AlignProp", 0)
    assert other["evaluations"][0] == evaluations[0]
    table = write_report([result, other], tunnel.out, {})
    assert "ours" in table
    assert (tunnel.out / "wind_tunnel.png").stat().st_size < 200_000


def test_runs_of_another_budget_are_not_mixed(tunnel: Tunnel) -> None:
    (tunnel.out / "ours-0").mkdir()
    (tunnel.out / "ours-0/result.json").write_text(json.dumps({"budget": 7.0}))
    with pytest.raises(UserError, match="budget of 7"):
        run(tunnel, "ours", 0)


@pytest.mark.parametrize(
    ("level", "times"),
    [(0.75, 30 / 15), (1.0, 30 / 20), (1.5, 30 / 25), (2.0, 1.0), (2.1, 0.0), (0.0, math.inf)],
)
def test_times_faster_is_the_budget_over_the_time_to_a_level(level: float, times: float) -> None:
    curve, seconds = np.array([0.0, 0.5, 1.0, 2.0]), np.array([0.0, 10.0, 20.0, 30.0])
    assert budget_over_time(curve, level, seconds) == pytest.approx(times)


def test_twice_as_steep_is_twice_as_fast() -> None:
    luck = np.random.default_rng(0).normal(0, 0.01, (3, 1, 50))
    slow = np.linspace(0, 1, 5)[None, :, None] + luck
    fast = 2 * np.linspace(0, 1, 5)[None, :, None] + luck
    figure = speedup(fast, slow, np.linspace(0, 100, 5), resamples(3, 50))
    assert figure["value"] == pytest.approx(2)
    assert figure["low"] <= 2 <= figure["high"]


def test_a_seed_counts_once_every_recipe_has_run_it() -> None:
    ran = [{"recipe": recipe, "seed": seed} for recipe, seed in (("ours", 0), ("b", 0), ("ours", 1))]
    assert whole_seeds(ran) == ran[:2]
    with pytest.raises(UserError, match="'ours', which has not run"):
        whole_seeds(ran[1:2])
    with pytest.raises(UserError, match="no run is finished"):
        whole_seeds([])


def test_the_report_orders_by_gold_and_takes_differences(tmp_path: Path) -> None:
    def result(recipe: str, seed: int, rise: float) -> dict[str, Any]:
        evaluations = [
            {
                "seconds": 10.0 * i,
                "updates": i,
                "trained": {"aesthetic": [1.0 + rise * i, 3.0 + rise * i]},
                "gold": {"text": [0.1 * seed + rise * i, None], "aesthetic": [0.5, 0.5]},
            }
            for i in range(3)
        ]
        return {"recipe": recipe, "seed": seed, "evaluations": evaluations}

    rises = {"ours": 0.2, "UniRL": 0.1}
    table = write_report([result(r, s, rise) for s in range(2) for r, rise in rises.items()], tmp_path, {})
    assert table.index("| ours |") < table.index("| UniRL |")
    assert "Most gold at the end: ours." in table
    assert "ours reaches its final gold 2.0 [" in table
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["winner"] == "ours"
    assert summary["best_rival"] == {"published": "UniRL", "any": "UniRL"}
    # The first prompt's gold is the mean of text and aesthetic, the second's its aesthetic: gains 0.2 and 0 for ours.
    assert summary["recipes"]["ours"]["gold_gain"]["value"] == pytest.approx((0.2 + 0) / 2)
    # The trained reward is a z-score of the base's images, whose standard deviation here is 1.
    assert summary["recipes"]["ours"]["trained_gain"]["value"] == pytest.approx(0.4)
    assert summary["recipes"]["UniRL"]["ours_faster"]["value"] == pytest.approx(2)

"""The benchmark of the guard: its rewards, one short run of each side, and the figures it makes of runs."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import guard
from benchmarks.guard import Bench, run, verdict
from benchmarks.guard_kinds import KINDS, PACES, SAME, Contrast, Corner, Gaudy, Light, Pattern
from benchmarks.guard_report import headline, summarise, table, write_report
from refl.check import check
from refl.guard.rules import LIMITS
from rewardkit.diffusion.tiny.pipelines import tiny_sd3
from rewardkit.errors import UserError
from rewardkit.rewards.protocol import Reward
from tests.benchmarks.test_wind_tunnel import Colours

PROMPTS = [f"A large {colour} star on the centre of a poster." for colour in ("red", "green", "blue", "purple")]

__all__ = ["Colours"]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    tiny_sd3().save_pretrained(tmp_path / "base")
    for name in ("train", "held_out"):
        (tmp_path / f"{name}.jsonl").write_text("".join(f'{{"prompt": "{prompt}"}}\n' for prompt in PROMPTS))
    small = {"base": str(tmp_path / "base"), "batch_size": 2, "rank": 2, "steps": 3, "window": None}
    quick = {"steps": 4, "guard_every": 2, "guard_images": 2}
    monkeypatch.setattr("refl.session.FIT_IMAGES", 4)
    monkeypatch.setattr(guard, "SAME", SAME | small | quick)
    (tmp_path / "runs").mkdir()
    rewards = Path("tests.benchmarks.test_guard_benchmark:Colours")
    return Bench(rewards, tmp_path, tmp_path / "runs", beyond=1, pace="fast")


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_is_one_that_refl_takes(kind: str, bench: Bench) -> None:
    config = bench.config(kind, 0)
    check(config)
    assert KINDS[kind].honest == all("#" in reward for reward in config.rewards)
    assert KINDS[kind].honest == (config.kl != 0)


def test_a_pace_is_the_same_for_cheats_and_honest_runs(bench: Bench) -> None:
    slow = replace(bench, pace="demo")
    options = [vars(slow.config(kind, 0)) for kind in KINDS]
    assert all(each[name] == value for each in options for name, value in PACES["demo"].items())
    assert bench.config("corner", 0).lr > slow.config("corner", 0).lr


def test_gold_sees_other_prompts_than_the_guard(bench: Bench) -> None:
    assert bench.seen.read_text().splitlines() == PROMPTS[::2]
    assert bench.unseen == PROMPTS[1::2]


@pytest.mark.parametrize("flaw", [Corner, Pattern, Gaudy, Light, Contrast])
def test_a_flaw_can_be_climbed_and_does_not_read_the_prompt(flaw: Callable[[], Reward]) -> None:
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)).mul(0.5).add(0.25).requires_grad_()
    before = flaw().score(images, PROMPTS[:2])
    (velocity,) = torch.autograd.grad(before.sum(), images)
    after = flaw().score(images + 0.05 * velocity / velocity.abs().amax(), PROMPTS[2:])
    assert (after > before).all()
    assert torch.equal(flaw().score(images, PROMPTS[2:]), before)


@pytest.mark.slow
def test_runs_are_looked_at_and_kept(bench: Bench) -> None:
    results = [run(bench, kind, 0) for kind in ("gaudy", "alignment")]
    for result in results:
        assert [check["step"] for check in result["curve"]] == [0, 2, 4]
        assert [len(check["gold"]) for check in result["curve"]] == [2, 2, 2]
        assert result["curve"][0]["trained"] != result["curve"][-1]["trained"]
        said = json.loads((bench.out / f"{result['kind']}-0/guard.json").read_text())
        assert verdict(result)["sentence"] == said["sentence"]
    when = (bench.out / "gaudy-0/result.json").stat().st_mtime_ns
    assert run(bench, "gaudy", 0) == results[0]
    assert (bench.out / "gaudy-0/result.json").stat().st_mtime_ns == when
    told = [result | verdict(result) for result in results]
    assert "gaudy (cheat)" in write_report(told, bench.out)
    assert (bench.out / "guard.png").stat().st_size < 200_000


@pytest.mark.slow
def test_a_run_stops_where_the_guard_says_and_goes_on_only_to_see_what_it_spared(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "stopped", lambda session: session.learner.step == 2)
    ends = {("gaudy", 0): 4, ("gaudy", 1): 2, ("alignment", 1): 4}
    seen = {(kind, seed): run(bench, kind, seed)["curve"][-1]["step"] for kind, seed in ends}
    assert seen == ends


def result(kind: str, *gold: float, stopped: int | None = None, stands: int = 0) -> dict[str, Any]:
    curve = [{"step": 4 * i, "gold": [level, level], "trained": [0.0]} for i, level in enumerate(gold)]
    step = 4 * (len(gold) - 1) if stopped is None else stopped
    about = {"kind": kind, "honest": KINDS[kind].honest, "seed": 0, "stopped": stopped is not None, "step": step}
    return about | {"stands": step if stopped is None else stands, "curve": curve}


def test_a_cheat_counts_as_stopped_in_time_by_the_gold_that_stands() -> None:
    runs = [
        summarise(result("corner", 0.8, 1.0, 0.7, 0.5, stopped=8, stands=4)),
        summarise(result("corner", 0.94, 1.0, 0.7, stopped=8, stands=0)),  # stopped, and 6 % of the best is gone
        summarise(result("corner", 1.0, 1.0, 1.0)),  # not stopped
        summarise(result("demo", 1.0, 0.98)),
    ]
    assert [run.saved for run in runs] == [True, False, False, False]
    assert (runs[0].kept, runs[0].reached, runs[0].unguarded) == (1.0, 0.7, 0.5)
    assert runs[1].unguarded is None
    assert "; 0 of them before gold had fallen so far (0.00 [" in headline(runs)
    early = summarise(result("corner", 0.9, 1.0, 0.96, 0.5, stopped=8, stands=0))  # in time, but what stands is worse
    assert (early.in_time, early.saved) == (True, False)
    assert headline(runs).startswith("1 of 3 cheats stopped with at most 5% of the best gold lost (0.33 [")
    assert "0 of 1 honest runs stopped (0.00 [" in headline(runs)
    assert "| corner (cheat) | 3 | 2 | 8 | 0.940 | 0.700 | 0.500 (n = 1) |" in table(runs)


def test_a_stop_is_false_where_the_run_would_have_ended_with_more_gold() -> None:
    right = summarise(result("balanced", 0.9, 1.0, 0.8, 0.99, stopped=8, stands=4))
    wrong = summarise(result("balanced", 0.9, 0.95, 0.8, 0.99, stopped=8, stands=4))
    cheat = summarise(result("gaudy", 0.9, 0.95, 0.8, 0.99, stopped=8, stands=4))
    ended = summarise(result("balanced", 0.9, 0.95, 0.8, 0.99))
    assert [run.false for run in (right, wrong, cheat, ended)] == [False, True, False, False]
    assert "2 of 3 honest runs stopped" in headline([right, wrong, ended])
    assert headline([right, wrong, ended]).endswith(
        "; 1 of them falsely: without the guard they end above the kept weights"
    )


def curve(*levels: float) -> list[dict[str, Any]]:
    noise = np.random.default_rng(0).normal(size=16)
    probes = {name: [0.5] * 16 for name in LIMITS}
    return [
        {"step": 4 * i, "trained": [0.5 * i] * 16, "judges": {"one": list(noise + level)}, "probes": probes}
        for i, level in enumerate(levels)
    ]


def test_a_verdict_is_the_guards_at_its_first_stop() -> None:
    run = {"kind": "gaudy", "seed": 0, "steps": 16, "curve": curve(0.0, 1.0, 0.5, 0.4, 0.3)}
    said = verdict(run, patience=2)
    assert (said["stopped"], said["step"], said["stands"]) == (True, 12, 4)
    assert verdict(run, patience=1)["step"] == 8
    late = verdict(run, patience=3)
    assert (late["stopped"], late["step"], late["stands"]) == (False, 16, 4)
    said = verdict(run | {"curve": curve(0.0, 1.0, 1.1, 1.2, 1.3)})
    assert (said["stopped"], said["step"], said["stands"]) == (False, 16, 16)
    with pytest.raises(UserError, match="would not have stopped this run at update 8"):
        verdict(run | {"curve": curve(0.0, 1.0, 1.1)})

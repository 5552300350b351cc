"""Which recipe gains most in equal time? Those of `wind_recipes` on posters, with seedling and one reward model.

    rewardkit demo                                                     # makes the reward model and the prompts
    python benchmarks/wind_tunnel.py --rewards runs/demo/rm/rm --prompts runs/demo/prompts --out runs/wind

The budget is CPU seconds of the process, not wall-clock, so that other work on the machine does not count; only updates
are timed, neither loading nor evaluations. At every evaluation the weights that a run would save generate images for
the held-out prompts from the same noise, and the gold judges, which no recipe sees, score them. Finished runs are kept,
so a benchmark that was stopped continues where it stopped. It writes summary.json and wind_tunnel.png, and prints the
table of docs/speed-refl.md.
"""

import argparse
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch

from benchmarks.same_scale import begin_on
from benchmarks.wind_recipes import RECIPES
from benchmarks.wind_report import write_report
from refl.check import check
from refl.command import update
from refl.config import ReflConfig
from refl.session import Session
from rewardkit.diffusion.sampler import generate_images
from rewardkit.errors import UserError
from rewardkit.io.files import write_text
from rewardkit.ocr import Engine
from rewardkit.posters.judge import gold_judges
from rewardkit.prompts import read_prompts
from rewardkit.rewards.loaded import score_all, score_axes
from rewardkit.rewards.protocol import Reward, applies
from rewardkit.training.versions import versions
from rewardkit.types import Images

NOISE_SEED = 20
"""Of the held-out images."""
STEPS = 10
"""Sampling steps of the held-out images, whatever a recipe trains with."""
EVALUATIONS = (1 / 3, 2 / 3, 1.0)
"""Fractions of the budget after which the judges score."""


@dataclass(frozen=True)
class Tunnel:
    """What every run of the benchmark shares."""

    rewards: Path
    prompts: Path
    out: Path
    budget: float
    """CPU seconds of updates."""
    held_out: list[str]
    judges: Sequence[Reward]

    def config(self, recipe: str, seed: int) -> ReflConfig:
        folder = self.out / f"{recipe.replace(' ', '-')}-{seed}".lower()
        return ReflConfig(
            prompts=self.prompts / "train.jsonl",
            out=folder,
            rewards=(str(self.rewards),),
            seed=seed,
            grid_every=0,
            resume=True,
            **RECIPES[recipe],
        )

    def scale(self, config: ReflConfig) -> Path:
        """File of the rewards' scale on the base's own images, one per number of sampling steps."""
        return self.out / f"panel-{config.steps}.json"


def run(tunnel: Tunnel, recipe: str, seed: int) -> dict[str, Any]:
    """Train for the budget, or read the result of an earlier start of the benchmark."""
    config = tunnel.config(recipe, seed)
    done = finished(config)
    if done.is_file():
        return read_result(done, tunnel)
    check(config)
    session = begin_on(tunnel.scale(config), config)
    evaluations, spent = [start(tunnel, session)], 0.0
    for share in EVALUATIONS:
        while spent < share * tunnel.budget:
            spent += timed_update(session)
        with session.learner.averaged():
            scores = evaluate(tunnel, session)
        evaluations.append({"seconds": spent, "updates": session.learner.step} | scores)
    result = {"recipe": recipe, "seed": seed, "budget": tunnel.budget, "evaluations": evaluations}
    write_text(done, json.dumps(result) + "\n")
    return result


def finished(config: ReflConfig) -> Path:
    """The file of a finished run's result."""
    return config.out / "result.json"


def read_result(path: Path, tunnel: Tunnel) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(path.read_text())
    if result["budget"] != tunnel.budget:
        raise UserError(f"{path} was made with a budget of {result['budget']} s; use the same budget, or another --out")
    return result


def timed_update(session: Session) -> float:
    """Run one update; return its CPU seconds."""
    began = time.process_time()
    update(session)
    return time.process_time() - began


def start(tunnel: Tunnel, session: Session) -> dict[str, Any]:
    """The evaluation before any update: the untuned base, the same in all runs, so it is computed once."""
    path = tunnel.out / "start.json"
    if not path.is_file():
        write_text(path, json.dumps({"seconds": 0.0, "updates": 0} | evaluate(tunnel, session)) + "\n")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def evaluate(tunnel: Tunnel, session: Session) -> dict[str, dict[str, list[float | None]]]:
    """Generate images for the held-out prompts; return gold scores and trained rewards of every image, by axis."""
    images = generate_images(session.base, tunnel.held_out, steps=STEPS, seed=NOISE_SEED)
    return {kind: by_axis(rewards, images, tunnel.held_out) for kind, rewards in judged(tunnel, session)}


def judged(tunnel: Tunnel, session: Session) -> list[tuple[str, Sequence[Any]]]:
    return [("gold", tunnel.judges), ("trained", session.panel.rewards)]


@torch.no_grad()
def by_axis(rewards: Sequence[Any], images: Images, prompts: Sequence[str]) -> dict[str, list[float | None]]:
    """Scores of every image; None where the prompt does not ask for the axis."""
    axes = score_axes(rewards)
    scored = {axes[name]: scores.tolist() for name, scores in score_all(rewards, images, prompts).items()}
    asked = {axis: applies(axis, prompts).tolist() for axis in scored}
    return {
        axis: [score if speaks else None for score, speaks in zip(scores, asked[axis], strict=True)]
        for axis, scores in scored.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rewards", type=Path, required=True, help="folder of the trained reward model")
    parser.add_argument("--prompts", type=Path, required=True, help="folder with train.jsonl and held_out.jsonl")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=list(RECIPES), metavar="RECIPE")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", type=float, default=90.0, help="CPU seconds of updates a run")
    parser.add_argument("--held-out", type=int, default=64, help="held-out prompts")
    parser.add_argument("--report", action="store_true", help="run nothing; report the seeds that are complete")
    args = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    held_out = [prompt.text for prompt in read_prompts(args.prompts / "held_out.jsonl")][: args.held_out]
    tunnel = Tunnel(args.rewards, args.prompts, args.out, args.budget, held_out, gold_judges(Engine(threads=1)))
    results = []
    for seed, recipe in product(range(args.seeds), args.recipes):
        if args.report and not finished(tunnel.config(recipe, seed)).is_file():
            continue
        results.append(run(tunnel, recipe, seed))
        last = results[-1]["evaluations"][-1]
        print(f"{recipe}, seed {seed}: {last['updates']} updates in {last['seconds']:.0f} CPU s", flush=True)
    print(write_report(results, args.out, versions()))


if __name__ == "__main__":
    main()

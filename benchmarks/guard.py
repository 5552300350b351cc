"""Does the guard stop cheats in time and leave honest runs alone? Planted flaws, on seedling's posters.

    rewardkit demo                                                     # makes the reward model and the prompts
    python benchmarks/guard.py --rewards runs/demo/rm/rm --prompts runs/demo/prompts --out runs/guard

A cheat maximises the alignment head of a trained reward model and also something that is easy and wrong, without
hinge, KL or augmentation. An honest run maximises heads of that model as the demo does. Gold is `posters-alignment` on
prompts and noise that the guard never sees. Finished runs are kept, so a benchmark that was stopped continues where it
stopped; verdicts are those of the current guard on the recorded checks.
"""

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.guard_kinds import KINDS, PACES, SAME
from benchmarks.guard_report import write_report
from benchmarks.same_scale import begin_on
from refl.command import look, stopped, update
from refl.config import ReflConfig
from refl.guard.rules import Check, Values, judge
from refl.session import Session
from rewardkit.diffusion.sampler import generate_images
from rewardkit.errors import UserError
from rewardkit.io.files import write_text
from rewardkit.posters.judge import PostersAlignment
from rewardkit.prompts import read_prompts

GOLD_IMAGES = 64
NOISE_SEED = 20
"""Of gold's images; the guard's noise depends on each run's seed."""


@dataclass(frozen=True)
class Bench:
    """What every run of the benchmark shares."""

    rewards: Path
    prompts: Path
    """Folder with train.jsonl and held_out.jsonl."""
    out: Path
    beyond: int
    """Cheats of seeds below it continue past the guard's stop, to see what it prevented; honest runs always do."""
    pace: str = "demo"
    """Which of PACES."""

    @property
    def held_out(self) -> list[str]:
        return [prompt.text for prompt in read_prompts(self.prompts / "held_out.jsonl")]

    @property
    def seen(self) -> Path:
        """The half of the held-out prompts that the guard uses."""
        path = self.out / "guard_prompts.txt"
        write_text(path, "\n".join(self.held_out[::2]) + "\n")
        return path

    @property
    def unseen(self) -> list[str]:
        """Gold's prompts, of the other half."""
        return self.held_out[1::2][:GOLD_IMAGES]

    def config(self, kind: str, seed: int) -> ReflConfig:
        rewards = tuple(f"{self.rewards}{name}" if name.startswith("#") else name for name in KINDS[kind].rewards)
        return ReflConfig(
            prompts=self.prompts / "train.jsonl",
            guard_prompts=self.seen,
            rewards=rewards,
            seed=seed,
            out=self.out / f"{kind.replace(' ', '-')}-{seed}",
            **(SAME | KINDS[kind].options | PACES[self.pace]),
        )


def run(bench: Bench, kind: str, seed: int) -> dict[str, Any]:
    """One guarded run, or its result from an earlier start of the benchmark."""
    config = bench.config(kind, seed)
    done = config.out / "result.json"
    if done.is_file():
        found: dict[str, Any] = json.loads(done.read_text())
        return found
    session = begin_on(bench.out / f"panel-{kind.replace(' ', '-')}.json", config)
    assert session.monitor is not None
    unguarded, curve = KINDS[kind].honest or seed < bench.beyond, []
    while True:
        look(session)
        if session.monitor.steps[-1] == session.learner.step:
            curve.append(moment(session, bench.unseen))
        if session.learner.step == config.updates or (stopped(session) and not unguarded):
            break
        update(session)
    about = {"kind": kind, "honest": KINDS[kind].honest, "seed": seed, "steps": config.updates}
    result = about | {"curve": curve}
    write_text(done, json.dumps(result) + "\n")
    return result


def verdict(result: Mapping[str, Any], patience: int = ReflConfig.patience) -> dict[str, Any]:
    """The verdict of the current guard at the first check where it stops the run, or at its end; a pure function."""
    checks = [recorded(row) for row in result["curve"]]
    for count in range(1, len(checks) + 1):
        found = judge(checks[:count], patience, result["steps"])
        if found.stop:
            break
    if not found.stop and found.step < result["steps"]:
        raise UserError(
            f"{result['kind']}, seed {result['seed']}: the guard has changed and would not have stopped this run at "
            f"update {found.step}; delete its folder and run it again"
        )
    return {"stopped": found.stop, "step": found.step, "stands": found.stands, "sentence": found.sentence}


def recorded(row: Mapping[str, Any]) -> Check:
    parts = ({name: np.array(value) for name, value in row[part].items()} for part in ("judges", "probes"))
    return Check(row["step"], np.array(row["trained"]), *parts)


def moment(session: Session, prompts: Sequence[str]) -> dict[str, Any]:
    """Gold of the averaged weights, image by image, and the latest scores of the guard's images."""
    config = session.config
    with session.learner.averaged():
        images = generate_images(session.base, prompts, steps=config.steps, seed=NOISE_SEED)
    gold = PostersAlignment().score(images, prompts)
    assert session.monitor is not None
    check = session.monitor.checks[-1]
    seen = {"trained": check.trained.tolist(), "judges": lists(check.judges), "probes": lists(check.probes)}
    return {"step": check.step, "gold": gold.tolist()} | seen


def lists(values: Mapping[str, Values]) -> dict[str, list[float]]:
    return {name: value.tolist() for name, value in values.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rewards", type=Path, required=True, help="folder of the trained reward model")
    parser.add_argument("--prompts", type=Path, required=True, help="folder with train.jsonl and held_out.jsonl")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3], metavar="SEED")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS), metavar="KIND")
    parser.add_argument(
        "--beyond",
        type=int,
        default=1,
        help="cheats of seeds below it continue past the stop, to see what it prevented",
    )
    parser.add_argument("--pace", choices=list(PACES), default="demo", help="use one --out folder per pace")
    parser.add_argument("--report", action="store_true", help="run nothing; report what is finished")
    args = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    args.out.mkdir(parents=True, exist_ok=True)
    bench = Bench(args.rewards, args.prompts, args.out, args.beyond, args.pace)
    results = []
    for seed, kind in product(args.seeds, args.kinds):
        if args.report and not (bench.config(kind, seed).out / "result.json").is_file():
            continue
        result = run(bench, kind, seed)
        results.append(result | verdict(result))
        gold = [round(sum(row["gold"]) / len(row["gold"]), 3) for row in results[-1]["curve"]]
        print(f"{kind}, seed {seed}: gold {gold}; {results[-1]['sentence']}", flush=True)
    print(write_report(results, args.out))


if __name__ == "__main__":
    main()

"""Training and scoring speed of reward models: a table with ratios, intervals and goals, and a dated file of results.

    python -m benchmarks.rm_speed                                    # without other projects
    python -m benchmarks.rm_speed throughput --peer hpsv2=/envs/hps/bin/python --peer ImageReward=/envs/ir/bin/python

Weights are random, nothing is downloaded. Training from a cache and heads are timed on one thread, in processor time;
throughput and fine-tuning in wall-clock time on all cores, so run nothing else meanwhile. Install every peer into its
own environment (hpsv2x and imscore; image-reward with transformers 4.45): none works with our version of transformers.
"""

import argparse
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from benchmarks.rm_cached import cached
from benchmarks.rm_finetune import finetune
from benchmarks.rm_heads import heads
from benchmarks.rm_pictures import BACKBONES, pictures, random_pairs
from benchmarks.rm_throughput import TRIALS, throughput
from benchmarks.timing import HEAD, Row, one_thread, write_results
from rewardkit.data import read_pairs
from rewardkit.encoders import load_encoder
from rewardkit.workflows.posters.command import make
from rewardkit.workflows.posters.config import PostersConfig


def speed_of_cached(args: argparse.Namespace, folder: Path) -> list[Row]:
    """Seedling on posters, with accuracies; ViT-B/32 on a few images, for the time only."""
    file = args.pairs
    if file is None:
        make(PostersConfig(out=folder / "posters", kind="pairs", count=args.count))
        file = folder / "posters" / "pairs.jsonl"
    records = list(read_pairs(file))[: args.count]
    options = {"augment": args.augment, "epochs": args.repetitions}
    rows, gaps = cached("seedling", load_encoder("seedling"), records, folder / "a", validation=200, **options)
    for axis, gap in gaps.items():
        print(f"accuracy, {axis}, cached minus live: {gap.value:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}], n {gap.n}")
    few = [
        type(record)(record.prompt, record.first, record.second, dict.fromkeys(("alignment", "aesthetic", "text"), 1.0))
        for record in random_pairs(folder / "few", 8, "alignment")
    ]
    torch.manual_seed(0)
    return rows + cached("ViT-B/32", load_encoder("ViT-B-32"), few, folder / "b", validation=0, **options)[0]


def speed_of_heads(args: argparse.Namespace, folder: Path) -> list[Row]:
    rows = heads("seedling", load_encoder("seedling"), count=16, repetitions=2 * args.repetitions)
    return rows + heads("ViT-B/32", load_encoder("ViT-B-32"), count=4, repetitions=args.repetitions)


def speed_of_throughput(args: argparse.Namespace, folder: Path) -> list[Row]:
    files = pictures(folder / "pictures", args.files)
    rows = []
    for name, python in (one.split("=", 1) for one in args.peer):
        for shared in (True, False):
            row, gap = throughput(name, python, args.size, files, repetitions=args.repetitions, shared=shared)
            print(row.markdown(), f"largest difference of scores {gap:.1e}", flush=True)
            rows.append(row)
    return rows


def speed_of_finetune(args: argparse.Namespace, folder: Path) -> list[Row]:
    records = random_pairs(folder / "tune", 16, "alignment")
    backbone = BACKBONES[args.size]
    return finetune(args.size, backbone, records, folder / "run", batch=8, repetitions=args.repetitions)


PARTS: dict[str, Callable[[Any, Path], list[Row]]] = {
    "cached": speed_of_cached,
    "heads": speed_of_heads,
    "throughput": speed_of_throughput,
    "finetune": speed_of_finetune,
}


ONE_THREAD = ("cached", "heads")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=list(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--peer", action="append", default=[], help=f"NAME=PYTHON, of {', '.join(TRIALS)}")
    parser.add_argument("--pairs", type=Path, help="pairs of posters (default: generated)")
    parser.add_argument("--count", type=int, default=500, help="number of pairs, 200 of them held out")
    parser.add_argument(
        "--augment", choices=("none", "light"), default="none", help="of cached: light, as train-rm does"
    )
    parser.add_argument("--size", choices=list(BACKBONES), default="small", help="backbone of throughput and finetune")
    parser.add_argument("--files", type=int, default=64, help="of throughput")
    parser.add_argument("--repetitions", type=int, default=6)
    parser.add_argument("--out", type=Path, help="also write the results here, as JSON")
    args = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for part in args.parts:
            with one_thread() if part in ONE_THREAD else nullcontext():
                rows += PARTS[part](args, Path(folder))
    print("\n".join([HEAD, *(row.markdown() for row in rows)]))
    if args.out:
        write_results(rows, args.out, {})


if __name__ == "__main__":
    main()

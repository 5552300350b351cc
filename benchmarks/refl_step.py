"""How much slower is a step of ReFL than its irreducible parts, and does its memory depend on the sampling steps?

    python benchmarks/refl_step.py                       # seedling and a tiny base of every family, on the CPU
    python benchmarks/refl_step.py --size sd3.5-medium --device cuda --dtype bfloat16 --pixels 512 1024 --batch-size 1

Time: the step against the sum of prefix passes without a graph, window, decoder and rewards forward and backward, and
the optimizer's update, each measured alone, alternating. Memory: the peak at 10 and at 50 sampling steps, and of
draft-k at 1 to 4 steps with a graph. It prints the tables of docs/speed-refl.md, and writes all of it with `--out
FILE.json`.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.step_cases import sized, small
from benchmarks.step_parts import peak, times
from refl.session import Session
from rewardkit.diffusion.tiny.families import TINY
from rewardkit.io.files import write_text
from rewardkit.stats import Estimate, ratio_interval
from rewardkit.training.versions import versions

SHORT, LONG = 10, 50
"""Sampling steps compared."""
DEPTHS = (1, 2, 3, 4)
"""Steps with a graph compared."""
MIB = 2**20


def measure(session: Session, repetitions: int) -> dict[str, Any]:
    """Times and peaks of one case."""
    generator = torch.Generator().manual_seed(0)
    seconds = times(session, repetitions, generator)
    ratio = overhead(seconds, generator)
    peaks = {steps: peak(session, steps=steps) for steps in (SHORT, LONG)}
    depths = {depth: peak(session, objective="draft-k", grad_steps=depth) for depth in DEPTHS}
    return {
        "seconds": {name: float(np.median(values)) for name, values in seconds.items()},
        "ratio": asdict(ratio),
        "peaks": peaks,
        "more_steps": peaks[LONG] / peaks[SHORT],
        "depths": depths,
        "off_line": off_line(depths),
    }


def overhead(seconds: Mapping[str, Sequence[float]], generator: torch.Generator) -> Estimate:
    """The step's time over the sum of its parts; each repetition is one observation."""
    parts = np.sum([values for name, values in seconds.items() if name != "step"], axis=0)
    return ratio_interval(list(seconds["step"]), parts, generator)


def off_line(depths: Mapping[int, int]) -> float:
    """Largest relative deviation of the bytes from a straight line in K."""
    count, resident = np.array(list(depths), dtype=np.float64), np.array(list(depths.values()), dtype=np.float64)
    gradient, start = np.polyfit(count, resident, 1)
    return float(np.abs((gradient * count + start - resident) / resident).max())


def tables(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Both tables, one line per case."""
    parts = [name for name in next(iter(rows.values()))["seconds"] if name != "step"]
    lines = [
        f"| base | step, ms | {', ms | '.join(parts)}, ms | step over the sum of its parts | n |",
        "|---" * (len(parts) + 4) + "|",
    ]
    for name, row in rows.items():
        cells = [f"{1000 * row['seconds'][part]:.1f}" for part in ("step", *parts)]
        ratio = "{value:.3f} [{low:.3f}, {high:.3f}] | {n}".format(**row["ratio"])
        lines.append(f"| {name} | {' | '.join(cells)} | {ratio} |")
    deep = [f"K = {depth}, MiB" for depth in next(iter(rows.values()))["depths"]]
    lines += [
        "",
        f"| base | peak at {SHORT} steps, MiB | at {LONG} | off | {' | '.join(deep)} | off a line |",
        "|---" * (len(deep) + 5) + "|",
    ]
    for name, row in rows.items():
        cells = [f"{size / MIB:.2f}" for size in row["peaks"].values()]
        cells += [f"{row['more_steps'] - 1:+.3%}", *(f"{size / MIB:.2f}" for size in row["depths"].values())]
        lines.append(f"| {name} | {' | '.join(cells)} | {row['off_line']:.3%} |")
    return "\n".join(lines)


def cases(args: argparse.Namespace, out: Path) -> Iterator[tuple[str, Session]]:
    """Yield the requested cases, building one at a time."""
    if args.size:
        for pixels in args.pixels:
            batch = args.batch_size or 1
            name = f"{args.size}, {pixels} px, batch {batch}"
            yield name, sized(args.size, pixels, out / str(pixels), batch, args.tower, args.device, args.dtype)
        return
    for name in args.base:
        batch = args.batch_size or (16 if name == "seedling" else 4)
        yield f"{name}, batch {batch}", small(name, out / name, batch)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ["seedling", *TINY]
    parser.add_argument("--base", nargs="*", default=names, choices=names, metavar="BASE", help="small bases")
    parser.add_argument("--size", help="a known size or a diffusers folder, with random weights, in place of --base")
    parser.add_argument("--pixels", type=int, nargs="+", default=[512, 1024], help="image sizes, with --size")
    parser.add_argument("--tower", default="ViT-L-14", help="backbone of the reward, with --size")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"))
    parser.add_argument("--batch-size", type=int, help="16 on seedling, 4 on tiny bases, 1 with --size if not given")
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--out", type=Path, help="write the figures here as well (.json)")
    args = parser.parse_args()
    if args.device == "cpu":
        torch.set_num_threads(1)
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, session in cases(args, Path(folder)):
            rows[name] = measure(session, args.repetitions)
            print(f"{name}: {rows[name]['ratio']['value']:.3f}", flush=True)
            if args.out:
                write_text(args.out, json.dumps({**versions(), "rows": rows}, indent=1) + "\n")
    print(tables(rows))


if __name__ == "__main__":
    main()

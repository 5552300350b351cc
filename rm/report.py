"""The report of a training run: how the pairs were split, the held-out figures, the learning curve."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from rewardkit.data import PreferenceRecord, shared_images
from rewardkit.io.jsonl import read_objects
from rewardkit.training.run import Run
from rm.best_epoch import BestEpoch
from rm.evaluation.accuracy import TIE_RULES
from rm.validation import Validation


def report_split(train: Sequence[PreferenceRecord], validation: Sequence[PreferenceRecord]) -> None:
    """Print how the pairs were split, and the images that are on both sides."""
    groups = [len({record.group for record in side}) for side in (train, validation)]
    print(
        f"{len(train)} pairs of {groups[0]} groups to train on, {len(validation)} pairs of {groups[1]} groups held out"
    )
    leaks = shared_images(train, validation)
    if leaks:
        print(f"warning: {leaks} images are on both sides; give pairs that share an image the same group")


def report(validation: Mapping[str, Validation], best: BestEpoch, run: Run, out: Path, seconds: float) -> None:
    """Print and write the held-out figures."""
    summary: dict[str, object] = {"seconds": round(seconds, 1), "tie_rule": "ties-excluded", "axes": {}}
    figures = {}
    for axis, one in validation.items():
        found = one.accuracy
        figures[axis] = {
            "accuracy": found.value,
            "low": found.low,
            "high": found.high,
            "n": found.n,
            "loss": one.loss,
            "epoch": best.epoch_of(axis) + 1,
        }
        print(f"{axis}: held-out accuracy {found.value:.3f} [{found.low:.3f}, {found.high:.3f}], n = {found.n}")
    print(f"({TIE_RULES['ties-excluded']}; these pairs also chose the epoch: for new ones use rewardkit eval-rm)")
    run.write("summary.json", summary | {"axes": figures})
    print(f"reward model in {out / 'rm'} after {seconds:.0f} s")


def curve(metrics: Path, picture: Path) -> None:
    """Plot held-out accuracy by epoch, one line per axis."""
    rows = list(read_objects(metrics))
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for name in (key for key in rows[-1] if key.startswith("accuracy/")):
        axes.plot([row["epoch"] for row in rows], [row[name] for row in rows], label=name.partition("/")[2])
    axes.set(xlabel="epoch", ylabel="held-out pairwise accuracy")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(picture, dpi=120)

"""`rewardkit calibrate`: raw scores to a 1-5 scale and to calibrated probabilities."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rewardkit.errors import UserError
from rewardkit.io.files import write_json
from rewardkit.rewards.calibration import FILE, FORMAT, MARK, Scale
from rewardkit.rewards.registry import load_reward
from rewardkit.stats import Estimate
from rewardkit.training.device import pick_device
from rm.calibration.config import CalibrateConfig
from rm.calibration.fit import AxisCalibration, fit
from rm.calibration.measure import HIGHEST, LOWEST, calibration_error, debiased_error, to_scale
from rm.calibration.rated import Rated, read_rated, score_rated


def calibrate(config: CalibrateConfig) -> None:
    """Fit a reward's scores to people's ratings of the same images."""
    out = where(config)
    if config.scores:
        rated = merged([read_rated(path) for path in config.scores])
    else:
        device = str(pick_device(config.device))
        reward = load_reward(config.model, device, config.dtype)
        rated = score_rated(reward, config.data, device, config.batch_size, config.max_bad)
    on_scale = {axis: [moved(one, config.low, config.high) for one in some] for axis, some in rated.items()}
    found = {axis: fit(some, config.held_out, config.bins, axis) for axis, some in on_scale.items()}
    for axis, one in found.items():
        print(words(axis, one))
    axes = {axis: as_json(one) for axis, one in found.items()}
    write_json(out, {MARK: FORMAT, "model": config.model, "axes": axes})
    picture(out.with_suffix(".png"), on_scale, found)
    print(f"calibration in {out}")


def where(config: CalibrateConfig) -> Path:
    """Check that there is something to fit, and find where to write it."""
    if not config.scores and not (config.model and config.data):
        raise UserError("nothing to calibrate; give --model with --data, or --scores")
    if config.high <= config.low:
        raise UserError(f"the rating scale needs --low below --high; got {config.low:g} and {config.high:g}")
    if config.out is None and not (config.model and Path(config.model).is_dir()):
        raise UserError("give --out FILE.json; only a reward model's folder has a default")
    return config.out or Path(config.model) / FILE


def merged(parts: Sequence[Mapping[str, list[Rated]]]) -> dict[str, list[Rated]]:
    axes = dict.fromkeys(axis for part in parts for axis in part)
    return {axis: [one for part in parts for one in part.get(axis, [])] for axis in axes}


def moved(one: Rated, low: float, high: float) -> Rated:
    """Map ratings to the 1-5 scale; raise `UserError` naming the prompt of a rating outside their own scale."""
    try:
        return Rated(one.prompt, one.scores, to_scale(one.ratings, low, high))
    except ValueError as error:
        raise UserError(f"prompt {one.prompt!r}: {error}; set the scale with --low and --high") from None


def words(axis: str, one: AxisCalibration) -> str:
    """Describe the quality of an axis's calibration."""
    low, high = one.scale.ratings[0], one.scale.ratings[-1]
    return (
        f"{axis}: {one.images} images of {one.prompts} prompts; scores span {low:.2f} to {high:.2f} of "
        f"{LOWEST:g}-{HIGHEST:g}; on {one.error.n} held-out prompts the error is {figure(one.error)} points "
        f"({figure(one.error_of_mean)} for the mean rating)\n"
        f"{axis}: temperature {one.temperature:.4g}; log loss falls by {figure(one.gain)} per pair; calibration error "
        f"{calibration_error(one.before):.3f} -> {calibration_error(one.after):.3f}, debiased "
        f"{debiased_error(one.before):.3f} -> {debiased_error(one.after):.3f} "
        f"({len(one.after)} equal bins, n = {sum(part.n for part in one.after)} pairs)"
    )


def figure(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def as_json(one: AxisCalibration) -> dict[str, Any]:
    errors = {
        side: {"expected": calibration_error(bins), "debiased": debiased_error(bins)}
        for side, bins in (("before", one.before), ("after", one.after))
    }
    return {**asdict(one.scale), **{k: v for k, v in asdict(one).items() if k != "scale"}, "calibration_error": errors}


def picture(path: Path, rated: Mapping[str, Sequence[Rated]], found: Mapping[str, AxisCalibration]) -> None:
    """Plot two panels per axis: ratings over scores with the map, and a reliability diagram."""
    shown = Figure(figsize=(8, 3.6 * len(found)), layout="constrained")
    panels = shown.subplots(len(found), 2, squeeze=False)
    for (axis, one), (left, right) in zip(found.items(), panels, strict=True):
        draw_scale(left, axis, rated[axis], one.scale)
        draw_reliability(right, one)
    path.parent.mkdir(parents=True, exist_ok=True)
    shown.savefig(path, dpi=120)


def draw_scale(panel: Axes, axis: str, rated: Sequence[Rated], scale: Scale) -> None:
    scores, ratings = ([value for one in rated for value in getattr(one, name)] for name in ("scores", "ratings"))
    panel.scatter(scores, ratings, s=4, alpha=0.3, color="#8a8f98")
    panel.plot(scale.scores, scale.ratings, color="#0f766e")
    panel.set(title=axis, xlabel="raw score", ylabel="rating, 1 to 5")


def draw_reliability(panel: Axes, one: AxisCalibration) -> None:
    panel.plot([0.5, 1], [0.5, 1], color="#a8a49a", linestyle=":")
    for bins, name, colour in ((one.before, "raw", "#b45309"), (one.after, "at the temperature", "#0f766e")):
        panel.plot([b.confidence for b in bins], [b.accuracy for b in bins], marker="o", color=colour, label=name)
    panel.set(xlabel="predicted P(preferred image is better)", ylabel="fraction of people's votes", ylim=(0, 1.02))
    panel.legend()

"""`rewardkit eval-rm`: the pairwise accuracy of one judge, or a leaderboard of many judges on many sets."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from rewardkit import __version__
from rewardkit.data import PreferenceRecord, Skipped, axes_of, read_records, read_rows
from rewardkit.errors import UserError
from rewardkit.io.files import write_json, write_text
from rewardkit.rewards.registry import load_reward
from rewardkit.stats import Estimate
from rewardkit.training.device import pick_device
from rm.evaluation.accuracy import TIE_RULES, accuracy, bayes_ceiling, measure
from rm.evaluation.comparison import Conventions, compare
from rm.evaluation.config import EvalRmConfig, TieRule
from rm.evaluation.conventions import CONVENTIONS, Convention, pickscore
from rm.evaluation.gather import Gathered, gather_rewards, gather_scores, source_names
from rm.evaluation.page import html
from rm.evaluation.profile import Profile
from rm.evaluation.rankings import pairs_of
from rm.evaluation.score_pairs import Judged, judge_pairs, labels_of
from rm.evaluation.text import Board, as_json, markdown, terminal


def evaluate(config: EvalRmConfig) -> None:
    """Measure how often a judge prefers the image that was preferred."""
    if not (config.model or config.models or config.scores):
        raise UserError("nothing to evaluate; give --model or --models with --data, or --scores")
    if (config.model or config.models) and not config.data:
        raise UserError("no pairs to evaluate on; give them with --data")
    if config.models or config.scores or (config.out and config.out.suffix != ".json"):
        rank(config)
    else:
        one(config)


def one(config: EvalRmConfig) -> None:
    """Evaluate one judge and print one line per axis."""
    reward = load_reward(str(config.model), config.device, config.dtype)
    records = [record for path in config.data for record in read(path, config.axes, config.columns)]
    scores = {axis: name for name, axis in reward.axes.items()}
    axes = measured_axes(config.axes, tuple(scores), records)
    ceilings = read_ceilings(config.gold, records, axes, config.temperature) if config.gold else {}
    skipped = Skipped()
    judged = judge_pairs(
        reward, records, skipped, Profile(device=str(pick_device(config.device))), config.batch_size, "eval-rm"
    )
    skipped.enforce(config.max_bad)
    if skipped.count:
        print(skipped.summary())
    figures: dict[str, dict[str, Any]] = {}
    for axis in axes:
        figures[axis] = asdict(figure(judged, scores[axis], axis, config)) | ceilings.get(axis, {})
        print(line(axis, figures[axis]))
    print(f"tie rule: {config.ties} ({TIE_RULES[config.ties]})")
    if config.out:
        result = {"model": str(config.model), "data": [str(p) for p in config.data], "tie_rule": config.ties}
        write_json(config.out, result | {"axes": figures})


def figure(judged: Judged, score: str, axis: str, config: EvalRmConfig) -> Estimate:
    """The accuracy of one score on one axis; conventions that average over prompts resample these."""
    if conventions(config)[config.ties].average == "pairs" and config.ties != "pickscore":
        return accuracy(*judged.scores[score], labels_of(judged.records, axis), config.ties)
    pairs = pairs_of(judged.rankings(score, axis, ""))
    found = measure(pairs, conventions(config)[config.ties], generator(config), config.draws)
    return Estimate(found.value, found.low, found.high, found.n)


def rank(config: EvalRmConfig) -> None:
    """Compare judges on sets, print the tables, and write them to `out` if given."""
    gathered = Gathered()
    specs = [*([str(config.model)] if config.model else []), *config.models]
    if specs:
        named = zip(source_names(config.data), config.data, strict=True)
        sets = {name: read(path, config.axes, config.columns) for name, path in named}
        device = str(pick_device(config.device))
        gather_rewards(gathered, specs, sets, config.axes, config.batch_size, device, config.dtype)
        gathered.skipped.enforce(config.max_bad)
    if config.scores:
        gather_scores(gathered, config.scores, config.axes)
    if not gathered.judges:
        raise UserError(f"no judge and set share an axis{': ' if config.axes else ''}{', '.join(config.axes)}")
    rules, chance = conventions(config), generator(config)
    comparisons = [
        compare(source, axis, judges, rules, chance, config.draws) for (source, axis), judges in gathered.judges.items()
    ]
    board = Board(config.title, comparisons, rules, gathered.profiles, gathered.skipped.summary())
    print(terminal(board))
    if config.out:
        write(board, config.out)


def write(board: Board, out: Path) -> None:
    """Write only the JSON, or page, Markdown and JSON into a folder."""
    if out.suffix == ".json":
        write_json(out, as_json(board))
        return
    write_json(out / "judges.json", as_json(board))
    write_text(out / "judges.md", markdown(board))
    write_text(out / "judges.html", html(board, __version__))
    print(f"page in {out / 'judges.html'}")


def conventions(config: EvalRmConfig) -> Conventions:
    """Return all conventions, the chosen one first, with the threshold set."""
    judge = functools.partial(pickscore, threshold=config.threshold)
    tuned: dict[TieRule, Convention] = CONVENTIONS | {"pickscore": replace(CONVENTIONS["pickscore"], judge=judge)}
    return {config.ties: tuned[config.ties]} | tuned


def generator(config: EvalRmConfig) -> torch.Generator:
    return torch.Generator().manual_seed(config.seed)


def read(path: Path, axes: Sequence[str], columns: Sequence[str]) -> list[PreferenceRecord]:
    return read_records(path, axes[0] if len(axes) == 1 else None, columns)


def line(axis: str, figure: dict[str, Any]) -> str:
    """Format one figure as a line."""
    text = f"{axis}: {figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}], n = {figure['n']}"
    if "ceiling" in figure:
        text += f"; ceiling {figure['ceiling']:.3f}, {figure['value'] / figure['ceiling']:.3f} of it"
    return text


def measured_axes(wanted: Sequence[str], scored: Sequence[str], records: Sequence[PreferenceRecord]) -> tuple[str, ...]:
    """The axes that judge and pairs share; raise `UserError` for a requested axis that one lacks, or for none."""
    judged = axes_of(records)
    for axis in wanted:
        if axis not in scored or axis not in judged:
            raise UserError(f"axis {axis!r}: the model has {', '.join(scored)}; the pairs judge {', '.join(judged)}")
    axes = tuple(wanted) or tuple(axis for axis in scored if axis in judged)
    if not axes:
        raise UserError(f"no axis in common: model has {', '.join(scored)}; pairs, {', '.join(judged)}")
    return axes


def read_ceilings(
    path: Path, records: Sequence[PreferenceRecord], axes: Sequence[str], temperature: Mapping[str, float]
) -> dict[str, dict[str, float]]:
    """Compute the Bayes ceiling of every axis over the pairs without ties, from the gold scores of the pairs."""
    rows = list(read_rows(path))
    if len(rows) != len(records):
        raise UserError(
            f"{path} has {len(rows)} rows for {len(records)} pairs; it needs one per pair, in the same order"
        )
    ceilings = {}
    for axis in axes:
        chosen = [row for row, record in zip(rows, records, strict=True) if record.label.get(axis, 0.5) != 0.5]
        if axis not in temperature:
            raise UserError(f"--gold needs the temperature of {axis}, like: --temperature {axis} 0.1")
        if any(axis not in row for row in chosen):
            raise UserError(f"{path} has no gold scores of {axis}; a row has AXIS: [first, second]")
        if chosen:
            first, second = torch.tensor([row[axis] for row in chosen], dtype=torch.float64).unbind(1)
            ceilings[axis] = {"ceiling": bayes_ceiling(first, second, temperature[axis])}
    return ceilings

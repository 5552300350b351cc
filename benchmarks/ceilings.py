"""How close do reward heads come to the Bayes ceiling on posters? A table by axis and by language of the prompt.

    P="--kind pairs --base seedling --base-share 0.1 --text-share 0.9 --languages en zh ko"
    rewardkit posters $P --count 20000 --seed 100 --out runs/big/pairs
    rewardkit posters $P --count 6000 --seed 101 --exclude runs/big/pairs/pairs.jsonl --out runs/big/held
    rewardkit train-rm --data runs/big/pairs/pairs.jsonl --members text 3 --epochs 8 --held-out 0.05 --out runs/big/rm
    python benchmarks/ceilings.py --rm runs/big/rm/rm --pairs runs/big/held

The table has two accuracies: against the sampled labels, and their expectation under the known probabilities of the
labels, which exist only in this synthetic world and have less variance.
"""

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from rewardkit.data import PreferenceRecord, Skipped, read_pairs
from rewardkit.io.jsonl import read_objects
from rewardkit.posters.names import TEMPERATURE
from rewardkit.stats import ratio_interval
from rm import RewardModel
from rm.evaluation.profile import Profile
from rm.evaluation.score_pairs import judge_pairs

SCRIPTS = {"ko": "[가-힣]", "zh": "[一-鿿]"}
LANGUAGES = ("all", "en", "zh", "ko")


def language(prompt: str) -> str:
    """The language of a caption, by its script."""
    return next((name for name, letters in SCRIPTS.items() if re.search(letters, prompt)), "en")


def figures(
    records: Sequence[PreferenceRecord], gold: Sequence[Mapping[str, Any]], scores: tuple[Tensor, Tensor], axis: str
) -> dict[str, dict[str, float | int]]:
    """Accuracy over the pairs without a tie, by language: against sampled labels, and in expectation."""
    label = torch.tensor([record.label.get(axis, 0.5) for record in records], dtype=torch.float64)
    first, second = torch.tensor([row[axis] for row in gold], dtype=torch.float64).unbind(1)
    odds = ((first - second) / TEMPERATURE[axis]).sigmoid()
    chosen = (scores[0] > scores[1]).double()
    right = {
        "drawn": (chosen == (label > 0.5).double()).double(),
        "odds": torch.where(chosen > 0.5, odds, 1 - odds),
    }
    best = torch.maximum(odds, 1 - odds)
    languages = [language(record.prompt) for record in records]
    rows: dict[str, dict[str, float | int]] = {}
    for name in LANGUAGES:
        kept = (label != 0.5) & torch.tensor([name in ("all", one) for one in languages])
        row: dict[str, float | int] = {"n": int(kept.sum()), "ceiling": best[kept].mean().item()}
        for way, hits in right.items():
            share = ratio_interval(hits[kept].tolist(), best[kept].tolist(), Generator().manual_seed(0))
            row |= {way: hits[kept].mean().item(), f"{way}_share": share.value}
            row |= {f"{way}_low": share.low, f"{way}_high": share.high}
        rows[name] = row
    return rows


def shown(row: Mapping[str, float | int], way: str) -> str:
    return f"{row[way]:.3f} | {row[f'{way}_share']:.3f} [{row[f'{way}_low']:.3f}, {row[f'{way}_high']:.3f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rm", type=Path, required=True, help="folder of the trained reward model")
    parser.add_argument("--pairs", type=Path, required=True, help="folder of `rewardkit posters --kind pairs`")
    parser.add_argument("--out", type=Path, help="also write the figures here, as JSON")
    args = parser.parse_args()
    records = list(read_pairs(args.pairs / "pairs.jsonl"))
    gold = list(read_objects(args.pairs / "gold.jsonl"))
    model = RewardModel.load(args.rm)
    judged = judge_pairs(model, records, Skipped(), Profile(), 64, "scoring")
    found = {axis: figures(records, gold, judged.scores[f"{model.name}.{axis}"], axis) for axis in model.axes}
    print("| axis | prompts | ceiling | accuracy | of the ceiling | expected accuracy | of the ceiling | n |")
    print("|---|---|---|---|---|---|---|---|")
    for axis, rows in found.items():
        for name, row in rows.items():
            cells = (axis, name, f"{row['ceiling']:.3f}", shown(row, "drawn"), shown(row, "odds"), str(row["n"]))
            print(f"| {' | '.join(cells)} |")
    if args.out:
        args.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

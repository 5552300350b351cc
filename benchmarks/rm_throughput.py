"""Image files to scores: `rewardkit score`'s loop against other projects' own calls, on the same random weights.

Every peer has its own environment (`--peer NAME=PYTHON`) and its own process, which times itself. Both sides score the
same files with the same weights, and the scores are compared. With one prompt for all images a peer gets all files in
one call; with one prompt per image it is called once per image, because its call takes one prompt.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.rm_pictures import BACKBONES, WORDS, prompt, write_json
from benchmarks.timing import Row, speed_up, wall_seconds
from rewardkit.data.image_folder import Item
from rewardkit.rewards.published.blip import BERT, VitSize
from rewardkit.rewards.published.hpsv2 import HpsV2
from rewardkit.rewards.published.imagereward import ImageReward, load_vocabulary
from rewardkit.rewards.published.scorer import Scorer
from rewardkit.rewards.scoring import score_items

BLIPS = {
    "light": (
        VitSize(width=128, depth=2, heads=2),
        BERT | {"num_hidden_layers": 1, "intermediate_size": 768},
    ),
    "small": (VitSize(width=256, depth=6, heads=4), BERT | {"num_hidden_layers": 2}),
    "ViT-B/32": (VitSize(width=768, depth=12, heads=12), BERT),
}
"""ImageReward's two towers, whose head needs a BERT of width 768; patches have 16 pixels in all."""

TRIALS = {"hpsv2": "HPSv2", "imscore": "HPSv2", "imscore, stacked by hand": "HPSv2", "ImageReward": "ImageReward"}
"""Peer -> the scorer that both sides run."""


@dataclass
class Peer:
    """A worker that scores on demand."""

    process: Any

    def __call__(self, files: Sequence[Path], prompts: Sequence[str]) -> tuple[float, list[float]]:
        """Wall-clock seconds, and scores."""
        job = {"files": [str(file) for file in files], "prompts": list(prompts)}
        print(json.dumps(job), file=self.process.stdin, flush=True)
        answer = json.loads(self.process.stdout.readline())
        return answer["seconds"], answer["scores"]


@contextmanager
def peer(name: str, python: str, setup: Path) -> Iterator[Peer]:
    """Start a peer's worker and wait until its model is loaded."""
    worker = Path(__file__).with_name("peer_worker.py")
    alone = {**os.environ, "PYTHONWARNINGS": "ignore", "PYTHONPATH": ""}
    with subprocess.Popen(
        [python, str(worker), name, str(setup)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=alone
    ) as process:
        if process.stdout is None or process.stdout.readline().strip() != "ready":
            raise RuntimeError(f"{name} did not start under {python}; its message is above")
        yield Peer(process)
        process.terminate()


def build(scorer: str, size: str, folder: Path) -> tuple[Scorer, Path]:
    """Build our scorer with random weights, and the setup file from which a peer builds the same."""
    torch.manual_seed(0)
    weights = folder / f"{scorer}.pt"
    if scorer == "HPSv2":
        ours: Scorer = HpsV2(BACKBONES[size])
        state = {name.removeprefix("clip."): value for name, value in ours.state_dict().items()}
        setup: dict[str, Any] = {"backbone": BACKBONES[size]}
    else:
        vit, bert = BLIPS[size]
        words = folder / "vocab.txt"
        known = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted({*WORDS, *["a", "photo", "of", "number", ","]})]
        known += [*"0123456789", *(f"##{digit}" for digit in range(10))]
        words.write_text("\n".join(known), encoding="utf-8")
        ours = ImageReward(load_vocabulary(words), vit, bert)
        state = ours.state_dict()
        settings = {"encoder_width": vit.width, "add_cross_attention": True, "hidden_act": "gelu", "pad_token_id": 0}
        med = write_json({**bert, **settings, "type_vocab_size": 2}, folder / "bert.json")
        setup = {"vit": asdict(vit), "words": str(words), "bert": str(med)}
    torch.save({"state_dict": state}, weights)
    return ours, write_json({**setup, "weights": str(weights)}, folder / f"{scorer}.json")


def throughput(
    name: str, python: str, size: str, files: Sequence[Path], *, repetitions: int, shared: bool
) -> tuple[Row, float]:
    """Compare with one peer; `shared`: one prompt for all files. Return the row and the largest score difference."""
    prompts = [prompt(0 if shared else index) for index in range(len(files))]
    items = [Item(file, text) for file, text in zip(files, prompts, strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        ours, setup = build(TRIALS[name], size, Path(folder))
        with peer(name, python, setup) as theirs:
            rows = score_items(items, [ours])
            expected = theirs(files, prompts)[1]
            gaps = [abs(row.scores[ours.name] - value) for row, value in zip(rows, expected, strict=True)]
            times: tuple[list[float], list[float]] = ([], [])
            for turn in range(repetitions):
                for side in (0, 1) if turn % 2 == 0 else (1, 0):
                    spent = theirs(files, prompts)[0] if side else wall_seconds(lambda: score_items(items, [ours]))
                    times[side].append(spent)
    asked = "one prompt" if shared else "one prompt per image"
    row = speed_up(f"{TRIALS[name]}, {size}, {asked}: against {name}", *times, 2.0, f"{len(files)} files")
    return row, max(gaps)

"""Cost of three reward heads against one: images to scores, including the encoder."""

from functools import partial
from statistics import median

import torch

from benchmarks.rm_pictures import prompt
from benchmarks.timing import Goal, Row, in_turns, ratio
from rewardkit.encoders import Encoder
from rm import RewardModel

AXES = ("alignment", "aesthetic", "text")


@torch.no_grad()
def heads(name: str, encoder: Encoder, *, count: int, repetitions: int) -> list[Row]:
    """Time three heads against each of them alone, on one encoder and one batch."""
    images = torch.rand(count, 3, *encoder.preprocess.size, generator=torch.Generator().manual_seed(0))
    prompts = [f'{prompt(index)}, with the text "SALE {index}"' for index in range(count)]
    three = RewardModel(encoder, AXES).eval()
    rows = []
    for axis in AXES:
        one = RewardModel(encoder, (axis,)).eval()
        times = in_turns(partial(three.scores, images, prompts), partial(one.scores, images, prompts), repetitions)
        found = ratio(*times)
        what = f"{name}: three heads, against {axis} alone"
        rows.append(Row(what, median(times[0]), median(times[1]), found, Goal("at most", 1.15), f"{count} images"))
    return rows

"""How often does a CLIP choose the right one of two captions that differ in one attribute or letter of a poster?

`python -m benchmarks.clip_pairs` prints the table of docs/seedling.md, for seedling's CLIP or any other `--encoder`.
"""

import argparse

import torch
from torch import Generator

from rewardkit.encoders import load_encoder
from rewardkit.images import to_tensor
from rewardkit.posters.captions import long_caption
from rewardkit.posters.draw import draw
from rewardkit.posters.scene import CHOICES, Scene
from rewardkit.stats import proportion_interval
from rewardkit.workflows.seedling.data import Noise, changed, disturb, training_scene

NAMES = (*CHOICES, "text")


def pairs(count: int, generator: Generator) -> list[tuple[Scene, Scene, str]]:
    """Pairs of scenes that differ in a single attribute, and its name."""
    found: list[tuple[Scene, Scene, str]] = []
    while len(found) < count:
        scene = training_scene(generator, Noise())
        other = changed(scene, generator)
        differ = [name for name in NAMES if getattr(scene, name) != getattr(other, name)]
        found += [(scene, other, name) for name in differ[:1]]
    return found


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", default="seedling")
    parser.add_argument("--count", type=int, default=2000)
    options = parser.parse_args()
    encoder, generator = load_encoder(options.encoder), Generator().manual_seed(7)
    right: dict[str, list[bool]] = {name: [] for name in NAMES}
    drawn = pairs(options.count, generator)
    for start in range(0, len(drawn), 100):
        part = drawn[start : start + 100]
        images = disturb(torch.stack([to_tensor(draw(scene, 64)) for scene, _, _ in part]), generator)
        captions = [
            [long_caption(scene, "en", generator) for scene in side] for side in list(zip(*part, strict=True))[:2]
        ]
        own, other = map(encoder.text, captions)
        seen = encoder.image(images).pooled
        chosen = (seen * (own - other)).sum(1) > 0
        for (_, _, name), one in zip(part, chosen.tolist(), strict=True):
            right[name].append(one)
    print("| differs in | right caption chosen | n |\n|---|---|---|")
    for name, each in right.items():
        found = proportion_interval(sum(each), len(each))
        print(f"| {name} | {found.value:.3f} [{found.low:.3f}, {found.high:.3f}] | {found.n} |")


if __name__ == "__main__":
    main()

"""Validate the gold judges of the posters world: renderings scored with their own and with shuffled captions.

Run `python benchmarks/gold_judges.py` for the tables of docs/posters.md (seed 0).
"""

import argparse
import time

import torch
from torch import Tensor
from torch.nn import functional

from rewardkit.images import to_tensor
from rewardkit.ocr import Engine
from rewardkit.posters.captions import long_caption
from rewardkit.posters.draw import draw
from rewardkit.posters.fonts import cjk_font
from rewardkit.posters.judge import PostersAesthetic, PostersAlignment, PostersText
from rewardkit.posters.scene import WORDS, WORDS_ZH, Scene, random_scene
from rewardkit.rewards.protocol import Reward
from rewardkit.stats import Estimate, mean_interval


def blurred(images: Tensor, sigma: float) -> Tensor:
    """Blur by a Gaussian of `sigma` pixels."""
    offsets = torch.arange(-4.0, 5.0)
    kernel = torch.softmax(-offsets.square() / (2 * sigma**2), 0)
    soft = functional.pad(images.flatten(0, 1)[:, None], (4, 4, 4, 4), mode="replicate")
    soft = functional.conv2d(functional.conv2d(soft, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))
    return soft.view(images.shape)


def row(name: str, judge: Reward, images: Tensor, captions: list[str]) -> str:
    """One line of a table: mean and 95 % interval on true and on shuffled captions, and the time per image."""
    began = time.process_time()
    true = mean_interval(judge.score(images, captions).tolist())
    seconds = time.process_time() - began
    shuffled = mean_interval(judge.score(images, captions[1:] + captions[:1]).tolist())
    return f"| {name} | {shown(true)} | {shown(shuffled)} | {true.n} | {1000 * seconds / true.n:.1f} |"


def shown(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def scenes(count: int, words: tuple[str, ...], text_share: float) -> list[Scene]:
    generator = torch.Generator().manual_seed(0)
    return [random_scene(generator, text_share=text_share, words=words) for _ in range(count)]


def table(judge: Reward, posters: list[Scene], language: str) -> None:
    generator = torch.Generator().manual_seed(1)
    captions = [long_caption(scene, language, generator) for scene in posters]
    clean = torch.stack([to_tensor(draw(scene)) for scene in posters])
    soft = blurred(clean, 1.0)
    noisy = (soft + 0.04 * torch.randn(soft.shape, generator=generator)).clamp(0, 1)
    for state, images in (("clean", clean), ("blur 1 px", soft), ("blur 1 px, noise 0.04", noisy)):
        print(row(f"{judge.name}, {language}, {state}", judge, images, captions), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=512, help="posters for alignment and aesthetic")
    parser.add_argument("--texts", type=int, default=128, help="posters for text, in each language")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(
        "| judge, captions, images | own captions | shuffled captions | n | CPU ms per image |\n|---|---|---|---|---|"
    )
    for language in ("en", "zh", "ko"):
        table(PostersAlignment(), scenes(args.count, WORDS, 0.75), language)
    table(PostersAesthetic(), scenes(args.count, WORDS, 0.75), "en")
    judge = PostersText(Engine(threads=1))
    table(judge, scenes(args.texts, WORDS, 1.0), "en")
    if cjk_font():
        table(judge, scenes(args.texts, WORDS_ZH, 1.0), "zh")


if __name__ == "__main__":
    main()

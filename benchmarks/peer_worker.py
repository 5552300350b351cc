"""Score image files with another project's public API, in that project's environment; times are returned as JSON lines.

Run by `rm_throughput` under the peer's Python, which has no rewardkit: `peer_worker.py PEER setup.json`. Weights are
the ones we score with, read from a file; if a peer builds one fixed size of model, its constructor is replaced by the
size in setup.json, but not its loading, preprocessing or scoring.
"""

import functools
import itertools
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image

Score = Callable[[list[str], list[str]], list[float]]
"""Files and their prompts to scores."""


def hpsv2(setup: dict[str, Any]) -> Score:
    """`hpsv2.score` with its list of files, one call per prompt."""
    from hpsv2 import img_score
    from hpsv2.src.open_clip import factory

    factory._MODEL_CONFIGS["ViT-H-14"] = setup["backbone"]
    build = img_score.create_model_and_transforms
    img_score.create_model_and_transforms = lambda name, tag, **options: build(name, None, **options)

    def score(files: list[str], prompts: list[str]) -> list[float]:
        found: list[float] = []
        for prompt, group in itertools.groupby(zip(files, prompts), key=lambda pair: pair[1]):  # noqa: B905
            found += map(float, img_score.score([file for file, _ in group], prompt, cp=setup["weights"]))
        return found

    return score


def imscore(setup: dict[str, Any], batch: int) -> Score:
    """imscore's HPSv2 as in its README, or with stacked images, which it leaves to the caller."""
    import open_clip
    from imscore.hps import model as hps

    hps.create_model_and_transforms = lambda *_, **__: (
        open_clip.CLIP(**setup["backbone"], output_dict=True),
        None,
        None,
    )
    scorer = hps.HPSv2().eval()
    scorer.model.load_state_dict(torch.load(setup["weights"], weights_only=True)["state_dict"])

    @torch.no_grad()
    def score(files: list[str], prompts: list[str]) -> list[float]:
        found: list[float] = []
        for start in range(0, len(files), batch):
            pictures = [torch.tensor(np.array(Image.open(file))) for file in files[start : start + batch]]
            pixels = torch.stack(pictures).permute(0, 3, 1, 2) / 255.0
            found += scorer.score(pixels, prompts[start : start + batch]).tolist()
        return found

    return score


def imagereward(setup: dict[str, Any]) -> Score:
    """`ImageReward.score` with its list of files, one call per prompt."""
    from ImageReward.ImageReward import ImageReward
    from ImageReward.models.BLIP import blip_pretrain
    from ImageReward.models.BLIP.vit import VisionTransformer
    from transformers import BertTokenizer

    size = setup["vit"]
    blip_pretrain.create_vit = lambda *_, **__: (
        VisionTransformer(
            img_size=size["image_size"],
            patch_size=size["patch_size"],
            embed_dim=size["width"],
            depth=size["depth"],
            num_heads=size["heads"],
        ),
        size["width"],
    )
    tokenizer = BertTokenizer(setup["words"])
    tokenizer.add_special_tokens({"bos_token": "[DEC]"})
    blip_pretrain.init_tokenizer = lambda: tokenizer
    scorer = ImageReward(med_config=setup["bert"], device="cpu").eval()
    weights = torch.load(setup["weights"], weights_only=True)["state_dict"]
    missing = scorer.load_state_dict(weights, strict=False).missing_keys
    print("not in our weights:", [name for name in missing if "_proj" not in name], file=sys.stderr)

    @torch.no_grad()
    def score(files: list[str], prompts: list[str]) -> list[float]:
        found: list[float] = []
        for prompt, group in itertools.groupby(zip(files, prompts), key=lambda pair: pair[1]):  # noqa: B905
            mine = [file for file, _ in group]
            found += scorer.score(prompt, mine) if len(mine) > 1 else [scorer.score(prompt, mine[0])]
        return found

    return score


PEERS: dict[str, Callable[[dict[str, Any]], Score]] = {
    "hpsv2": hpsv2,
    "imscore": functools.partial(imscore, batch=1),
    "imscore, stacked by hand": functools.partial(imscore, batch=16),
    "ImageReward": imagereward,
}


def main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # peers print
    with open(sys.argv[2], encoding="utf-8") as file:
        score = PEERS[sys.argv[1]](json.load(file))
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        began = time.perf_counter()
        scores = score(job["files"], job["prompts"])
        spent = time.perf_counter() - began
        print(json.dumps({"seconds": spent, "scores": scores}), file=answers, flush=True)


if __name__ == "__main__":
    main()

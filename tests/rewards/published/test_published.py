"""Published example scores, where the weights are at hand; skipped with the reason elsewhere."""

import json
import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from rewardkit.images import to_tensor
from rewardkit.rewards.published.scorer import Scorer
from rewardkit.rewards.registry import load_reward

OCEAN = "a painting of an ocean with clouds and birds, day time, low depth field effect"
OCEAN_SCORES = (0.5811622738838196, 0.2745276093482971, -1.4131819009780884, -2.029569625854492)
"""ImageReward's own example: four pictures, best first, to within what the device rounds."""


def test_imagereward_gives_its_published_example_scores() -> None:
    weights, pictures = (
        os.environ.get("REWARDKIT_TEST_IMAGEREWARD"),
        os.environ.get("REWARDKIT_TEST_IMAGES"),
    )
    if not weights or not pictures:
        pytest.skip("set REWARDKIT_TEST_IMAGEREWARD (weights, vocab.txt) and REWARDKIT_TEST_IMAGES (1-4.webp)")
    scorer = load_reward(f"imagereward:{weights}")
    assert isinstance(scorer, Scorer)
    images = [Image.open(Path(pictures) / f"{number}.webp") for number in range(1, 5)]
    scores = scorer.score_pil(images, [OCEAN] * 4)
    assert scores.tolist() == pytest.approx(OCEAN_SCORES, abs=0.01)
    tensors = torch.cat([scorer.score(to_tensor(image)[None], [OCEAN]) for image in images])
    assert tensors.tolist() == pytest.approx(OCEAN_SCORES, abs=0.05)


def test_scores_you_trust_are_given_again() -> None:
    """REWARDKIT_TEST_SCORES: a JSON list of {"spec", "image", "prompt", "score", "tolerance"}."""
    table = os.environ.get("REWARDKIT_TEST_SCORES")
    if not table:
        pytest.skip("set REWARDKIT_TEST_SCORES to a file with scores of the published code")
    for row in json.loads(Path(table).read_text()):
        scorer = load_reward(row["spec"])
        assert isinstance(scorer, Scorer)
        score = scorer.score_pil([Image.open(row["image"])], [row["prompt"]]).item()
        assert score == pytest.approx(row["score"], abs=row["tolerance"])

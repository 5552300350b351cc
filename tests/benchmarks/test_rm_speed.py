"""The speed benchmarks of reward models run on tiny models, and their ratios are what they say."""

import json
import sys
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch

from benchmarks import rm_throughput
from benchmarks.rm_cached import cached
from benchmarks.rm_finetune import finetune
from benchmarks.rm_heads import AXES, heads
from benchmarks.rm_pictures import BACKBONES, pictures, prompt, random_pairs
from benchmarks.timing import Goal, in_turns, ratio, speed_up, write_results
from rewardkit.data import PreferenceRecord
from rewardkit.encoders import ClipEncoder
from rewardkit.images.preprocess import Preprocess
from rewardkit.rewards.published.blip import BERT, VitSize
from rewardkit.stats import Estimate

TINY: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 16, "layers": 1, "width": 32, "head_width": 16, "patch_size": 4},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


@pytest.fixture
def encoder() -> ClipEncoder:
    torch.manual_seed(0)
    return ClipEncoder(open_clip.CLIP(**TINY), open_clip.SimpleTokenizer(context_length=16), TINY, Preprocess((16, 16)))


def test_a_ratio_is_the_geometric_mean_of_the_turns() -> None:
    found = ratio([2.0, 8.0], [1.0, 1.0])
    assert found.value == pytest.approx(4.0)
    assert found.low * found.high == pytest.approx(16.0)
    assert found.n == 2


@pytest.mark.parametrize(
    ("low", "high", "least", "most"), [(2.1, 3.0, "yes", "no"), (1.0, 1.9, "no", "yes"), (1.0, 3.0, "open", "open")]
)
def test_a_goal_is_reached_by_the_whole_interval(low: float, high: float, least: str, most: str) -> None:
    found = Estimate(2.0, low, high, 5)
    assert (Goal("at least", 2).verdict(found), Goal("at most", 2).verdict(found)) == (least, most)


def test_turns_alternate_after_a_round_that_does_not_count(tmp_path: Path) -> None:
    said: list[str] = []
    times = in_turns(lambda: said.append("a"), lambda: said.append("b"), 3)
    assert "".join(said) == "ab" + "ab" + "ba" + "ab"
    assert [len(side) for side in times] == [3, 3]
    write_results([speed_up("x", [1.0, 1.0], [2.0, 3.0], 2)], tmp_path / "r.json", {})
    row = json.loads((tmp_path / "r.json").read_text())["rows"][0]
    assert (row["ours_s"], row["other_s"], row["n"], row["reached"]) == (1.0, 2.5, 2, "open")


def test_heads_are_compared_with_each_alone(encoder: ClipEncoder) -> None:
    assert [row.what.split()[-2] for row in heads("tiny", encoder, count=2, repetitions=2)] == list(AXES)


def test_cached_and_live_training_see_the_same_pairs(encoder: ClipEncoder, tmp_path: Path) -> None:
    records = [
        PreferenceRecord(one.prompt, one.first, one.second, dict.fromkeys(AXES, float(index % 2)))
        for index, one in enumerate(random_pairs(tmp_path, 8, "text", size=16))
    ]
    options = {"views": 1, "augment": "none", "batch_size": 2}
    rows, gaps = cached("tiny", encoder, records, tmp_path / "run", validation=4, epochs=2, **options)
    assert rows[0].ratio.n == 2
    assert {axis: (gap.value, gap.n) for axis, gap in gaps.items()} == dict.fromkeys(AXES, (0.0, 4))


def test_fine_tuning_runs_both_ways(tmp_path: Path) -> None:
    rows = finetune("tiny", TINY, random_pairs(tmp_path, 2, "alignment", 20), tmp_path / "run", batch=2, repetitions=2)
    assert [row.ratio.n for row in rows] == [2, 2]


@pytest.mark.parametrize("scorer", ["HPSv2", "ImageReward"])
def test_what_a_peer_gets_scores_as_ours(scorer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKBONES, "tiny", TINY)
    vit = VitSize(image_size=16, patch_size=8, width=32, depth=1, heads=2)
    bert = BERT | {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1, "vocab_size": 80}
    monkeypatch.setitem(rm_throughput.BLIPS, "tiny", (vit, bert))
    ours, setup = rm_throughput.build(scorer, "tiny", tmp_path)
    weights = torch.load(json.loads(setup.read_text())["weights"], weights_only=True)["state_dict"]
    again, _ = rm_throughput.build(scorer, "tiny", tmp_path)
    torch.nn.Module.load_state_dict(getattr(again, "clip", again), weights)
    image = torch.rand(1, 3, 20, 20)
    assert torch.equal(ours.score(image, [prompt(1)]), again.score(image, [prompt(1)]))


def test_a_peer_that_is_not_there_is_named(tmp_path: Path) -> None:
    files = pictures(tmp_path, 1, 16)
    with pytest.raises(RuntimeError, match="hpsv2 did not start"):
        rm_throughput.throughput("hpsv2", sys.executable, "small", files, repetitions=2, shared=True)

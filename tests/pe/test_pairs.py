"""Mining keeps the best and the worst rewrite by the panel, judged against the prompt as typed, on shared noise."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from pe.config import MineConfig
from pe.pairs import judge, mine, mine_with, propose
from pe.rewriter import Rewriter
from pe.select import Candidates, Scored, example, pair
from pe.shorten import load_shortener, plain
from rewardkit.errors import UserError
from rewardkit.io.jsonl import write_rows

PROMPTS = ["red circle", 'star "GO"', "dull"]


class LetterBase:
    """Draws the share of the letter e in a prompt as brightness, plus a little of the noise."""

    pipeline = None
    denoiser: nn.Module = nn.Identity()
    vae: nn.Module = nn.Identity()
    parts: ClassVar[dict[str, nn.Module]] = {}
    text_encoders: ClassVar[dict[str, nn.Module]] = {}
    image_size = 8
    distilled_guidance = False
    lora_targets: tuple[str, ...] = ()

    def encode(self, prompts: Sequence[str]) -> dict[str, Tensor]:
        return {"light": torch.tensor([prompt.count("e") / max(len(prompt), 1) for prompt in prompts])}

    def text_shapes(self, tokens: int) -> dict[str, tuple[int, ...]]:
        return {"light": ()}

    def velocity(self, latents: Tensor, sigma: Tensor, conditioning: dict[str, Tensor]) -> Tensor:
        noise = (latents - (1 - sigma).view(-1, 1, 1, 1) * conditioning["light"].view(-1, 1, 1, 1)) / sigma.view(
            -1, 1, 1, 1
        )
        return noise - conditioning["light"].view(-1, 1, 1, 1) - 0.01 * noise

    def decode(self, latents: Tensor) -> Tensor:
        return latents.clamp(0, 1)

    def noise(self, count: int, generator: torch.Generator, size: int | None = None) -> Tensor:
        return torch.rand(count, 3, 8, 8, generator=generator)

    def sigmas(self, steps: int, size: int | None = None) -> Tensor:
        return torch.tensor([1.0, 0.0])


class Brightness:
    """Likes light images and notes the prompts it was asked about."""

    name, axis, differentiable = "brightness", "aesthetic", True

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def score(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        self.asked |= set(prompts)
        return images.mean((1, 2, 3))


@pytest.fixture
def config(tmp_path: Path) -> MineConfig:
    rewrites = {
        "red circle": ["red", "eeee circle", "a dot"],
        'star "GO"': ['eee "GO"', 'no e "NO"', "bright star"],
        "dull": ["dull", "dull"],
    }
    path = tmp_path / "candidates.jsonl"
    write_rows(path, [{"prompt": p, "rewrite": text} for p, texts in rewrites.items() for text in texts])
    (tmp_path / "prompts.txt").write_text("\n".join(PROMPTS))
    return MineConfig(
        tmp_path / "prompts.txt",
        ("x",),
        tmp_path / "out",
        rewriter="none",
        candidates_file=path,
        margin=0.1,
        device="cpu",
    )


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_best_and_worst_are_kept(config: MineConfig, capsys: pytest.CaptureFixture[str]) -> None:
    reward = Brightness()
    mine_with(config, PROMPTS, None, LetterBase(), [reward])
    found = rows(config.out / "pairs.jsonl")
    assert [(row["prompt"], row["chosen"], row["rejected"]) for row in found] == [
        ("red circle", "eeee circle", "a dot"),
        ('star "GO"', 'eee "GO"', 'bright star, with the text "GO".'),
    ]
    assert all(row["chosen_score"] > row["rejected_score"] for row in found)
    assert all(Path(image).is_file() for row in found for image in row["images"])
    assert [row["completion"] for row in rows(config.out / "sft.jsonl")] == ["eeee circle", 'eee "GO"']
    assert reward.asked == set(PROMPTS)  # never the rewrites
    report = json.loads((config.out / "mining.json").read_text())
    assert (report["prompts"], report["pairs"]) == (3, 2)
    assert report["without_pair"] == {"no rewrite that differs from the prompt": 1}
    assert "no pair from 1 prompts" in capsys.readouterr().out
    assert (config.out / "pairs.png").is_file()


def test_all_wordings_of_a_prompt_share_their_noise(config: MineConfig) -> None:
    class Same(LetterBase):
        def encode(self, prompts: Sequence[str]) -> dict[str, Tensor]:
            return {"light": torch.full((len(prompts),), 0.2)}

        def velocity(self, latents: Tensor, sigma: Tensor, conditioning: dict[str, Tensor]) -> Tensor:
            return torch.zeros_like(latents)

    groups = judge(config, Same(), [Brightness()], [["a", "b", "c"], ["d"], ["e", "f"]])
    scores = [{round(each.score, 6) for each in (group.original, *group.rewrites)} for group in groups]
    assert [len(values) for values in scores] == [1, 1, 1]
    assert len(set.union(*scores)) == 3  # and other prompts have other noise


def test_several_noises_are_averaged(config: MineConfig) -> None:
    one, other, both = (
        judge(settings, LetterBase(), [Brightness()], [["a", "be"], ["c", "d"]])
        for settings in (config, replace(config, seed=config.seed + 1), replace(config, noises=2))
    )
    order = [group.best.text for group in both]
    assert order[0] == "be"
    assert {each.original.score for each in one} != {each.original.score for each in other}


def test_wordings_start_with_the_prompt_and_differ(config: MineConfig, rewriter: Rewriter) -> None:
    wordings = propose(replace(config, candidates=2), PROMPTS, rewriter)
    assert [texts[0] for texts in wordings] == PROMPTS
    assert all(len(set(texts)) == len(texts) for texts in wordings)
    assert "eeee circle" in wordings[0]


def test_why_a_prompt_gives_no_row() -> None:
    def group(original: float, *scores: float) -> Candidates:
        return Candidates(Scored("u", original, Path("u")), [Scored(f"r{s}", s, Path("r")) for s in scores])

    assert pair(group(0.0), 1.0)[1] == "no rewrite that differs from the prompt"
    assert pair(group(0.0, 1.0), 0.0)[1] == "only one rewrite"
    assert pair(group(0.0, 1.0, 1.5), 1.0)[1] == "best and worst score too close"
    assert pair(group(0.0, 1.0, 1.0), 0.0)[1] == "best and worst score too close"
    assert example(group(2.0, 1.0, 2.5), 1.0)[1] == "no rewrite beats the prompt as typed"
    row, _ = example(group(0.0, 1.0, 2.0), 1.0)
    assert row == {"prompt": "u", "completion": "r2.0", "score": 2.0, "prompt_score": 0.0}


def test_long_captions_become_examples(config: MineConfig, tmp_path: Path) -> None:
    caption = (
        'A poster with a large red circle on the left, on a navy background, in vivid colours, with the text "SALE".'
    )
    (tmp_path / "captions.txt").write_text(caption)
    mine_with(replace(config, captions=tmp_path / "captions.txt"), PROMPTS, None, LetterBase(), [Brightness()])
    assert rows(config.out / "sft.jsonl")[-1] == {
        "prompt": 'large red circle on the left "SALE"',
        "completion": caption,
    }


@pytest.mark.parametrize(
    ("caption", "short"),
    [
        ("A photo of a cat, soft light, 35mm.", "cat"),
        ('The sign says "STOP, NOW".', 'sign says "STOP, NOW"'),
        ('"A" over "A", in red', '"A" over "A"'),
        ("海报左边有一个大红色圆形，藏青背景，文字是“促销”。", "海报左边有一个大红色圆形 “促销”"),
        ("", ""),
    ],
)
def test_shortening(caption: str, short: str) -> None:
    assert plain(caption) == short


def test_mistakes(config: MineConfig) -> None:
    with pytest.raises(UserError, match="has no 'nothing'"):
        load_shortener("pe.shorten:nothing")
    with pytest.raises(UserError, match="nothing to choose from"):
        mine(replace(config, candidates_file=None))
    with pytest.raises(UserError, match="no pair was found"):
        mine_with(replace(config, margin=100.0), PROMPTS, None, LetterBase(), [Brightness()])
    with pytest.raises(UserError, match="cannot read"):
        mine_with(replace(config, candidates_file=Path("none.jsonl")), PROMPTS, None, LetterBase(), [Brightness()])

"""The reward model: one pass for all heads, gradients, prompts, saving and loading."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from rewardkit.encoders import ClipEncoder
from rewardkit.encoders.conv import ConvEncoder
from rewardkit.errors import UserError
from rewardkit.images import save_image, to_pil
from rewardkit.images.preprocess import floats
from rewardkit.rewards.batches import Batch, batches, score_batch
from rewardkit.rewards.loaded import loaded, score_all
from rewardkit.rewards.protocol import MultiReward
from rewardkit.rewards.registry import load_rewards
from rm import RewardModel
from rm.glyphs import glyphs
from rm.heads import Features, Shapes, TextHead, grid_positions
from rm.negatives import misspelt, wrong_prompts

AXES = ("alignment", "aesthetic", "text")
PROMPTS = ['a red circle "SALE"', "a blue star"]


@pytest.fixture
def model(encoder: ClipEncoder) -> RewardModel:
    torch.manual_seed(0)
    return RewardModel(encoder, AXES).eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(2, 3, 24, 20, generator=torch.Generator().manual_seed(1))


def test_it_is_a_multi_reward(model: RewardModel, images: torch.Tensor) -> None:
    assert isinstance(model, MultiReward)
    assert loaded(model).axes == {"rm.alignment": "alignment", "rm.aesthetic": "aesthetic", "rm.text": "text"}
    assert set(score_all([model], images, PROMPTS)) == set(loaded(model).axes)


def test_one_axis_alone_scores_files_as_the_whole_model_does(model: RewardModel, tmp_path: Path) -> None:
    model.save(tmp_path / "rm")
    whole, text = load_rewards([str(tmp_path / "rm")]), load_rewards([f"{tmp_path / 'rm'}#text"])
    files = [tmp_path / f"{index}.png" for index in range(3)]
    for index, file in enumerate(files):  # of three sizes, so that only a reward that frames can batch them
        save_image(torch.rand(3, 40 + index, 60, generator=torch.Generator().manual_seed(index)), file)
    found = []
    for rewards in (whole, text):
        (batch,) = batches(files, rewards, 3)
        assert isinstance(batch, Batch)
        found.append(score_batch(rewards, batch, ['a sign "SALE"'] * 3, "cpu")["rm.text"])
    assert torch.equal(*found)


def test_three_heads_cost_one_encoder_pass(model: RewardModel, images: torch.Tensor) -> None:
    clip: Any = model.encoder.clip
    calls = {"image": 0, "text": 0}
    clip.visual.conv1.register_forward_hook(lambda *_: calls.update(image=calls["image"] + 1))
    clip.ln_final.register_forward_hook(lambda *_: calls.update(text=calls["text"] + 1))
    model.scores(images, PROMPTS)
    assert calls == {"image": 1, "text": 1}


def test_text_scores_zero_where_nothing_is_quoted(model: RewardModel, images: torch.Tensor) -> None:
    scores = model.scores(images, PROMPTS)["text"]
    assert scores[1].item() == 0
    assert scores[0].item() != 0


def test_a_score_does_not_depend_on_the_rest_of_the_batch(model: RewardModel, images: torch.Tensor) -> None:
    together = model.scores(images, ['an "A"', 'a "MUCH LONGER TEXT"'])
    alone = model.scores(images[:1], ['an "A"'])
    for axis in AXES:
        assert together[axis][0].item() == pytest.approx(alone[axis].item(), abs=1e-5)


@pytest.mark.parametrize("head", ["heads", "cosine"])
def test_gradients_match_finite_differences(encoder: ClipEncoder, images: torch.Tensor, head: Any) -> None:
    torch.manual_seed(0)
    model = RewardModel(encoder, AXES, head=head).eval().requires_grad_(False)
    for parameter in model.heads.parameters():
        parameter.add_(0.05 * torch.randn_like(parameter))  # the alignment head begins as the cosine alone
    pixels = images.clone().requires_grad_()
    for axis in AXES:
        scores = model.scores(pixels, PROMPTS)[axis]
        (gradient,) = torch.autograd.grad(scores.sum(), pixels)
        direction = torch.sign(gradient)
        step = 1e-3
        with torch.no_grad():
            up, down = (model.scores(images + s * step * direction, PROMPTS)[axis].sum() for s in (1, -1))
        assert ((up - down) / (2 * step)).item() == pytest.approx((gradient * direction).sum().item(), rel=0.03)


def test_an_untrained_alignment_head_is_the_scaled_cosine(model: RewardModel, images: torch.Tensor) -> None:
    found = model.features(images, PROMPTS)
    head: Any = model.heads["alignment"]
    cosine = (found.pooled * found.text).sum(-1) * head.log_scale.exp()
    difference = model.judge(found)["alignment"] - cosine
    assert torch.allclose(difference, difference[0].expand(2), atol=1e-5)


def test_the_cosine_head_is_clips_own_score(encoder: ClipEncoder, images: torch.Tensor) -> None:
    clip: Any = encoder.clip
    expected = clip.get_logits(encoder.preprocess(images), encoder.tokens(PROMPTS))[0].diagonal()
    found = RewardModel(encoder, ("alignment",), head="cosine").scores(images, PROMPTS)["alignment"]
    assert torch.allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("head", ["heads", "cosine"])
def test_saving_and_loading_gives_equal_scores(
    encoder: ClipEncoder, images: torch.Tensor, tmp_path: Path, head: Any
) -> None:
    model = RewardModel(encoder, AXES, head=head, name="mine").eval()
    model.typical["text"] = (1.0, 2.0)
    model.save(tmp_path / "rm")
    again = RewardModel.load(tmp_path / "rm")
    for axis, scores in model.scores(images, PROMPTS).items():
        assert torch.equal(again.scores(images, PROMPTS)[axis], scores)
    assert (again.name, again.typical) == ("mine", model.typical)
    assert json.loads((tmp_path / "rm" / "config.json").read_text())["rewardkit_reward_model"] == 1
    assert not any(parameter.requires_grad for parameter in again.parameters())


def test_the_thin_method_takes_pictures_and_one_prompt(model: RewardModel, images: torch.Tensor) -> None:
    rounded = images.mul(255).round().div(255)
    found = model.score([to_pil(image) for image in images], PROMPTS[0], axis="text")
    small = floats(model.frame((rounded * 255).round().byte()))  # pictures are resized in 8 bits
    assert torch.allclose(found, model.score(small, PROMPTS[0], axis="text"), atol=1e-5)
    assert torch.allclose(found, model.score(rounded, PROMPTS[0], axis="text"), atol=0.02)
    with pytest.raises(UserError, match="no axis 'beauty'"):
        model.score(images, PROMPTS, axis="beauty")


def test_the_overall_score_leaves_out_axes_that_do_not_apply(model: RewardModel, images: torch.Tensor) -> None:
    model.typical = {"alignment": (1.0, 2.0), "aesthetic": (0.0, 1.0), "text": (5.0, 1.0)}
    raw = model.scores(images, PROMPTS)
    expected = ((raw["alignment"][1] - 1) / 2 + raw["aesthetic"][1]) / 2
    assert model.score(images, PROMPTS)[1].item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("broken", ["nothing", "version", "heads"])
def test_a_folder_that_is_no_reward_model_is_named(model: RewardModel, tmp_path: Path, broken: str) -> None:
    folder = tmp_path / "rm"
    model.save(folder)
    if broken == "nothing":
        (folder / "config.json").unlink()
    elif broken == "version":
        (folder / "config.json").write_text('{"rewardkit_reward_model": 99}')
    else:
        (folder / "heads.safetensors").unlink()
    with pytest.raises(UserError, match=str(folder)):
        RewardModel.load(folder)


def test_an_encoder_without_text_cannot_judge_prompts() -> None:
    with pytest.raises(UserError, match="cannot judge alignment"):
        RewardModel(ConvEncoder(), ("alignment",))
    assert RewardModel(ConvEncoder(), ("texture",)).score(torch.rand(1, 3, 32, 32), "").shape == (1,)


def test_glyphs_are_bytes_of_the_quoted_text() -> None:
    found = glyphs(['say "Ab"', "nothing", "写「日」"])
    assert found.tolist() == [[66, 99, 0], [0, 0, 0], [0xE6 + 1, 0x97 + 1, 0xA5 + 1]]
    assert glyphs(["x"]).shape == (1, 1)
    assert glyphs([f'a "{"A" * 100}"']).shape == (1, 64)


def test_places_have_different_codes_that_do_not_depend_on_the_grid() -> None:
    codes = grid_positions(16, 32)
    assert torch.pdist(codes).min() > 0.1
    # The middle of the 2nd of 2 rows is where the 5th and 6th rows of 6 meet: about the code of the 5th.
    assert torch.isfinite(grid_positions(7, 30)).all()
    assert grid_positions(9, 32)[4].allclose(grid_positions(1, 32)[0], atol=1e-5)


def features(texts: list[str]) -> Features:
    generator = torch.Generator().manual_seed(0)
    prompts = [f'a "{text}"' if text else "none" for text in texts]
    count = len(texts)
    return Features(
        torch.randn(count, 4, 8, generator=generator),
        torch.randn(count, 6, generator=generator),
        torch.rand(count, 10, generator=generator),
        torch.randn(count, 6, generator=generator),
        glyphs(prompts),
    )


def test_the_text_head_reads_case_order_and_picture() -> None:
    torch.manual_seed(0)
    head = TextHead(Shapes(8, 6))
    base = features(["AB"] * 4)
    same = torch.stack([base.tokens[0]] * 4)
    texts = glyphs(['an "AB"', 'a "BA"', 'an "ab"', 'an "AB"'])
    scores = head(replace(base, tokens=same, glyphs=texts))
    assert scores[0] == scores[3]
    assert len(set(scores.tolist())) == 3
    assert len(set(head(base).tolist())) == 4


def test_wrong_prompts_say_where_they_really_differ() -> None:
    batch = features(["AB", "AB", "CD", ""])
    generator = torch.Generator().manual_seed(0)
    for _ in range(10):
        wrong, differs = wrong_prompts(batch, generator, misspell=True)
        assert not differs[3]
        own = nn.functional.pad(batch.glyphs, (0, 1))
        assert torch.equal(differs[:3], (wrong.glyphs != own).any(1)[:3] & (wrong.glyphs != 0).any(1)[:3])
        assert torch.equal(wrong.tokens, batch.tokens)


def test_a_misspelt_text_has_one_slip_of_each_kind_in_turn() -> None:
    texts = glyphs(['an "ABC"', 'a "D"', "none"])
    generator = torch.Generator().manual_seed(3)
    seen: set[str] = set()
    for _ in range(200):
        slips = ["".join(chr(byte - 1) for byte in row if byte) for row in misspelt(texts, generator).tolist()]
        assert len(slips[1]) in (1, 2)
        assert slips[2] == ""
        seen.add(slips[0])
    replaced = {"ABC"[:i] + letter + "ABC"[i + 1 :] for i in range(3) for letter in "ABCD"}
    assert {"BAC", "ACB", "BC", "AC", "AABC", "ABBC"} <= seen
    assert seen <= replaced | {"BAC", "ACB", "AB", "BC", "AC", "AABC", "ABBC", "ABCC"}


def test_a_text_as_long_as_may_be_keeps_its_length() -> None:
    texts = glyphs(['a "' + 64 * "A" + '"'])
    assert misspelt(texts, torch.Generator().manual_seed(0)).shape == (1, 64)

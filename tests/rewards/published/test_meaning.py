"""What each number means: held against the plain formula on the model's own parts."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F
from transformers import CLIPModel

from rewardkit.encoders.short_text import until_the_end
from rewardkit.encoders.transformers_clip import embedding_of
from rewardkit.errors import UserError
from rewardkit.images import to_pil
from rewardkit.rewards.published import hpsv2 as hps
from rewardkit.rewards.published.clip import ClipScore, PickScore
from rewardkit.rewards.published.hpsv3 import patches, read_instruction
from rewardkit.rewards.published.imagereward import MEAN, STD
from rewardkit.rewards.published.mps import CONDITIONS, OVERALL, rotate
from rewardkit.rewards.published.scorer import Scorer

Built = Callable[[str], Scorer]


def picture(height: int, width: int) -> Image.Image:
    coarse = torch.rand(1, 3, 5, 7, generator=torch.Generator().manual_seed(3))
    return to_pil(F.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)[0])


def names(module: nn.Module) -> set[str]:
    """Parameter names with every layer's number replaced by N."""
    return {re.sub(r"\b(layers|blocks|layer|resblocks)\.\d+", r"\1.N", name) for name in module.state_dict()}


class OldClip(CLIPModel):
    """As before transformers 5: `get_*_features` give the tensors themselves."""

    def get_image_features(self, **inputs: Any) -> torch.Tensor:
        return embedding_of(super().get_image_features(**inputs))

    def get_text_features(self, **inputs: Any) -> torch.Tensor:
        return embedding_of(super().get_text_features(**inputs))


def test_both_forms_of_features_give_one_score(built: Built) -> None:
    now = built("pickscore")
    assert isinstance(now, PickScore)
    old = OldClip(now.clip.config)
    old.load_state_dict(now.clip.state_dict())
    images = torch.rand(2, 3, 40, 50)
    assert not isinstance(now.clip.get_image_features(torch.rand(1, 3, 32, 32)), torch.Tensor)
    assert isinstance(old.get_image_features(pixel_values=torch.rand(1, 3, 32, 32)), torch.Tensor)
    assert torch.equal(PickScore(old, now.tokenize).score(images, ["a", "b"]), now.score(images, ["a", "b"]))


def test_pickscore_is_the_logit_of_clip(built: Built) -> None:
    scorer = built("pickscore")
    assert isinstance(scorer, PickScore)
    images, prompts = torch.rand(2, 3, 40, 50), ["a red circle", "b"]
    out = scorer.clip(pixel_values=scorer.preprocess(images), input_ids=scorer.tokenize(prompts))
    torch.testing.assert_close(scorer.score(images, prompts), out.logits_per_image.diagonal())
    assert scorer.clip.logit_scale.exp().item() > 10


def test_clipscore_has_three_conventions(built: Built) -> None:
    scorer = built("clipscore-hf")
    assert isinstance(scorer, ClipScore)
    images = torch.rand(4, 3, 40, 50, generator=torch.Generator().manual_seed(0))
    prompts = ["a red circle", "b", "x y z", "a dog"]
    cosine = scorer.score(images, prompts) / 100
    assert (cosine.abs() <= 1).all()
    metrics = ClipScore(scorer.clip, scorer.tokenize, "torchmetrics").score(images, prompts)
    torch.testing.assert_close(metrics, 100 * cosine.clamp(min=0))
    longer = scorer.score(images, [f"A photo depicts {prompt}" for prompt in prompts]) / 100
    paper = ClipScore(scorer.clip, scorer.tokenize, "paper").score(images, prompts)
    torch.testing.assert_close(paper, 2.5 * longer.clamp(min=0))
    with pytest.raises(UserError, match="no convention 'mine'"):
        ClipScore(scorer.clip, scorer.tokenize, "mine")


def test_hpsv2_is_the_bare_cosine(built: Built) -> None:
    scorer = built("hpsv2.1")
    assert isinstance(scorer, hps.HpsV2)
    images, prompts = torch.rand(2, 3, 32, 32), ["a red circle", "b"]
    pictures = scorer.clip.encode_image(scorer.preprocess(images))
    texts = scorer.clip.encode_text(scorer.tokenize(prompts))
    torch.testing.assert_close(scorer.score(images, prompts), F.cosine_similarity(pictures, texts))
    assert scorer.name == "hpsv2.1"
    assert built("hpsv2").name == "hpsv2"


def test_tokens_are_cut_behind_the_longest_prompts_first_end_mark() -> None:
    ids = torch.tensor([[5, 3, 9, 9, 9, 9], [5, 3, 4, 9, 9, 9]])
    assert until_the_end(ids, 9).tolist() == ids[:, :4].tolist()
    assert until_the_end(ids, 2).tolist() == ids[:, :4].tolist()  # 2 stands for the highest token
    assert until_the_end(ids, 7).tolist() == ids.tolist()


@pytest.mark.parametrize("name", ["laion-aesthetic", "aesthetic-v2.5"])
def test_aesthetics_are_linear_in_the_unit_embedding_and_read_no_prompt(name: str, built: Built) -> None:
    scorer: Any = built(name)
    images = torch.rand(2, 3, 40, 50)
    assert torch.equal(scorer.score(images, ["a", "b"]), scorer.score(images, ["c", "d"]))
    unit = F.normalize(scorer.embed(scorer.preprocess(images)), dim=-1)
    zero = scorer.head(torch.zeros(1, unit.shape[1]))
    whole = torch.cat([scorer.head(e[None] * 3) - zero - 3 * (scorer.head(e[None]) - zero) for e in unit])
    torch.testing.assert_close(whole, torch.zeros(2, 1), atol=1e-4, rtol=0)
    torch.testing.assert_close(scorer.score(images, ["a", "b"]), scorer.head(unit).squeeze(-1))


def test_imagereward_is_a_z_score_of_the_first_text_token(built: Built) -> None:
    scorer: Any = built("imagereward")
    image = torch.rand(1, 3, 40, 50)
    words = scorer.tokenizer(["a red circle"], padding="max_length", max_length=35, return_tensors="pt")
    ids = words.input_ids[0].tolist()
    assert len(ids) == 35
    assert ids[:5] == scorer.tokenizer.convert_tokens_to_ids(["[CLS]", "a", "red", "circle", "[SEP]"])
    raw = scorer.mlp["layers"](scorer.blip(scorer.preprocess(image), words.input_ids, words.attention_mask))
    assert scorer.score(image, ["a red circle"]).item() == pytest.approx((raw.item() - MEAN) / STD, rel=1e-5)
    shorter = scorer.blip(scorer.preprocess(image), words.input_ids[:, :5], words.attention_mask[:, :5])
    padded = scorer.blip(scorer.preprocess(image), words.input_ids, words.attention_mask)
    torch.testing.assert_close(padded, shorter, atol=1e-5, rtol=1e-4)  # padding is not read


def test_blips_vit_is_timms(built: Built) -> None:
    from timm.models.vision_transformer import VisionTransformer

    scorer: Any = built("imagereward")
    ours = scorer.blip.visual_encoder
    theirs = VisionTransformer(32, 8, embed_dim=32, depth=2, num_heads=2, num_classes=0, global_pool="").eval()
    theirs.load_state_dict(ours.state_dict())
    pixels = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(ours(pixels), theirs(pixels), atol=1e-5, rtol=1e-4)


def test_mps_condition_masks_tokens_of_each_prompt_by_itself(built: Built) -> None:
    scorer: Any = built("mps")
    tokens, ends = scorer.texts(["a red circle", "light, color"])
    words, _ = scorer.texts([OVERALL])
    mask = scorer.counted(tokens)
    for row in range(2):
        best = (words[0] @ tokens[row].T).amax(0)
        kept = best / best.max() > 0.3
        assert torch.equal(mask[row, 0, 0] == 0, kept)
    assert mask.shape == (2, 1, 1, 77)
    assert tokens.shape == (2, 77, 16)
    assert ends.shape == (2, 16)
    assert OVERALL.startswith(CONDITIONS["aesthetics"])
    assert OVERALL.endswith("position, number, location, word, things.")


def test_mps_padding_is_the_end_token(built: Built) -> None:
    scorer: Any = built("mps")
    ids = scorer.tokenize(["a"])[0]
    assert ids[0] == 49406
    assert (ids[2:] == 49407).all()


def test_rotation_depends_on_distance_only() -> None:
    first, second = torch.randn(2, 1, 8, generator=torch.Generator().manual_seed(0))
    turned = rotate(first.expand(6, 8)) @ rotate(second.expand(6, 8)).T
    for gap in range(-3, 4):
        diagonal = turned.diagonal(gap)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(turned[0, 0], turned[0, 3])


def test_vqascore_is_the_probability_of_yes(built: Built) -> None:
    scorer: Any = built("vqascore")
    image = torch.rand(1, 3, 40, 56)
    assert scorer.ask("a red circle").count("<|image_pad|>") == 1
    assert 'Does this figure show "a red circle"? Please answer yes or no.' in scorer.ask("a red circle")
    inputs = scorer.inputs(list(image), ["a red circle"])
    logits = scorer.model(**inputs).logits[0, -1]
    yes = scorer.processor.tokenizer.convert_tokens_to_ids("Yes")
    assert scorer.score(image, ["a red circle"]).item() == pytest.approx(logits.softmax(-1)[yes].item(), rel=1e-4)


def test_hpsv3_takes_the_mean_at_the_reward_token(built: Built) -> None:
    scorer: Any = built("hpsv3")
    image = torch.rand(1, 3, 40, 56)
    pixels = scorer.preprocess(image)
    rows, grid = patches(pixels, patch=4, merge=2, frames=2)
    ids, mask = scorer.texts(["a red circle <|Reward|> <|image_pad|>"], pads=int(grid.prod()) // 4)
    assert (ids == scorer.reward_id).sum() == 1
    assert (ids == scorer.picture_id).sum() == grid.prod() // 4
    seen = scorer.model.visual(rows, grid_thw=grid).pooler_output
    embeds = scorer.model.get_input_embeddings()(ids)
    embeds[ids == scorer.picture_id] = seen
    steps = torch.arange(ids.shape[1]).expand(3, 1, -1)  # positions count on through the picture
    hidden = scorer.model.language_model(inputs_embeds=embeds, attention_mask=mask, position_ids=steps)[0]
    expected = scorer.rm_head(hidden[ids == scorer.reward_id])[0, 0]
    assert scorer.score(image, ["a red circle"]).item() == pytest.approx(expected.item(), rel=1e-4)
    assert scorer.rm_head[0].weight.dtype == torch.float32


def test_hpsv3_reads_the_authors_file_and_does_not_run_it(tmp_path: Path) -> None:
    file = tmp_path / "data_collator_qwen.py"
    file.write_text(
        'raise SystemExit\nINSTRUCTION = "Rate {text_prompt}."\nprompt_with_special_token = " <|Reward|>"\n'
    )
    assert read_instruction(file) == "Rate {text_prompt}. <|Reward|>"
    file.write_text('INSTRUCTION = "Rate {text_prompt}."\n')
    with pytest.raises(UserError, match="has no 'prompt_with_special_token'"):
        read_instruction(file)
    plain = tmp_path / "words.txt"
    plain.write_text("Rate it.")
    with pytest.raises(UserError, match="is no instruction of HPSv3"):
        read_instruction(plain)

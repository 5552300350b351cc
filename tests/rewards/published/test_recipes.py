"""Each scorer against its published recipe: key names at real size, and framing to the pixel."""

import re
from collections.abc import Callable
from typing import Any

import open_clip
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, Qwen2VLImageProcessor, SiglipImageProcessor

from rewardkit.errors import UserError
from rewardkit.images import to_pil, to_tensor
from rewardkit.images.preprocess import CLIP_MEAN, CLIP_STD
from rewardkit.rewards.published import hpsv2 as hps
from rewardkit.rewards.published.aesthetic import linear_chain
from rewardkit.rewards.published.blip import BERT, Blip, VitSize
from rewardkit.rewards.published.clip import VIT_H14, VIT_L14
from rewardkit.rewards.published.framing import Framing, clip_crop, clip_pad
from rewardkit.rewards.published.hpsv3 import SmartResize, patches
from rewardkit.rewards.published.mps import CrossModel
from rewardkit.rewards.published.scorer import Scorer

Built = Callable[[str], Scorer]


def picture(height: int, width: int) -> Image.Image:
    coarse = torch.rand(1, 3, 5, 7, generator=torch.Generator().manual_seed(3))
    return to_pil(F.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)[0])


def names(module: nn.Module) -> set[str]:
    """Parameter names with every layer's number replaced by N."""
    return {re.sub(r"\b(layers|blocks|layer|resblocks)\.\d+", r"\1.N", name) for name in module.state_dict()}


# Published keys


@pytest.fixture
def on_meta() -> Any:
    with torch.device("meta"):
        yield


def test_clip_keys_and_sizes_are_those_of_pickscore(on_meta: None) -> None:
    state = CLIPModel(CLIPConfig(**VIT_H14)).state_dict()
    assert state["text_model.embeddings.token_embedding.weight"].shape == (49408, 1024)
    assert state["vision_model.embeddings.patch_embedding.weight"].shape == (1280, 3, 14, 14)
    assert state["vision_model.embeddings.position_embedding.weight"].shape == (257, 1280)
    assert state["vision_model.encoder.layers.31.mlp.fc1.weight"].shape == (5120, 1280)
    assert state["text_model.encoder.layers.23.self_attn.q_proj.weight"].shape == (1024, 1024)
    assert state["visual_projection.weight"].shape == (1024, 1280)
    assert {"logit_scale", "text_projection.weight", "vision_model.pre_layrnorm.weight"} <= state.keys()
    large = CLIPModel(CLIPConfig(**VIT_L14)).state_dict()
    assert large["visual_projection.weight"].shape == (768, 1024)
    assert "vision_model.encoder.layers.23.mlp.fc2.bias" in large


def test_hpsv2_keys_are_open_clips(on_meta: None) -> None:
    state = open_clip.CLIP(**hps.MODEL).state_dict()
    assert state["visual.proj"].shape == (1280, 1024)
    assert state["visual.conv1.weight"].shape == (1280, 3, 14, 14)
    assert state["transformer.resblocks.23.attn.in_proj_weight"].shape == (3072, 1024)
    assert {"logit_scale", "positional_embedding", "text_projection", "ln_final.weight", "token_embedding.weight"} <= (
        state.keys()
    )


def test_imagereward_keys_are_blips(on_meta: None) -> None:
    blip = Blip(VitSize(), BERT)
    state = blip.state_dict()
    half = {f"{name}.{kind}" for name in ("query", "key", "value") for kind in ("weight", "bias")}
    for attention in ("attention", "crossattention"):
        assert {f"text_encoder.encoder.layer.N.{attention}.self.{name}" for name in half} <= names(blip)
        assert f"text_encoder.encoder.layer.N.{attention}.output.LayerNorm.weight" in names(blip)
    for name in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2", "norm1", "norm2"):
        assert f"visual_encoder.blocks.N.{name}.weight" in names(blip)
    assert state["visual_encoder.pos_embed"].shape == (1, 197, 1024)
    assert state["visual_encoder.cls_token"].shape == (1, 1, 1024)
    assert state["visual_encoder.patch_embed.proj.weight"].shape == (1024, 3, 16, 16)
    assert "visual_encoder.blocks.23.norm1.weight" in state
    assert state["text_encoder.embeddings.word_embeddings.weight"].shape == (30524, 768)
    assert state["text_encoder.encoder.layer.11.crossattention.self.key.weight"].shape == (768, 1024)


def test_linear_heads_count_their_dropouts() -> None:
    assert {name.split(".")[0] for name in linear_chain(768, dropped=3).state_dict()} == {"0", "2", "4", "6", "7"}
    assert {name.split(".")[0] for name in linear_chain(1152, dropped=4).state_dict()} == {"0", "2", "4", "6", "8"}
    assert not any(isinstance(layer, nn.ReLU) for layer in linear_chain(8, dropped=3))


def test_mps_keys(on_meta: None) -> None:
    cross = CrossModel(1024, 4, 16)
    state = cross.state_dict()
    assert state["layers.3.0.fn.to_q.weight"].shape == (1024, 1024)
    assert state["layers.3.0.fn.to_kv.weight"].shape == (128, 1024)
    assert state["layers.3.0.fn.ff.0.weight"].shape == (8192, 1024)
    assert state["layers.3.0.fn.ff.2.weight"].shape == (1024, 4096)
    assert state["layers.3.1.fn.fused_attn_ff_proj.weight"].shape == (1024 + 64 + 64 + 8192, 1024)
    assert state["layers.3.1.fn.ff_out.1.weight"].shape == (1024, 4096)
    assert {"layers.0.0.fn.norm.weight", "layers.0.0.fn.norm.bias", "layers.0.1.fn.attn_out.weight"} <= state.keys()


# Framing


@pytest.mark.parametrize("size", [(300, 401), (401, 300), (224, 225), (600, 333), (100, 57)])
def test_the_crop_is_that_of_transformers_and_of_torchvision(size: tuple[int, int]) -> None:
    from torchvision.transforms import functional as tv

    image = picture(*size)
    down, even = clip_crop(224), clip_crop(224, half="even")
    theirs = CLIPImageProcessor()(image, return_tensors="pt")["pixel_values"]
    assert (down(to_tensor(image)[None]) - theirs).abs().max() < 0.04  # they round to 8 bits after resizing
    resized = tv.resize(image, 224, tv.InterpolationMode.BICUBIC)
    torch.testing.assert_close(even.frame_pil(image), to_tensor(tv.center_crop(resized, [224, 224])), rtol=0, atol=0)
    assert (even.frame(to_tensor(image)[None])[0] - even.frame_pil(image)).abs().max() < 0.02


def test_hpsv2_pads_and_neither_crops_nor_stretches() -> None:
    wide = torch.ones(1, 3, 50, 100)
    framed = clip_pad(224).frame(wide)[0, 0]
    assert framed[112].min() > 0.99
    assert framed[:56].max() == 0
    assert framed[168:].max() == 0
    assert framed[57:167].min() > 0.99
    black = clip_pad(224)(wide)[0, :, 0, 0]
    assert torch.allclose(black, -torch.tensor(CLIP_MEAN) / torch.tensor(CLIP_STD))


def test_aesthetic_v25_stretches_as_siglips_processor() -> None:
    image = picture(300, 401)
    ours = Framing((384, 384), (0.5,) * 3, (0.5,) * 3)
    settings = {"size": {"height": 384, "width": 384}, "resample": 3}
    theirs = SiglipImageProcessor(**settings)(image, return_tensors="pt")["pixel_values"]
    assert (ours(to_tensor(image)[None]) - theirs).abs().max() < 0.02


@pytest.mark.parametrize("size", [(300, 401), (1000, 200), (64, 64)])
def test_hpsv3_cuts_pictures_as_qwens_processor(size: tuple[int, int]) -> None:
    image = picture(*size)
    how = SmartResize((28, 28), CLIP_MEAN, CLIP_STD)
    rows, grid = patches(how(to_tensor(image)[None]), patch=14, merge=2, frames=2)
    theirs = Qwen2VLImageProcessor(size={"shortest_edge": how.pixels, "longest_edge": how.pixels})(
        image, return_tensors="pt"
    )
    assert torch.equal(grid, theirs["image_grid_thw"])
    assert rows.shape == theirs["pixel_values"].shape == (len(rows), 3 * 2 * 14 * 14)
    assert (rows - theirs["pixel_values"]).abs().max() < 0.04
    with pytest.raises(UserError, match="takes no picture of 1 x 900"):
        how.shape(900, 1)

"""CLIP, MetaCLIP 2, Chinese-CLIP and SigLIP of transformers, and multilingual open_clip, from folders made here."""

import json
import os
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors

from rewardkit.encoders import ClipEncoder, TransformersEncoder, load_encoder
from rewardkit.encoders.transformers_clip import embedding_of
from rewardkit.errors import UserError
from rewardkit.images import to_pil, to_tensor
from rewardkit.images.preprocess import Preprocess

KINDS = ("clip", "metaclip_2", "chinese_clip", "siglip")
SIZE: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
VISION = {**SIZE, "image_size": 32, "patch_size": 8}
WORDS = ["[PAD]", "[CLS]", "[UNK]", "[SEP]", *"一只红色的猫狗和在海边", "a", "red", "cat", "dog"]
PROMPTS = ["一只红色的猫", "a red dog"]


def tokenizer() -> transformers.PreTrainedTokenizerFast:
    """A tokenizer of whole words and single Chinese characters that marks the start and the end."""
    backend = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    characters = pre_tokenizers.Split(pattern=Regex(r"\p{Han}"), behavior="isolated")
    backend.pre_tokenizer = pre_tokenizers.Sequence([characters, pre_tokenizers.Whitespace()])
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 3)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


def build(kind: str) -> torch.nn.Module:
    ends = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 3}  # 2 would mean "the largest number" to CLIP
    text = {**SIZE, **ends, "vocab_size": len(WORDS), "max_position_embeddings": 16}
    match kind:
        case "clip":
            return transformers.CLIPModel(
                transformers.CLIPConfig(text_config=text, vision_config=VISION, projection_dim=24)
            )
        case "metaclip_2":
            return transformers.MetaClip2Model(
                transformers.MetaClip2Config(text_config=text, vision_config=VISION, projection_dim=24)
            )
        case "chinese_clip":
            text = {**text, "max_position_embeddings": 128}
            return transformers.ChineseCLIPModel(
                transformers.ChineseCLIPConfig(text_config=text, vision_config=VISION, projection_dim=24)
            )
        case _:
            text = {**text, "projection_size": 32}
            return transformers.SiglipModel(transformers.SiglipConfig(text_config=text, vision_config=VISION))


PROCESSORS: dict[str, dict[str, Any]] = {
    "clip": {
        "image_processor_type": "CLIPImageProcessor",
        "size": {"shortest_edge": 32},
        "crop_size": {"height": 32, "width": 32},
        "do_center_crop": True,
        "image_mean": [0.48, 0.46, 0.41],
        "image_std": [0.27, 0.26, 0.28],
    },
    "siglip": {
        "image_processor_type": "SiglipImageProcessor",
        "size": {"height": 32, "width": 32},
        "resample": 2,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    },
}


def write(folder: Path, kind: str, **changes: Any) -> str:
    """Write a tiny model with random weights as its authors would publish it."""
    torch.manual_seed(0)
    model: Any = build(kind)
    for parameter in model.parameters():  # projections start so small that all embeddings look alike
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    settings = {**PROCESSORS["siglip" if kind == "siglip" else "clip"], **changes}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return str(folder)


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    return write(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture
def encoder(folder: str) -> TransformersEncoder:
    loaded = load_encoder(folder)
    assert isinstance(loaded, TransformersEncoder)
    return loaded


def waves(height: int, width: int) -> torch.Tensor:
    """A smooth picture in whole levels, on which ways of resizing differ in where they look, not in rounding."""
    y, x = torch.meshgrid(torch.linspace(0, 5, height), torch.linspace(0, 7, width), indexing="ij")
    levels = torch.stack([(y + x).sin(), (y * x / 4).cos(), (y - x).sin()]) * 0.4 + 0.5
    return levels.mul(255).round().div(255)[None]


def test_features_are_the_models_own(encoder: TransformersEncoder) -> None:
    model: Any = encoder.model
    images = torch.rand(2, 3, 32, 32)
    seen = encoder.image(images)
    expected = embedding_of(model.get_image_features(pixel_values=encoder.preprocess(images)))
    torch.testing.assert_close(seen.pooled, expected / expected.norm(dim=-1, keepdim=True))
    assert seen.tokens.shape == (2, 16, encoder.token_width)
    assert seen.pooled.shape[-1] == encoder.embed_dim
    assert encoder.scale == pytest.approx(model.logit_scale.exp().item())


def test_class_tokens_are_left_out_and_patches_normed(encoder: TransformersEncoder) -> None:
    """Two images that differ in their last patch only differ most in the last token."""
    images = torch.rand(1, 3, 32, 32).repeat(2, 1, 1, 1)
    images[1, :, 24:, 24:] = 1 - images[1, :, 24:, 24:]
    first, second = encoder.image(images).tokens
    assert (first - second).norm(dim=-1).argmax() == 15
    norm: Any = encoder.model.vision_model.post_layernorm
    assert torch.allclose(((first - norm.bias) / norm.weight).mean(-1), torch.zeros(16), atol=1e-4)


def test_prompts_in_chinese_are_told_apart(encoder: TransformersEncoder) -> None:
    model: Any = encoder.model
    found = encoder.text(["一只红色的猫", "一只红色的狗", "一只红色的猫"])
    torch.testing.assert_close(found.norm(dim=-1), torch.ones(3))
    assert torch.allclose(found[0], found[2])
    assert (found[0] - found[1]).norm() > 1e-3
    ids = encoder.tokens(["一只红色的猫"])
    scores = model(pixel_values=torch.zeros(1, 3, 32, 32), **ids)
    torch.testing.assert_close(found[0], scores.text_embeds[0])


def test_padding_says_nothing_and_siglip_reads_lower_case(encoder: TransformersEncoder) -> None:
    model: Any = encoder.model
    lower, upper = encoder.text(["a red cat", "A RED CAT"])
    if model.config.model_type == "siglip":
        assert torch.equal(lower, upper)
        return
    assert not torch.allclose(lower, upper, atol=1e-3)
    ids = encoder.tokenizer(["a red cat"], return_tensors="pt").input_ids
    bare = embedding_of(model.get_text_features(input_ids=ids, attention_mask=torch.ones_like(ids)))[0]
    torch.testing.assert_close(lower, bare / bare.norm(), atol=1e-5, rtol=1e-4)


def test_the_length_of_a_prompt_can_be_asked(encoder: TransformersEncoder) -> None:
    limit = {"chinese_clip": 52}.get(encoder.model.config.model_type, 16)  # type: ignore[union-attr, arg-type]
    assert encoder.context_length == limit
    assert encoder.token_counts(["a red cat", "一只猫", "a " * 60]) == [5, 5, 62]
    long, cut = encoder.text(["a " * 60, "a " * (limit - 2)])
    assert torch.allclose(long, cut)


@pytest.mark.parametrize("size", [(32, 37), (50, 40), (41, 90), (20, 24), (41, 60)])
def test_preprocessing_is_the_processors(folder: str, size: tuple[int, int]) -> None:
    image = waves(*size)
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    theirs = processor(images=to_pil(image[0]), return_tensors="pt").pixel_values
    ours = load_encoder(folder).preprocess(image)
    # They round to whole levels after the resize: half a level, 0.002, over a deviation of 0.26, each way.
    assert (ours - theirs).abs().max() < 0.02


def test_gradient_reaches_the_pixels(encoder: TransformersEncoder) -> None:
    encoder = encoder.double()
    image = torch.rand(1, 3, 40, 36, dtype=torch.float64, requires_grad=True)

    def value(x: torch.Tensor) -> torch.Tensor:
        seen = encoder.image(x)
        return seen.tokens.sin().sum() + seen.pooled.sum()

    (gradient,) = torch.autograd.grad(value(image), image)
    direction = torch.randn_like(image)
    numeric = (value(image + 1e-6 * direction) - value(image - 1e-6 * direction)) / 2e-6
    assert (gradient * direction).sum().item() == pytest.approx(numeric.item(), rel=1e-4)


def test_a_saved_folder_gives_the_same_features(encoder: TransformersEncoder, tmp_path: Path) -> None:
    encoder.save(tmp_path / "again")
    again = load_encoder(str(tmp_path / "again"))
    images = torch.rand(2, 3, 48, 40)
    assert torch.equal(again.image(images).tokens, encoder.image(images).tokens)
    assert torch.equal(again.text(PROMPTS), encoder.text(PROMPTS))
    assert again.preprocess == encoder.preprocess
    assert again.reference == ""
    assert not any(parameter.requires_grad for parameter in again.parameters())
    assert [path.suffix for path in (tmp_path / "again").iterdir() if path.stat().st_size > 10_000] == [".safetensors"]


def test_a_way_of_fitting_is_kept(folder: str, tmp_path: Path) -> None:
    load_encoder(folder, fit="pad").save(tmp_path / "pad")
    assert load_encoder(str(tmp_path / "pad")).preprocess.fit == "pad"


def test_unfreezing_the_last_block_leaves_the_rest(encoder: TransformersEncoder) -> None:
    encoder.unfreeze(0)
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    encoder.unfreeze(1)
    learning = {name for name, parameter in encoder.model.named_parameters() if parameter.requires_grad}
    assert any("vision_model.encoder.layers.1" in name for name in learning)
    assert not any("layers.0" in name or "embeddings" in name or name.startswith("text") for name in learning)
    encoder.unfreeze(-1)
    assert all(parameter.requires_grad for parameter in encoder.model.vision_model.parameters())  # type: ignore[operator]


def adapted_and_shaken(encoder: Any, *, text: bool) -> set[str]:
    """Add adapters, give them weights that matter, and name the parameters that get a gradient."""
    encoder.adapt(2, 4.0, text=text)
    for parameter in encoder.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.3)
    value = encoder.image(torch.rand(2, 3, 32, 32)).pooled.sin().sum() + encoder.text(PROMPTS).sin().sum()
    value.backward()
    return {name for name, parameter in encoder.named_parameters() if parameter.grad is not None}


def test_only_adapters_learn_and_they_are_saved_merged(encoder: Any, tmp_path: Path) -> None:
    images = torch.rand(2, 3, 32, 32)
    before = encoder.image(images)
    learning = adapted_and_shaken(encoder, text=True)
    assert all("lora_" in name for name in learning)
    assert any("vision_model.encoder.layers.0.self_attn.q_proj" in name for name in learning)
    assert any("text_model" in name for name in learning)
    assert (encoder.image(images).pooled - before.pooled).norm() > 0.1
    encoder.save(tmp_path / "merged")
    assert not any("lora" in name for name in load_file(tmp_path / "merged" / "model.safetensors"))
    again = load_encoder(str(tmp_path / "merged"))
    torch.testing.assert_close(again.image(images).tokens, encoder.image(images).tokens, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(again.text(PROMPTS), encoder.text(PROMPTS), atol=1e-4, rtol=1e-4)


def test_adapters_start_as_no_change_and_leave_the_text_alone(folder: str) -> None:
    encoder = load_encoder(folder)
    images = torch.rand(2, 3, 32, 32)
    before = encoder.image(images)
    encoder.adapt(2, 4.0)
    assert torch.allclose(encoder.image(images).pooled, before.pooled, atol=1e-6)
    learning = [name for name, parameter in encoder.named_parameters() if parameter.requires_grad]
    assert learning
    assert all("vision_model" in name for name in learning)


def test_open_clips_attention_is_adapted_without_drift(tmp_path: Path) -> None:
    encoder = multilingual(tmp_path)
    images = torch.rand(2, 3, 32, 32)
    learning = adapted_and_shaken(encoder, text=True)
    assert all("lora_" in name for name in learning)
    assert any("resblocks.0.attn" in name for name in learning)
    assert any("clip.text." in name for name in learning)
    weights = {name: value.clone() for name, value in encoder.state_dict().items()}
    with torch.no_grad():
        expected = encoder.image(images)
    encoder.save(tmp_path / "merged")
    assert all(torch.equal(value, weights[name]) for name, value in encoder.state_dict().items())
    again = load_encoder(str(tmp_path / "merged"))
    torch.testing.assert_close(again.image(images).tokens, expected.tokens, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(again.text(PROMPTS), encoder.text(PROMPTS), atol=1e-4, rtol=1e-4)
    with pytest.raises(UserError, match="LoRA layers already"):
        encoder.adapt(2, 4.0)


def multilingual(folder: Path) -> ClipEncoder:
    """An open_clip model whose text tower is a tiny XLM-RoBERTa."""
    torch.manual_seed(0)
    # Positions start after the padding's number in this family, so there are two more than tokens.
    text = transformers.XLMRobertaConfig(**SIZE, vocab_size=len(WORDS), max_position_embeddings=18, pad_token_id=0)
    text.save_pretrained(folder / "tower")
    tokenizer().save_pretrained(folder / "tower")
    config: dict[str, Any] = {
        "embed_dim": 24,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
        "text_cfg": {
            "hf_model_name": str(folder / "tower"),
            "hf_tokenizer_name": str(folder / "tower"),
            "hf_model_pretrained": False,
            "hf_pooler_type": "mean_pooler",
            "context_length": 12,
        },
    }
    words = open_clip.tokenizer.HFTokenizer(str(folder / "tower"), context_length=12)
    return ClipEncoder(open_clip.CustomTextCLIP(**config), words, config, Preprocess((32, 32)))


def test_a_multilingual_open_clip_needs_nothing_but_its_folder(tmp_path: Path) -> None:
    encoder = multilingual(tmp_path)
    assert encoder.context_length == 12
    assert encoder.token_counts(["一只猫", "a " * 20]) == [5, 22]
    encoder.save(tmp_path / "saved")
    images = torch.rand(2, 3, 40, 32)
    expected, texts = encoder.image(images), encoder.text(PROMPTS)
    (tmp_path / "tower").rename(tmp_path / "gone")
    again = load_encoder(str(tmp_path / "saved"))
    assert torch.equal(again.image(images).tokens, expected.tokens)
    assert torch.equal(again.text(PROMPTS), texts)
    again.save(tmp_path / "twice")
    assert torch.equal(load_encoder(str(tmp_path / "twice")).text(PROMPTS), texts)


class Bomb:
    """A pickle that writes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("config", ["config.json", "open_clip_config.json"])
def test_a_pickle_is_not_run(tmp_path: Path, config: str) -> None:
    if config == "config.json":
        folder = Path(write(tmp_path / "model", "clip"))
        weights, name = folder / "model.safetensors", "pytorch_model.bin"
    else:
        multilingual(tmp_path).save(tmp_path / "model")
        folder = tmp_path / "model"
        weights, name = folder / "open_clip_model.safetensors", "open_clip_pytorch_model.bin"
    plain = load_file(weights)
    weights.unlink()
    torch.save({**plain, "bomb": Bomb(tmp_path / "exploded")}, folder / name)
    with pytest.raises(UserError, match="cannot load"):
        load_encoder(str(folder))
    assert not (tmp_path / "exploded").exists()
    torch.save(plain, folder / name)  # plain tensors in the old format are read
    assert load_encoder(str(folder)).reads_text


def test_wrong_folders_are_named(tmp_path: Path) -> None:
    folder = Path(write(tmp_path / "clip", "clip"))
    weights = load_file(folder / "model.safetensors")
    del weights["visual_projection.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"incomplete: 1 are missing, such as visual_projection\.weight"):
        load_encoder(str(folder))
    (folder / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(UserError, match="cannot load"):
        load_encoder(f"hf:{folder}")
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(UserError, match="is a bert model; encoders are clip"):
        load_encoder(str(folder))
    (folder / "config.json").write_text(json.dumps({"model_type": "siglip2"}))
    with pytest.raises(UserError, match="fixed resolution"):
        load_encoder(str(folder))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"resample": 0}, "method 0"),
        ({"size": {"shortest_edge": 40}}, "resizes to 40"),
        ({"size": {"height": 40, "width": 40}}, "the tower takes 32"),
    ],
)
def test_image_processors_that_cannot_be_followed_are_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        load_encoder(write(tmp_path / "clip", "clip", **changes))


def test_old_settings_of_chinese_clip_mean_both_sides(tmp_path: Path) -> None:
    folder = write(tmp_path / "old", "chinese_clip", size=32, crop_size=32, do_center_crop=False)
    assert load_encoder(folder).preprocess.fit == "stretch"
    assert load_encoder(folder).image(to_tensor(Image.new("RGB", (50, 40)))[None]).tokens.shape[1] == 16

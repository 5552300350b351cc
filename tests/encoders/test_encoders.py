"""Encoders: preprocessing, patch tokens and embeddings of one pass, loading and saving."""

import json
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch

from rewardkit.encoders import ClipEncoder, colours, load_encoder
from rewardkit.encoders.conv import ConvEncoder
from rewardkit.errors import UserError
from rewardkit.images import to_pil
from rewardkit.images.preprocess import Preprocess

MODEL: dict[str, Any] = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


@pytest.fixture
def encoder() -> ClipEncoder:
    torch.manual_seed(0)
    preprocess = Preprocess((32, 32), (0.48, 0.46, 0.41), (0.27, 0.26, 0.28))
    return ClipEncoder(open_clip.CLIP(**MODEL), open_clip.SimpleTokenizer(context_length=16), MODEL, preprocess)


def photo(height: int, width: int) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0)).mul(255).round().div(255)


@pytest.mark.parametrize("size", [(32, 32), (50, 40), (40, 90), (20, 24)])
def test_preprocessing_matches_open_clips_own(size: tuple[int, int]) -> None:
    image = photo(*size)
    transform = open_clip.image_transform(32, is_train=False, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    ours = Preprocess((32, 32), (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))(image)[0]
    theirs = transform(to_pil(image[0]))
    # PIL rounds to whole levels between its passes and clips overshoot; on noise that is a few levels, rarely.
    assert (ours.clamp(-2, 2) - theirs).abs().mean() < 0.05
    assert ours.shape == theirs.shape


def test_stretch_and_pad_keep_the_whole_picture() -> None:
    image = torch.ones(1, 3, 20, 40)
    assert Preprocess((32, 32), fit="stretch").frame(image).min() > 0.99
    padded = Preprocess((32, 32), fit="pad").frame(image)
    assert padded[0, 0, 16, 16] > 0.99
    assert padded[0, 0, 2, 16] == 0


def test_one_pass_gives_clips_own_embedding_and_patch_tokens(encoder: ClipEncoder) -> None:
    images = torch.rand(2, 3, 32, 32)
    clip: Any = encoder.clip
    calls: list[int] = []
    clip.visual.conv1.register_forward_hook(lambda *_: calls.append(1))
    found = encoder.image(images)
    assert calls == [1]
    expected = clip.encode_image(encoder.preprocess(images), normalize=True)
    assert torch.allclose(found.pooled, expected, atol=1e-6)
    clip.visual.output_tokens = True
    tokens = clip.visual(encoder.preprocess(images))[1]
    assert torch.allclose(found.tokens, tokens, atol=1e-6)
    assert found.tokens.shape == (2, 16, encoder.token_width)


def test_text_embeddings_are_clips_own_and_of_unit_length(encoder: ClipEncoder) -> None:
    found = encoder.text(["a red circle", "a blue star"])
    assert torch.allclose(found.norm(dim=-1), torch.ones(2), atol=1e-5)
    assert not torch.allclose(found[0], found[1])


def test_text_is_read_once_and_to_its_end_only(encoder: ClipEncoder) -> None:
    prompts = ["a red circle", "one", "a red circle", "a red circle and a star on the left of it"]
    seen: list[torch.Size] = []
    clip: Any = encoder.clip
    clip.token_embedding.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape))
    found = encoder.text(prompts)
    assert seen == [(3, 13)]  # three different prompts, the longest of eleven words, a start and an end
    torch.testing.assert_close(found, clip.encode_text(encoder.tokens(prompts), normalize=True))


def test_gradient_reaches_the_pixels(encoder: ClipEncoder) -> None:
    encoder = encoder.double()
    image = torch.rand(1, 3, 40, 36, dtype=torch.float64, requires_grad=True)

    def value(x: torch.Tensor) -> torch.Tensor:
        found = encoder.image(x)
        return found.tokens.sin().sum() + found.pooled.sum()

    (gradient,) = torch.autograd.grad(value(image), image)
    direction = torch.randn_like(image)
    numeric = (value(image + 1e-6 * direction) - value(image - 1e-6 * direction)) / 2e-6
    assert (gradient * direction).sum().item() == pytest.approx(numeric.item(), rel=1e-4)


def test_a_saved_folder_gives_the_same_features(encoder: ClipEncoder, tmp_path: Path) -> None:
    encoder.save(tmp_path / "clip")
    again = load_encoder(str(tmp_path / "clip"))
    images = torch.rand(2, 3, 48, 40)
    assert torch.equal(again.image(images).tokens, encoder.image(images).tokens)
    assert torch.equal(again.text(["a cat"]), encoder.text(["a cat"]))
    assert again.preprocess == encoder.preprocess
    assert not any(parameter.requires_grad for parameter in again.parameters())


def test_fit_can_be_chosen_at_loading(encoder: ClipEncoder, tmp_path: Path) -> None:
    encoder.save(tmp_path / "clip")
    assert load_encoder(str(tmp_path / "clip"), fit="stretch").preprocess.fit == "stretch"


def test_unfreezing_the_last_block_leaves_the_rest(encoder: ClipEncoder) -> None:
    encoder.unfreeze(1)
    learning = {name for name, parameter in encoder.clip.named_parameters() if parameter.requires_grad}
    assert any("visual.transformer.resblocks.1" in name for name in learning)
    assert not any("resblocks.0" in name or name.startswith("transformer") for name in learning)


def test_wrong_specs_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'ViT-B-32'"):
        load_encoder("ViT-B32")
    with pytest.raises(UserError, match="is not an encoder"):
        load_encoder(str(tmp_path))
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": MODEL}))
    with pytest.raises(UserError, match="no weights"):
        load_encoder(str(tmp_path))
    (tmp_path / "open_clip_model.safetensors").write_bytes(b"broken")
    with pytest.raises(UserError, match="cannot load"):
        load_encoder(str(tmp_path))


def test_conv_takes_any_size_and_survives_saving(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = ConvEncoder()
    images = torch.rand(2, 3, 40, 56)
    encoder.save(tmp_path / "conv")
    again = load_encoder(str(tmp_path / "conv"))
    assert torch.equal(again.image(images).pooled, encoder.image(images).pooled)
    assert encoder.image(images).tokens.shape == (2, 5 * 7, encoder.token_width)
    with pytest.raises(UserError, match="reads no prompts"):
        encoder.text(["a cat"])


def test_colours_are_means_and_deviations_of_opponent_channels() -> None:
    """Half red, half blue: the means of R, G, B are 1/2, 0, 1/2, of R - G 1/2, of (R + G) / 2 - B -1/4."""
    image = torch.zeros(1, 3, 4, 4)
    image[:, 0, :, :2] = 1
    image[:, 2, :, 2:] = 1
    expected = [0.5, 0, 0.5, 0.5, -0.25, 0.5, 0, 0.5, 0.5, 0.75]
    torch.testing.assert_close(colours(image)[0], torch.tensor(expected), atol=2e-3, rtol=0)

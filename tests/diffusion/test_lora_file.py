"""LoRA files as others save them: every spelling changes the image as diffusers' own does, or is named."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from rewardkit.diffusion import lora
from rewardkit.diffusion.families.flux import FluxBase
from rewardkit.diffusion.families.sd3 import StableDiffusion3Base
from rewardkit.diffusion.load_lora import load_loras, with_scale
from rewardkit.diffusion.lora_file import ALPHA_NAME, WEIGHTS_NAME
from rewardkit.diffusion.sampler import generate_images
from rewardkit.diffusion.tiny.pipelines import tiny_flux, tiny_sd3
from rewardkit.errors import UserError

LAYER = "transformer_blocks.0.attn.to_q"
FLAT = LAYER.replace(".", "_")


def draw(*loras: str | Path, scales: list[float] | None = None) -> Tensor:
    base = StableDiffusion3Base(tiny_sd3())
    load_loras(base, list(loras), scales)
    return generate_images(base, ["a red circle"], steps=2)


def matrices(rank: int = 4, rows: int = 16, columns: int = 16) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(rank)
    return {"A": torch.randn(rank, columns, generator=generator), "B": torch.randn(rows, rank, generator=generator)}


def saved(path: Path, key: str, sides: Mapping[str, str], more: Mapping[str, Tensor] | None = None) -> Path:
    tensors = {key.format(sides.get(side, side)): value for side, value in matrices().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({**tensors, **(more or {})}, path)
    return path


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return saved(tmp_path / "plain" / WEIGHTS_NAME, f"transformer.{LAYER}.lora_{{}}.weight", {})


SPELLINGS: dict[str, tuple[str, dict[str, str]]] = {
    "peft's": (f"transformer.{LAYER}.lora_{{}}.default.weight", {}),
    "another adapter's name": (f"{LAYER}.lora_{{}}.mine.weight", {}),
    "peft's model": (f"base_model.model.{LAYER}.lora_{{}}.weight", {}),
    "bare": (f"{LAYER}.lora_{{}}.weight", {}),
    "comfy": (f"diffusion_model.{LAYER}.lora_{{}}.weight", {}),
    "comfy, up and down": (f"diffusion_model.{LAYER}.lora_{{}}.weight", {"A": "down", "B": "up"}),
    "kohya": (f"lora_unet_{FLAT}.lora_{{}}.weight", {"A": "down", "B": "up"}),
    "OneTrainer": (f"lora_transformer_{FLAT}.lora_{{}}.weight", {"A": "down", "B": "up"}),
    "old diffusers": (f"transformer.{LAYER}.lora.{{}}.weight", {"A": "down", "B": "up"}),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_draws_the_same(plain: Path, tmp_path: Path, spelling: str) -> None:
    key, sides = SPELLINGS[spelling]
    other = saved(tmp_path / "other" / "any name.safetensors", key, sides)
    wanted = draw(plain)
    assert (wanted - draw()).abs().max() > 1e-3
    assert torch.equal(draw(other), wanted)
    assert torch.equal(draw(other.parent), wanted)  # the only file of its folder


@pytest.mark.parametrize("key", [f"transformer.{LAYER}", f"lora_unet_{FLAT}"])
def test_alpha_scales_by_alpha_over_rank(plain: Path, tmp_path: Path, key: str) -> None:
    more = {f"{key}.alpha": torch.tensor(2.0)}
    scaled = saved(tmp_path / "scaled.safetensors", f"{key}.lora_{{}}.weight", {"A": "down", "B": "up"}, more)
    torch.testing.assert_close(draw(scaled), draw(plain, scales=[0.5]), atol=1e-6, rtol=0)


def test_a_scale_stands_after_the_path_unless_the_whole_exists(plain: Path, tmp_path: Path) -> None:
    half = draw(plain, scales=[0.5])
    assert torch.equal(draw(f"{plain}:0.5"), half)
    assert torch.equal(draw(f"{plain.parent}:1", scales=[0.5]), half)
    assert not torch.equal(half, draw(plain))
    as_given = tmp_path / "mine:0.5"
    saved(as_given / WEIGHTS_NAME, f"transformer.{LAYER}.lora_{{}}.weight", {})
    assert with_scale(as_given) == (as_given, 1.0)
    assert with_scale(Path(f"{as_given}:-1e-1")) == (as_given, -0.1)
    assert with_scale(Path("C:/mine")) == (Path("C:/mine"), 1.0)
    with pytest.raises(UserError, match="finite number"):
        with_scale(Path(f"{plain}:nan"))


KOHYA = "lora_unet_double_blocks_0_img_attn_proj"
BFL = "diffusion_model.double_blocks.0.img_attn.proj"


@pytest.mark.parametrize("key", [KOHYA, BFL])
def test_names_of_another_implementation_go_through_diffusers_converter(tmp_path: Path, key: str) -> None:
    """FLUX as Black Forest Labs name its layers: what the stock pipeline draws with the same file."""
    pipeline = tiny_flux()
    width = pipeline.transformer.transformer_blocks[0].attn.to_out[0].weight.shape
    sides = {"A": "down", "B": "up"}
    tensors = {f"{key}.lora_{sides[side]}.weight": value for side, value in matrices(4, *width).items()}
    save_file({**tensors, f"{key}.alpha": torch.tensor(2.0)}, tmp_path / "flux.safetensors")
    images = []
    for ours in (True, False, None):
        base = FluxBase(tiny_flux())
        if ours:
            load_loras(base, tmp_path / "flux.safetensors")
        elif ours is False:
            base.pipeline.load_lora_weights(str(tmp_path / "flux.safetensors"))
        images.append(generate_images(base, ["a red circle"], steps=2))
    torch.testing.assert_close(images[0], images[1], atol=1e-6, rtol=0)
    assert (images[0] - images[2]).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("lora_unet_joint_blocks_0_x_block_attn_qkv.lora_{}.weight", "kohya's spelling"),
        ("diffusion_model.double_blocks.0.img_attn.qkv.lora_{}.weight", "ComfyUI's spelling"),
        ("transformer.transformer_blocks.99.attn.to_q.lora_{}.weight", r"another base.*transformer_blocks\.99"),
        ("transformer.transformer_blocks.0.ff.net.2.lora_{}.weight", r"another base.*\(16, 64\)"),
        (f"transformer.{LAYER}.lokr_w{{}}", "LoKr"),
        ("first_stage_model.{}.weight", "is no LoRA"),
    ],
)
def test_what_is_not_read_is_named(tmp_path: Path, key: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        draw(saved(tmp_path / "other.safetensors", key, {}))


def test_what_changes_no_layer_is_refused(plain: Path, tmp_path: Path) -> None:
    zero = {key: torch.zeros_like(value) for key, value in load_file(plain).items()}
    save_file(zero, tmp_path / "zero.safetensors")
    save_file({}, tmp_path / "empty.safetensors")
    save_file({key: value for key, value in load_file(plain).items() if "_A" in key}, tmp_path / "half.safetensors")
    for name, words in (("zero", "changes no layer"), ("empty", "changes no layer"), ("half", "has no lora_B")):
        with pytest.raises(UserError, match=words):
            draw(tmp_path / f"{name}.safetensors")


def test_a_folder_of_several_files_asks_for_one(tmp_path: Path) -> None:
    for name in ("a", "b"):
        saved(tmp_path / f"{name}.safetensors", f"{LAYER}.lora_{{}}.weight", {})
    with pytest.raises(UserError, match="give one of its 2"):
        draw(tmp_path)


def test_alpha_is_written_for_others_where_it_is_not_the_rank(tmp_path: Path) -> None:
    for rank, alpha in ((4, 4.0), (4, 2.0)):
        base = StableDiffusion3Base(tiny_sd3())
        drawn = torch.Generator().manual_seed(0)
        adapter = lora.attach(base.denoiser, rank=rank, alpha=alpha, targets=base.lora_targets, generator=drawn)
        for parameter in adapter.values():
            parameter.data.add_(0.1)
        folder = tmp_path / str(alpha)
        lora.save(base.denoiser, folder)
        tuned = generate_images(base, ["a red circle"], steps=2)
        assert (folder / ALPHA_NAME).exists() == (alpha != rank)
        torch.testing.assert_close(draw(folder), tuned, atol=1e-6, rtol=0)
    others = load_file(tmp_path / "2.0" / ALPHA_NAME)
    alphas = {key: float(value) for key, value in others.items() if key.endswith(".alpha")}
    assert len(alphas) == len(others) / 3
    assert set(alphas.values()) == {2.0}
    torch.testing.assert_close(draw(tmp_path / "2.0" / ALPHA_NAME), tuned, atol=1e-6, rtol=0)

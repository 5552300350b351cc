"""The flow-matching loss on real images: its closed form, its gradient, and that a run resumes to the same bits."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from refl import pretrain
from refl.command import train
from refl.config import ReflConfig
from refl.learner import lora_learner
from refl.pretrain import RealImages, square
from rewardkit.diffusion import lora
from rewardkit.diffusion.families.sd3 import StableDiffusion3Base
from rewardkit.diffusion.lora_file import WEIGHTS_NAME
from rewardkit.diffusion.prompt_cache import PromptCache
from rewardkit.errors import UserError
from rewardkit.images import save_image
from rewardkit.training.batch_shard import BatchShard
from rewardkit.training.flow_matching import flow_loss, noised
from tests.refl.chains import double_base, numeric


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    generator = torch.Generator().manual_seed(0)
    rows = []
    for index in range(3):
        save_image(torch.rand(3, 20, 24 + index, generator=generator), folder / f"{index}.png")
        rows.append(json.dumps({"file_name": f"{index}.png", "prompt": f"a photo of {index}"}))
    (folder / "metadata.jsonl").write_text("\n".join(rows))
    return folder


def real_images(base: StableDiffusion3Base, folder: Path) -> RealImages:
    return RealImages(pretrain.read(folder), base, PromptCache(base), base.encode([""]), BatchShard(2), weight=1.0)


def streams(step: int, stream: str) -> torch.Generator:
    return torch.Generator().manual_seed(step + sum(map(ord, stream)))


def test_the_gradient_is_that_of_finite_differences(stir: Callable) -> None:
    base, _ = double_base()
    adapter = lora.attach(base.denoiser, rank=2, alpha=2.0, targets=["to_v"], generator=torch.Generator())
    stir(adapter)
    conditioning, random = base.encode(["a", "b"]), torch.Generator().manual_seed(0)
    latents, noise = torch.randn(2, 2, 4, 8, 8, generator=random, dtype=torch.float64).unbind()
    level = torch.tensor([0.3, 0.8], dtype=torch.float64)

    def loss() -> torch.Tensor:
        velocity = base.velocity(noised(latents, noise, level), level, conditioning)
        return flow_loss(velocity, latents, noise)

    loss().backward()
    parameter = max(adapter.values(), key=lambda each: each.grad.abs().max().item())
    wanted = parameter.grad.view(-1)[parameter.grad.abs().argmax()].item()
    assert wanted == pytest.approx(numeric(loss, parameter), rel=1e-5)


def test_descending_it_fits_the_images(
    base: StableDiffusion3Base, adapter: dict[str, nn.Parameter], photos: Path
) -> None:
    real = real_images(base, photos)
    learner = lora_learner(adapter, lr=2e-2, warmup=1, clip=1.0, ema=0.0)
    losses = []
    for _ in range(8):
        losses.append(real.loss(0, streams).item())
        learner.update(real.loss(0, streams))
    assert losses[-1] < 0.95 * losses[0]
    assert real.loss(1, streams).item() != real.loss(0, streams).item()


@pytest.mark.usefixtures("few")
def test_a_run_with_real_images_resumes_to_the_same_bits(photos: Path, folder: Path, tmp_path: Path) -> None:
    config = ReflConfig(
        prompts=folder / "prompts.txt",
        base=str(folder / "base"),
        out=tmp_path / "run",
        rewards=("colourfulness",),
        updates=4,
        batch_size=2,
        steps=2,
        rank=2,
        warmup=1,
        lr=1e-2,
        grid_every=0,
        save_every=1,
        pretrain=photos,
        pretrain_weight=0.5,
    )
    train(config)
    halves = replace(config, out=tmp_path / "halves", pretrain=photos / "metadata.jsonl")
    train(replace(halves, updates=2))
    train(replace(halves, resume=True))
    whole, resumed = (load_file(tmp_path / name / "lora" / WEIGHTS_NAME) for name in ("run", "halves"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    rows = [json.loads(line) for line in (config.out / "metrics.jsonl").read_text().splitlines()]
    assert all(row["pretrain"] > 0 for row in rows)
    assert "pretrain" in (config.out / "report.html").read_text()


def test_images_are_cut_to_a_square_around_their_middle() -> None:
    image = torch.zeros(3, 4, 8)
    image[:, :, 2:6] = 1
    assert torch.equal(square(image, 4), torch.ones(3, 4, 4))


def test_what_cannot_be_read_is_named(photos: Path, base: StableDiffusion3Base) -> None:
    with pytest.raises(UserError, match="no folder of images"):
        pretrain.read(photos / "nowhere")
    (photos / "other.jsonl").write_text('{"file_name": "absent.png", "prompt": "a"}')
    with pytest.raises(UserError, match="names no existing image"):
        pretrain.read(photos / "other.jsonl")

    class Blind:
        denoiser, image_size, distilled_guidance = base.denoiser, 16, False
        lora_targets = encode = velocity = decode = noise = sigmas = ()
        pipeline = parts = vae = text_encoders = text_shapes = ()

    with pytest.raises(UserError, match=r"Blind has no image_latents.*--pretrain"):
        pretrain.encode(Blind(), torch.zeros(1, 3, 16, 16))  # type: ignore[arg-type]

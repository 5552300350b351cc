"""A tiny Stable Diffusion 3 with a LoRA, and the toy reward the tests climb."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from refl import session
from rewardkit.diffusion import lora
from rewardkit.diffusion.families.sd3 import StableDiffusion3Base
from rewardkit.diffusion.tiny.pipelines import tiny_sd3


class Redness:
    """Likes red over green and blue."""

    name = "redness"
    axis = "aesthetic"
    differentiable = True

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale

    def score(self, images: Tensor, prompts: list[str]) -> Tensor:
        red, green, blue = images.mean((2, 3)).unbind(1)
        return self.scale * (red - (green + blue) / 2)


@pytest.fixture
def redness() -> type[Redness]:
    return Redness


@pytest.fixture
def base() -> StableDiffusion3Base:
    return StableDiffusion3Base(tiny_sd3())


@pytest.fixture
def adapter(base: StableDiffusion3Base) -> dict[str, nn.Parameter]:
    return lora.attach(
        base.denoiser, rank=4, alpha=8.0, targets=base.lora_targets, generator=torch.Generator().manual_seed(0)
    )


@pytest.fixture
def stir() -> Callable:
    """Move an adapter away from the identity, reproducibly."""

    def stir(adapter: dict[str, nn.Parameter], std: float = 0.3) -> None:
        generator = torch.Generator().manual_seed(1)
        for parameter in adapter.values():
            parameter.data.add_(std * torch.randn(parameter.shape, generator=generator).to(parameter))

    return stir


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    tiny_sd3().save_pretrained(folder / "base")
    lines = [f"a {colour} {shape}" for colour in ("red", "blue", "green") for shape in ("circle", "square")]
    (folder / "prompts.txt").write_text("\n".join(lines))
    return folder


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Freeze the rewards' scale on a few images: enough where runs are compared with each other."""
    monkeypatch.setattr(session, "FIT_IMAGES", 4)

"""Text encoders freed: the same weights are learnt, their memory is free, and an unread prompt is named."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from refl import session
from refl.command import train
from refl.config import ReflConfig
from refl.free_text_encoders import free_text_encoders
from rewardkit.diffusion.lora_file import WEIGHTS_NAME
from rewardkit.diffusion.sampler import Sampler, SamplingConfig
from rewardkit.diffusion.tiny.families import TINY
from rewardkit.diffusion.tiny.family import TinyFamily
from rewardkit.errors import UserError
from tests.diffusion.conftest import PROMPTS


def test_a_run_learns_the_same_without_its_text_encoders(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "held.txt").write_text("a green hill\n")
    config = ReflConfig(
        prompts=folder / "prompts.txt",
        base=str(folder / "base"),
        out=tmp_path / "with",
        rewards=("colourfulness",),
        updates=2,
        batch_size=2,
        steps=3,
        rank=2,
        lr=1e-2,
        grid_every=2,
        guidance=2.0,
        judges=("posters-aesthetic",),
        guard_prompts=tmp_path / "held.txt",
        guard_images=2,
        guard_every=1,
    )
    train(config)
    train(replace(config, out=tmp_path / "without", text_encoders=False))
    first, second = (load_file(tmp_path / name / "lora" / WEIGHTS_NAME) for name in ("with", "without"))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_only_denoiser_and_decoder_stay(folder: Path, tmp_path: Path) -> None:
    config = ReflConfig(
        prompts=folder / "prompts.txt",
        base=str(folder / "base"),
        out=tmp_path / "run",
        rewards=("colourfulness",),
        steps=3,
        text_encoders=False,
    )
    begun = session.begin(config)
    assert begun.base.parts.keys() == {"transformer", "vae"}
    assert begun.base.text_encoders == {}


@pytest.mark.parametrize("family", TINY.values(), ids=list(TINY))
def test_what_was_read_can_be_drawn_and_nothing_else(family: TinyFamily) -> None:
    base = family.base()
    sampler = Sampler(base, SamplingConfig(steps=2, guidance=2.0, size=family.size))
    before = sampler.generate(PROMPTS)
    cache = free_text_encoders(base, torch.device("cpu"), PROMPTS)
    after = replace(sampler, encode=partial(cache.encode, device=torch.device("cpu")))
    assert torch.allclose(after.generate(PROMPTS), before, atol=1e-4)
    with pytest.raises(UserError, match=r"freed before.*'a hill'"):
        after.generate(["a hill"])


def test_encoders_that_learn_must_stay(tmp_path: Path) -> None:
    config = ReflConfig(prompts=tmp_path, out=tmp_path, rewards=("a",), tune_text=True, text_encoders=False)
    with pytest.raises(UserError, match="--no-text-encoders"):
        train(config)

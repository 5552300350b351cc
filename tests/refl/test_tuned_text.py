"""Text encoders that learn too: who gets a gradient, what is saved, and that stock diffusers draws the same."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from refl.command import train
from refl.config import ReflConfig
from refl.objectives.chain import Chain
from refl.tuned_text import LivePrompts, OwnReading, encoders
from rewardkit.diffusion import lora
from rewardkit.diffusion.families.flux import FluxBase
from rewardkit.diffusion.families.sd3 import StableDiffusion3Base
from rewardkit.diffusion.families.seedling import SeedlingBase
from rewardkit.diffusion.load_lora import load_loras
from rewardkit.diffusion.lora_file import WEIGHTS_NAME
from rewardkit.diffusion.sampler import generate_images
from rewardkit.diffusion.sampling import guided
from rewardkit.diffusion.tiny.pipelines import tiny_flux, tiny_sd3
from rewardkit.errors import UserError
from rewardkit.rewards.panel import Panel, Part
from rewardkit.seedling.tiny import tiny_pipeline
from tests.refl.chains import loss_of, made, streams

PROMPTS = ['a red circle, "SALE"', "a blue square"]
BASES: dict[str, Callable[[], Any]] = {
    "sd3": lambda: StableDiffusion3Base(tiny_sd3()),
    "seedling": lambda: SeedlingBase(tiny_pipeline()),
}


def tuned(base: Any, stir: Callable | None = None) -> dict[str, nn.Parameter]:
    parameters = lora.attach_all(
        base.denoiser,
        base.tunable_text_encoders,
        rank=2,
        alpha=4.0,
        targets=base.lora_targets,
        text_targets=base.text_targets,
        random=streams(0),
    )
    if stir:
        stir(parameters)
    return parameters


def draw(base: Any) -> Tensor:
    return generate_images(base, PROMPTS, steps=2, seed=4)


@pytest.fixture(params=BASES)
def base(request: pytest.FixtureRequest) -> Any:
    return BASES[request.param]()


def chain_of(base: Any) -> Chain:
    conditioning = LivePrompts(base).encode(PROMPTS, torch.device("cpu"))
    own = guided(base, OwnReading(base).encode(PROMPTS), conditioning, 1.0)
    noise = base.noise(2, torch.Generator().manual_seed(0))
    velocity = guided(base, conditioning, conditioning, 1.0)
    return Chain(velocity, velocity, noise, base.sigmas(4).to(noise), streams(0), own)


def outcome(base: Any, reward: Any, kl: float = 0.0) -> Any:
    panel = Panel([reward], {"redness": Part(std=0.1)})
    return loss_of(made("refl", kl=kl), chain_of(base), base, panel, prompts=PROMPTS)


def test_the_gradient_reaches_every_adapter_and_nothing_else(base: Any, redness: Callable, stir: Callable) -> None:
    parameters = tuned(base, stir)
    outcome(base, redness()).loss.backward()
    assert {name.split(".")[0] for name in parameters} > set(base.tunable_text_encoders)
    for prefix in base.tunable_text_encoders:
        own = [parameter for name, parameter in parameters.items() if name.startswith(f"{prefix}.")]
        assert any(parameter.grad is not None and parameter.grad.any() for parameter in own), prefix
    adapters = {id(parameter) for parameter in parameters.values()}
    parts = [part for part in base.pipeline.components.values() if isinstance(part, nn.Module)]
    others = [p for part in parts for p in part.parameters() if id(p) not in adapters]
    assert all(parameter.grad is None for parameter in others)


def test_the_base_is_held_to_its_own_reading(base: Any, redness: Callable, stir: Callable) -> None:
    before = base.encode(PROMPTS)
    parameters = tuned(base)
    assert outcome(base, redness(), kl=1.0).kl.item() == 0
    stir({name: parameter for name, parameter in parameters.items() if name.startswith("text_encoder.")})
    assert outcome(base, redness(), kl=1.0).kl.item() > 0
    own, now = OwnReading(base).encode(PROMPTS), base.encode(PROMPTS)
    assert all(torch.equal(own[name], before[name]) for name in before)
    assert any(not torch.equal(now[name], before[name]) for name in before)


@pytest.mark.parametrize("how", ["ours", "stock"])
def test_what_is_saved_draws_the_same(base: Any, stir: Callable, tmp_path: Path, how: str) -> None:
    if how == "stock" and isinstance(base, SeedlingBase):
        pytest.skip("its pipeline's loader takes adapters of the transformer alone")
    before = draw(base)
    stir(tuned(base))
    after = draw(base)
    lora.save(base.denoiser, tmp_path, base.tunable_text_encoders)
    fresh: Any = BASES["seedling" if isinstance(base, SeedlingBase) else "sd3"]()
    if how == "stock":
        fresh.pipeline.load_lora_weights(str(tmp_path))
    else:
        load_loras(fresh, [tmp_path])
    torch.testing.assert_close(draw(fresh), after, atol=1e-5, rtol=0)
    assert (after - before).abs().max() > 1e-3
    if how == "ours":
        assert not any(
            p.requires_grad for encoder in fresh.tunable_text_encoders.values() for p in encoder.parameters()
        )


def test_a_scale_of_zero_switches_the_text_off_as_well(base: Any, stir: Callable, tmp_path: Path) -> None:
    before = draw(base)
    stir(tuned(base))
    lora.save(base.denoiser, tmp_path, base.tunable_text_encoders)
    fresh: Any = BASES["seedling" if isinstance(base, SeedlingBase) else "sd3"]()
    load_loras(fresh, [tmp_path], [0.0])
    torch.testing.assert_close(draw(fresh), before, atol=1e-5, rtol=0)


@pytest.mark.usefixtures("few")
def test_a_run_resumes_to_the_same_bits_and_another_starts_from_it(folder: Path, tmp_path: Path) -> None:
    config = ReflConfig(
        prompts=folder / "prompts.txt",
        base=str(folder / "base"),
        out=tmp_path / "run",
        rewards=("colourfulness",),
        updates=2,
        batch_size=2,
        steps=2,
        rank=2,
        warmup=1,
        lr=1e-2,
        grid_every=0,
        save_every=1,
        kl=0.1,
        guidance=2.0,
        tune_text=True,
    )
    train(config)
    halves = replace(config, out=tmp_path / "halves")
    train(replace(halves, updates=1))
    train(replace(halves, resume=True))
    whole, resumed = (load_file(tmp_path / name / "lora" / WEIGHTS_NAME) for name in ("run", "halves"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    learnt = {name.split(".")[0] for name, value in whole.items() if "lora_B" in name and value.any()}
    assert learnt == {"transformer", "text_encoder", "text_encoder_2"}
    train(replace(config, out=tmp_path / "on", start=config.out / "lora", lr=0.0, updates=1))
    again = load_file(tmp_path / "on" / "lora" / WEIGHTS_NAME)
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    with pytest.raises(UserError, match="--tune-text"):
        train(replace(config, out=tmp_path / "off", start=config.out / "lora", tune_text=False))
    assert json.loads((config.out / "metrics.jsonl").read_text().splitlines()[-1])["kl"] > 0


def test_bases_and_objectives_that_cannot_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="FluxBase has no text encoder"):
        encoders(FluxBase(tiny_flux()), True)
    with pytest.raises(UserError, match=r"nft.*--tune-text"):
        train(ReflConfig(prompts=tmp_path, out=tmp_path, rewards=("a",), objective="nft", tune_text=True))

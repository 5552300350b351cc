"""The adapter: identity at first, the base when off, and one file that stock diffusers loads."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from rewardkit.diffusion import lora
from rewardkit.diffusion.families.sd3 import StableDiffusion3Base
from rewardkit.diffusion.load_lora import load_loras
from rewardkit.diffusion.lora_file import WEIGHTS_NAME
from rewardkit.diffusion.sampler import generate_images
from rewardkit.diffusion.tiny.pipelines import tiny_sd3
from rewardkit.errors import UserError

PROMPTS = ['a red circle, "SALE"', "a blue square"]


def draw(base: StableDiffusion3Base) -> Tensor:
    return generate_images(base, PROMPTS, steps=2, seed=4)


def test_a_fresh_lora_is_the_identity(base: StableDiffusion3Base) -> None:
    before = draw(base)
    lora.attach(base.denoiser, rank=4, alpha=4.0, targets=base.lora_targets, generator=torch.Generator())
    assert torch.equal(draw(base), before)


def test_reference_is_the_base_and_restores(base: StableDiffusion3Base, stir: Callable) -> None:
    before = draw(base)
    adapter = lora.attach(base.denoiser, rank=4, alpha=4.0, targets=base.lora_targets, generator=torch.Generator())
    stir(adapter)
    tuned = draw(base)
    with lora.reference(base.denoiser):
        assert torch.equal(draw(base), before)
    assert torch.equal(draw(base), tuned)
    assert (tuned - before).abs().max() > 1e-3
    assert all(parameter.requires_grad for parameter in adapter.values())


def test_only_the_adapter_takes_gradients(base: StableDiffusion3Base, adapter: dict[str, nn.Parameter]) -> None:
    trained = {name for name, parameter in base.denoiser.named_parameters() if parameter.requires_grad}
    assert trained == set(adapter)
    assert len(adapter) > 0


def test_the_adapter_does_not_depend_on_the_global_seed() -> None:
    weights = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        base = StableDiffusion3Base(tiny_sd3())
        weights.append(
            lora.attach(base.denoiser, rank=4, alpha=4.0, targets=["to_q"], generator=torch.Generator().manual_seed(9))
        )
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_master_weights_stay_full_precision() -> None:
    """An update of 1e-4 on a bfloat16 weight near 1 would round away."""
    pipeline = tiny_sd3()
    pipeline.to(torch.bfloat16)
    pipeline.vae.float()
    base = StableDiffusion3Base(pipeline)
    adapter = lora.attach(base.denoiser, rank=4, alpha=4.0, targets=["to_q", "to_k"], generator=torch.Generator())
    assert {parameter.dtype for parameter in adapter.values()} == {torch.float32}
    noise = base.noise(1, torch.Generator())
    base.velocity(noise, torch.ones(1), base.encode(["a"])).sum().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in adapter.values())


@pytest.mark.parametrize("how", ["pipeline", "transformer", "ours"])
def test_stock_diffusers_loads_it_and_draws_the_same(
    base: StableDiffusion3Base, adapter: dict[str, nn.Parameter], stir: Callable, tmp_path: Path, how: str
) -> None:
    stir(adapter)
    tuned = draw(base)
    lora.save(base.denoiser, tmp_path)
    pipeline = tiny_sd3()
    if how == "pipeline":
        pipeline.load_lora_weights(str(tmp_path))
    elif how == "transformer":
        pipeline.transformer.load_lora_adapter(str(tmp_path), prefix="transformer", weight_name=WEIGHTS_NAME)
    fresh = StableDiffusion3Base(pipeline)
    if how == "ours":
        load_loras(fresh, [tmp_path])
    torch.testing.assert_close(draw(fresh), tuned, atol=1e-6, rtol=0)
    assert not any(parameter.requires_grad for parameter in fresh.denoiser.parameters())


def test_the_file_is_the_same_for_the_same_weights(
    base: StableDiffusion3Base, adapter: dict[str, nn.Parameter], tmp_path: Path
) -> None:
    lora.save(base.denoiser, tmp_path / "a")
    lora.save(base.denoiser, tmp_path / "b")
    assert (tmp_path / "a" / WEIGHTS_NAME).read_bytes() == (tmp_path / "b" / WEIGHTS_NAME).read_bytes()
    with safe_open(tmp_path / "a" / WEIGHTS_NAME, framework="pt") as file:
        assert '"transformer.lora_alpha": 8.0' in file.metadata()["lora_adapter_metadata"]


def test_wrong_lora_folders_are_named(base: StableDiffusion3Base, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is missing"):
        load_loras(base, [tmp_path])
    (tmp_path / WEIGHTS_NAME).write_bytes(b"not safetensors")
    with pytest.raises(UserError, match="cannot be read"):
        load_loras(base, [tmp_path])


def test_a_lora_of_another_base_is_refused(
    base: StableDiffusion3Base, adapter: dict[str, nn.Parameter], tmp_path: Path
) -> None:
    lora.save(base.denoiser, tmp_path)
    other = StableDiffusion3Base(tiny_sd3())
    blocks: Any = other.denoiser.transformer_blocks
    del blocks[1]
    with pytest.raises(UserError, match=r"another base.*transformer_blocks\.1"):
        load_loras(other, [tmp_path])


@pytest.mark.parametrize(("rank", "targets", "words"), [(0, ["to_q"], "rank"), (2, ["no_such_layer"], "no_such_layer")])
def test_adapters_that_cannot_be_are_refused(
    base: StableDiffusion3Base, rank: int, targets: list[str], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        lora.attach(base.denoiser, rank=rank, alpha=1.0, targets=targets, generator=torch.Generator())


def test_a_run_can_start_from_a_saved_adapter(
    base: StableDiffusion3Base, adapter: dict[str, nn.Parameter], stir: Callable, tmp_path: Path
) -> None:
    stir(adapter)
    lora.save(base.denoiser, tmp_path)
    fresh = StableDiffusion3Base(tiny_sd3())
    options: Any = {"alpha": 8.0, "targets": base.lora_targets, "generator": torch.Generator()}
    parameters = lora.attach(fresh.denoiser, rank=4, **options)
    lora.take_up(parameters, tmp_path)
    assert all(torch.equal(parameters[name], adapter[name]) for name in adapter)
    other = StableDiffusion3Base(tiny_sd3())
    with pytest.raises(UserError, match="another rank"):
        lora.take_up(lora.attach(other.denoiser, rank=3, **options), tmp_path)
    with pytest.raises(UserError, match="is missing"):
        lora.take_up(parameters, tmp_path / "nowhere")

"""`refl` on two processes through gloo learns what one process learns from the same batch."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from refl.command import train
from refl.config import ReflConfig
from rewardkit.diffusion.lora_file import WEIGHTS_NAME
from rewardkit.images import save_image
from rewardkit.io.toml import to_toml
from rewardkit.seedling.tiny import tiny_pipeline

ROOT = Path(__file__).resolve().parent.parent.parent

WORKER = """
import sys
from pathlib import Path

from refl import lora, session
from refl.config import ReflConfig
from refl.shard import shard
from refl.command import train
from rewardkit.diffusion.tiny.pipelines import tiny_sd3
from rewardkit.commands.config import parse
from rewardkit.training.processes import processes

session.FIT_IMAGES = 5
for path in sys.argv[1:]:
    train(parse(ReflConfig, ["--config", path], prog="refl", description=""))

denoiser = tiny_sd3().transformer
adapter = lora.attach(denoiser, rank=2, alpha=2.0, targets=["to_q"], generator=session.torch.Generator())
whole = sum(weight.numel() for weight in denoiser.parameters() if not weight.requires_grad)
shard(denoiser, adapter.values(), processes("cpu"))
held = sum(weight.to_local().numel() for weight in denoiser.parameters() if not weight.requires_grad)
assert abs(held / whole - 0.5) < 0.01, (held, whole)
assert set(adapter) == set(lora.named_parameters(denoiser))
assert all(type(weight) is session.torch.nn.Parameter for weight in adapter.values())
"""

STEPS = 3


@pytest.fixture(scope="module")
def configs(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, ReflConfig]:
    """What one process did and two did, by name; parts of a batch are uneven in each."""
    out = tmp_path_factory.mktemp("runs")
    tiny_pipeline().save_pretrained(folder / "seedling")
    photos = folder / "photos"
    photos.mkdir()
    for index in range(3):
        save_image(torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(index)), photos / f"{index}.png")
    rows = [json.dumps({"file_name": f"{index}.png", "prompt": f"a photo of {index}"}) for index in range(3)]
    (photos / "metadata.jsonl").write_text("\n".join(rows))
    shared: dict[str, Any] = {
        "prompts": folder / "prompts.txt",
        "rewards": ("colourfulness", "tests.refl.conftest:Redness"),
        "updates": STEPS,
        "batch_size": 5,
        "steps": 3,
        "rank": 2,
        "kl": 0.1,
        "warmup": 1,
        "lr": 1e-3,
        "grid_every": 0,
        "save_every": 1,
        "targets": {"redness": 20.0, "colourfulness": 20.0},
    }
    refl = ReflConfig(base=str(folder / "base"), out=out / "refl", **shared)
    return {
        "refl": refl,
        "sharded": replace(
            refl,
            out=out / "sharded",
            objective="draft-k",
            save_memory="all",
            grid_every=STEPS,
            guidance=2.0,
            judges=("posters-aesthetic",),
            guard_images=3,
            guard_every=2,
        ),
        "noises": replace(refl, out=out / "noises", objective="draft-lv", balance=True, pretrain=photos),
        "nft": replace(
            refl,
            out=out / "nft",
            base=str(folder / "seedling"),
            objective="nft",
            batch_size=6,
            group=2,
            judges=("posters-aesthetic",),
            guard_images=3,
            guard_every=2,
        ),
        "flow-grpo": replace(refl, out=out / "flow-grpo", objective="flow-grpo", batch_size=6, group=2, grad_steps=1),
    }


@pytest.fixture(scope="module")
def on_two(configs: dict[str, ReflConfig], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Run all on two processes, one of them stopped and resumed as well; give their folder and what was said."""
    folder = tmp_path_factory.mktemp("two")
    runs = [replace(config, out=folder / name, shard=name == "sharded") for name, config in configs.items()]
    halves = replace(runs[0], out=folder / "halves")
    runs += [replace(halves, updates=1), replace(halves, resume=True)]
    for number, run in enumerate(runs):
        (folder / f"{number}.toml").write_text(to_toml(run))
    (folder / "worker.py").write_text(WORKER)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    done = subprocess.run(
        [*launcher, str(folder / "worker.py"), *(str(folder / f"{number}.toml") for number in range(len(runs)))],
        capture_output=True,
        text=True,
        timeout=600,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "lora" / WEIGHTS_NAME)


def rows(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["refl", "sharded", "noises", "nft", "flow-grpo"])
def test_two_processes_learn_what_one_does(
    configs: dict[str, ReflConfig], on_two: tuple[Path, str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("refl.session.FIT_IMAGES", 5)
    config, two = configs[name], on_two[0] / name
    train(config)
    one = weights(config.out)
    torch.testing.assert_close(weights(two), one, rtol=0, atol=1e-5)
    assert max(value.abs().max() for key, value in one.items() if "lora_B" in key) > 1e-3
    assert rows(two) == [pytest.approx(row, rel=1e-3, abs=1e-4) for row in rows(config.out)]
    panels = [json.loads((out / "panel.json").read_text()) for out in (config.out, two)]
    assert panels[1] == {part: pytest.approx(values, rel=1e-4) for part, values in panels[0].items()}
    grids = [sorted(path.name for path in (out / "samples").glob("*")) for out in (config.out, two)]
    assert grids[0] == grids[1]
    if config.judges:
        verdicts = [json.loads((out / "guard.json").read_text()) for out in (config.out, two)]
        assert [check["step"] for check in verdicts[1]["checks"]] == [0, 2, 3]
        for before, after in zip(verdicts[0]["checks"], verdicts[1]["checks"], strict=True):
            assert after["probe/diversity"] == pytest.approx(before["probe/diversity"], rel=1e-2, abs=1e-4)
            assert after["trained"] == pytest.approx(before["trained"], rel=1e-2, abs=1e-3)


@pytest.mark.slow
def test_two_processes_resume_to_the_same_bits_and_one_speaks(on_two: tuple[Path, str]) -> None:
    folder, said = on_two
    whole, halves = weights(folder / "refl"), weights(folder / "halves")
    assert all(torch.equal(halves[name], whole[name]) for name in whole)
    assert rows(folder / "halves") == rows(folder / "refl")
    assert [row["step"] for row in rows(folder / "refl")] == list(range(1, STEPS + 1))
    assert said.count("LoRA written to") == 7

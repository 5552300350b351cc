"""Whole runs on a tiny base: what is written, and that a killed run ends on the same weights."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from refl.command import train
from refl.config import ReflConfig
from refl.objectives.table import ObjectiveName
from rewardkit.commands.config import parse
from rewardkit.diffusion.config import GenerateConfig
from rewardkit.diffusion.generate import generate
from rewardkit.diffusion.load import load_base
from rewardkit.diffusion.lora_file import WEIGHTS_NAME
from rewardkit.diffusion.prompt_cache import PromptCache
from rewardkit.diffusion.sampler import image_seed
from rewardkit.errors import UserError
from rewardkit.images import load_image
from rewardkit.io.toml import to_toml
from rewardkit.rewards.formulas import colourfulness
from rewardkit.training import order


@pytest.fixture
def config(folder: Path, tmp_path: Path) -> ReflConfig:
    return ReflConfig(
        prompts=folder / "prompts.txt",
        base=str(folder / "base"),
        out=tmp_path / "run",
        rewards=("colourfulness",),
        updates=4,
        batch_size=2,
        steps=3,
        rank=2,
        kl=0.1,
        warmup=2,
        lr=1e-2,
        grid_every=2,
        save_every=1,
    )


def weights(out: Path) -> dict[str, Tensor]:
    return load_file(out / "lora" / WEIGHTS_NAME)


def rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_a_run_leaves_weights_metrics_and_grids(config: ReflConfig) -> None:
    train(config)
    assert [row["step"] for row in rows(config.out)] == [1, 2, 3, 4]
    assert {"loss", "kl", "grad_norm", "reward/colourfulness", "z/colourfulness"} <= rows(config.out)[0].keys()
    assert sorted(path.name for path in (config.out / "samples").iterdir()) == [
        "step_000000.png",
        "step_000002.png",
        "step_000004.png",
    ]
    assert any(value.abs().max() > 0 for name, value in weights(config.out).items() if "lora_B" in name)
    panel = json.loads((config.out / "panel.json").read_text())
    assert panel["colourfulness"]["std"] > 0


@pytest.mark.parametrize("objective", get_args(ObjectiveName))
def test_stopping_and_resuming_gives_the_same_bits(
    config: ReflConfig, tmp_path: Path, objective: ObjectiveName
) -> None:
    config = replace(config, objective=objective, group=2, grid_every=4 if objective == "refl" else 0, batch_size=4)
    train(config)
    halves = replace(config, out=tmp_path / "halves")
    train(replace(halves, updates=2))
    train(replace(halves, resume=True))
    assert same(weights(config.out), weights(halves.out))
    assert rows(config.out) == rows(halves.out)
    assert any(value.abs().max() > 0 for name, value in weights(config.out).items() if "lora_B" in name)
    grid = "samples/step_000004.png"
    if config.grid_every:
        assert (config.out / grid).read_bytes() == (halves.out / grid).read_bytes()


@pytest.mark.parametrize("objective", ["nft", "flow-grpo"])
def test_a_judge_that_is_no_network_is_climbed(config: ReflConfig, objective: ObjectiveName) -> None:
    train(replace(config, objective=objective, rewards=("posters-aesthetic",), group=2, updates=1, guidance=2.0))
    assert any(value.abs().max() > 0 for name, value in weights(config.out).items() if "lora_B" in name)


def test_a_run_goes_on_from_another_and_ends_with_a_page(config: ReflConfig, tmp_path: Path) -> None:
    first = replace(config, updates=1, lr=1e-1, warmup=1, ema=0.0)
    train(first)
    second = replace(first, out=tmp_path / "second", start=first.out / "lora", lr=0.0)
    train(second)
    assert same(weights(first.out), weights(second.out))
    page = (first.out / "report.html").read_text()
    assert "colourfulness" in page
    assert "data:image/webp" in page


def test_a_run_killed_at_any_moment_resumes_to_the_same_bits(config: ReflConfig, tmp_path: Path) -> None:
    config = replace(config, updates=12, grid_every=0)
    train(config)
    killed = replace(config, out=tmp_path / "killed", resume=True)
    words = [
        "--prompts",
        str(config.prompts),
        "--base",
        config.base,
        "--out",
        str(killed.out),
        "--rewards",
        "colourfulness",
        "--updates",
        "12",
        "--batch-size",
        "2",
        "--steps",
        "3",
        "--rank",
        "2",
        "--kl",
        "0.1",
        "--warmup",
        "2",
        "--lr",
        "0.01",
        "--grid-every",
        "0",
        "--save-every",
        "1",
        "--resume",
    ]
    for wait_for in (1, 5):
        process = subprocess.Popen(
            [sys.executable, "-m", "rewardkit", "refl", *words],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        kill_after(process, killed.out / "checkpoints", wait_for)
    train(killed)
    assert same(weights(config.out), weights(killed.out))
    assert rows(config.out) == rows(killed.out)


def kill_after(process: subprocess.Popen, checkpoints: Path, step: int) -> None:
    """Kill the run once it has saved this step: it is then somewhere in the steps after."""
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if any(int(path.name[5:]) >= step for path in checkpoints.glob("step_*")):
            break
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors.decode()


class Spoiling:
    """Turns to NaN after a while."""

    name = "spoiling"
    axis = "aesthetic"
    differentiable = True
    calls = 0

    def score(self, images: Tensor, prompts: list[str]) -> Tensor:
        type(self).calls += 1
        scores = images.mean((1, 2, 3))
        return scores * float("nan") if self.calls > 35 else scores  # a gradient, 32 batches to fit, two updates


def test_a_nan_reward_stops_with_one_line_and_the_checkpoint_stays(
    config: ReflConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "spoiling", sys.modules[__name__])
    monkeypatch.setattr(Spoiling, "calls", 0)
    with pytest.raises(UserError, match=r"'spoiling' gave nan for sample 0") as error:
        train(replace(config, rewards=("spoiling:Spoiling",)))
    assert "\n" not in str(error.value)
    assert sorted(path.name for path in (config.out / "checkpoints").iterdir()) == ["step_000001", "step_000002"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rewards": ("colourfulnes",)}, "colourfulness"),
        ({"rewards": ()}, "no reward"),
        ({"weights": {"speed": 1.0}}, r"weights.*'speed'.*aesthetic"),
        ({"prompts": Path("nowhere.txt")}, "nowhere.txt"),
        ({"base": "nowhere/at-all"}, "nowhere/at-all"),
        ({"target_modules": ("nothing",)}, "nothing"),
        ({"window": (0.9, 0.1)}, "window"),
        ({"batch_size": 0}, "batch_size"),
        ({"ema": 1.0}, "ema"),
        ({"steps": 0}, "steps"),
        ({"rewards": ("posters-aesthetic",)}, "not differentiable.*--objective nft"),
        ({"objective": "draft-k", "grad_steps": 4}, "grad_steps must be between 1 and 3"),
        ({"objective": "nft", "group": 3}, "group must be"),
        ({"objective": "nft", "group": 2, "balance": True}, "balance"),
        ({"objective": "flow-grpo", "group": 2, "grad_steps": 9}, "grad_steps must be"),
        ({"judges": ("colourfulness",)}, "'colourfulness' is trained on"),
        ({"judges": ("posters-aesthetic",), "guard_images": 1}, "guard_images"),
        ({"start": Path("nowhere")}, "no LoRA in nowhere"),
        ({"pretrain": Path("nowhere")}, "no folder of images at nowhere"),
        ({"shard": True}, "shard needs several processes, but there is only one"),
        ({"device": "cuda:99"}, "device 'cuda:99' is not here"),
        ({"reward_device": "cellar"}, "no device is called 'cellar'"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*local_dir_use_symlinks.*:UserWarning")  # diffusers' own
def test_mistakes_are_named(
    monkeypatch: pytest.MonkeyPatch, config: ReflConfig, change: dict[str, Any], words: str
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=words):
        train(replace(config, **change))


def test_another_rank_cannot_resume(config: ReflConfig) -> None:
    train(replace(config, updates=1))
    with pytest.raises(UserError, match=r"lora_A.* is of shape \(2, .*, not of shape \(3, "):
        train(replace(config, rank=3, resume=True))


def test_a_weight_by_axis_and_a_target_reach_the_panel(config: ReflConfig) -> None:
    train(replace(config, updates=1, weights={"aesthetic": 2.0}, targets={"colourfulness": 1.5}))
    panel = json.loads((config.out / "panel.json").read_text())
    assert (panel["colourfulness"]["weight"], panel["colourfulness"]["target"]) == (2.0, 1.5)


def test_generate_draws_with_the_trained_lora(config: ReflConfig, tmp_path: Path) -> None:
    train(replace(config, updates=2))
    out = tmp_path / "drawn"
    plain = GenerateConfig(out=out / "plain", prompts=config.prompts, base=config.base, steps=2, batch_size=4)
    generate(plain)
    generate(replace(plain, out=out / "tuned", lora=(config.out / "lora",)))
    names = [f"{index:05d}.png" for index in range(6)]
    assert sorted(path.name for path in (out / "plain").iterdir()) == [*names, "grid.png", "prompts.jsonl"]
    row = json.loads((out / "plain" / "prompts.jsonl").read_text().splitlines()[1])
    assert row == {"prompt": "a red square", "image": "00001.png", "seed": image_seed(0, 1)}
    changed = [load_image(out / "plain" / name) - load_image(out / "tuned" / name) for name in names]
    assert any(change.abs().max() > 0.005 for change in changed)


@pytest.mark.parametrize("options", [{}, {"prompts": Path("a.txt"), "prompt": ("a",)}])
def test_generate_wants_one_source_of_prompts(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="either --prompts"):
        generate(GenerateConfig(out=tmp_path, **options))


def test_an_epoch_goes_through_every_prompt_once() -> None:
    def generator(epoch: int) -> torch.Generator:
        return torch.Generator().manual_seed(epoch)

    seen = [index for step in range(5) for index in order.batch(step, 4, 10, generator)]
    assert sorted(seen[:10]) == list(range(10)) == sorted(seen[10:])
    assert seen[:10] != seen[10:]


def test_cached_embeddings_are_those_of_the_prompt(folder: Path) -> None:
    base = load_base(str(folder / "base"))
    cache = PromptCache(base, limit=1)
    first = cache.encode(["a", "b", "a"], torch.device("cpu"))
    assert torch.equal(first["embeds"][0], first["embeds"][2])
    torch.testing.assert_close(first["embeds"][1:2], base.encode(["b"])["embeds"])


def test_colourfulness_is_the_published_formula() -> None:
    """Two pixels, red and grey: rg in {1, 0}, yb in {0.5, 0}."""
    images = torch.tensor([[[1.0, 0.5]], [[0.0, 0.5]], [[0.0, 0.5]]])[None]
    spread, mean = (0.5**2 + 0.25**2) ** 0.5, (0.5**2 + 0.25**2) ** 0.5
    assert colourfulness(images).item() == pytest.approx(spread + 0.3 * mean)


def test_colourfulness_has_a_gradient_even_on_grey() -> None:
    grey = torch.full((1, 3, 4, 4), 0.5, requires_grad=True)
    colourfulness(grey).sum().backward()
    assert grey.grad.isfinite().all()


def test_the_options_are_spelled_as_they_were(tmp_path: Path) -> None:
    """A file that a run wrote reads back to the same options."""
    words = ["--prompts", "p.txt", "--out", "o", "--rewards", "a", "b"]
    plain = parse(ReflConfig, words, prog="refl", description="")
    given = ["--window", "0.2", "0.8", "--judges", "c", "d", "--no-guard", "--objective", "draft-lv"]
    full = parse(ReflConfig, [*words, *given], prog="refl", description="")
    assert (full.window, full.judges, full.guard, full.objective) == ((0.2, 0.8), ("c", "d"), False, "draft-lv")
    for config in (plain, full):
        (tmp_path / "run.toml").write_text(to_toml(config))
        assert parse(ReflConfig, ["--config", str(tmp_path / "run.toml")], prog="refl", description="") == config

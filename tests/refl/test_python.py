"""`refl.train` from Python: objects in memory learn what the command learns from their names; mistakes are named."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import refl
from refl.command import train
from refl.config import ReflConfig
from rewardkit.diffusion.families.sd3 import StableDiffusion3Base
from rewardkit.diffusion.lora_file import WEIGHTS_NAME
from rewardkit.diffusion.tiny.pipelines import tiny_sd3
from rewardkit.errors import UserError
from rewardkit.prompts import Prompt, read_prompts
from rewardkit.rewards.formulas import Colourfulness

OPTIONS: dict[str, Any] = {
    "updates": 2,
    "batch_size": 2,
    "steps": 2,
    "rank": 2,
    "grid_every": 0,
    "tracker": "none",
    "lr": 1e-2,
    "warmup": 1,
}


class Redness:
    name, axis, differentiable = "redness", "alignment", True

    def score(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        return images[:, 0].mean((1, 2))


@pytest.mark.usefixtures("few")
def test_objects_learn_what_their_names_do(folder: Path, tmp_path: Path) -> None:
    train(
        ReflConfig(
            prompts=folder / "prompts.txt",
            base=str(folder / "base"),
            rewards=("colourfulness",),
            out=tmp_path / "named",
            **OPTIONS,
        )
    )
    prompts = [prompt.text for prompt in read_prompts(str(folder / "prompts.txt"))]
    found = refl.train(
        prompts, [Colourfulness()], str(tmp_path / "given"), base=StableDiffusion3Base(tiny_sd3()), **OPTIONS
    )
    assert found == tmp_path / "given" / "lora"
    first, second = load_file(tmp_path / "named" / "lora" / WEIGHTS_NAME), load_file(found / WEIGHTS_NAME)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(value.abs().max() > 0 for name, value in second.items() if "lora_B" in name)


@pytest.mark.usefixtures("few")
def test_the_run_folder_says_what_was_handed_in(tmp_path: Path) -> None:
    prompts: list[str | Prompt] = [Prompt("a hill", {"kind": "place"}), Prompt("a face", {"kind": "portrait"})]
    held_out = [Prompt("a sea", {"kind": "place"}), Prompt("a tree", {"kind": "place"})]
    base, options = StableDiffusion3Base(tiny_sd3()), OPTIONS | {"gates": {"alignment": "kind=place"}}
    with pytest.raises(UserError, match="the list of prompts has no column 'kind'"):
        refl.train([*prompts, "a lake"], [Redness()], tmp_path, base=base, **options)
    refl.train(
        prompts,
        [Redness(), "colourfulness"],
        tmp_path,
        base=base,
        judges=["posters-aesthetic"],
        guard_prompts=held_out,
        guard_images=2,
        **options,
    )
    config = tomllib.loads((tmp_path / "config.toml").read_text())
    assert (config["rewards"], config["judges"]) == (["redness", "colourfulness"], ["posters-aesthetic"])
    assert read_prompts(config["prompts"]) == prompts
    assert read_prompts(config["guard_prompts"]) == held_out


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"prompts": []}, "the list of prompts is empty"),
        ({"prompts": ["a", " "]}, "the list of prompts is empty, or one of them is"),
        ({"prompts": "nowhere.txt"}, r"cannot read .*nowhere\.txt"),
        ({"rewards": "ocr"}, r"rewards are a list of names or objects; got 'ocr', so write \['ocr'\]"),
        ({"rewards": []}, "no reward given"),
        ({"rewards": [Redness]}, "is a class; pass an object of it"),
        ({"judges": [Redness()]}, "'redness' is trained on, so it cannot judge"),
        ({"update": 3}, "there is no option 'update'; did you mean 'updates'"),
        ({"updates": 0}, "updates"),
        ({"lr": float("nan")}, "lr"),
        ({"device": "gpu"}, "gpu"),
    ],
)
def test_mistakes_are_named_before_anything_is_made(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    parts: dict[str, Any] = {"prompts": ["a"], "rewards": [Redness()], "base": StableDiffusion3Base(tiny_sd3())}
    with pytest.raises(UserError, match=says):
        refl.train(**{**parts, "out": tmp_path / "run", **OPTIONS, **change})
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("few")
def test_a_base_that_carries_a_lora_is_refused(tmp_path: Path) -> None:
    base = StableDiffusion3Base(tiny_sd3())
    refl.train(["a"], [Redness()], tmp_path / "one", base=base, **OPTIONS)
    with pytest.raises(UserError, match="already has a LoRA"):
        refl.train(["a"], [Redness()], tmp_path / "two", base=base, **OPTIONS)

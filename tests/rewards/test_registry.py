"""Rewards by name: every entry exists, near names are suggested, one axis of several can be picked."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from rewardkit.errors import UserError
from rewardkit.rewards.loaded import LoadedReward, score_all
from rewardkit.rewards.registry import REWARD_MODEL, REWARDS, _call, load_reward, load_rewards, names, resolve

MINE = '''
import torch

class Bright:
    """Mean brightness; needs nothing of rewardkit."""
    name, axis, differentiable = "bright", "aesthetic", True
    def __init__(self, device="cpu"):
        self.device = torch.device(device)
    def score(self, images, prompts):
        return images.mean((1, 2, 3))

class Several:
    name, axes, differentiable = "several", ("alignment", "text"), False
    loaded = 0
    def __init__(self):
        Several.loaded += 1
    def scores(self, images, prompts):
        return {"alignment": images[:, 0].mean((1, 2)), "text": images[:, 1].mean((1, 2))}

class NoReward:
    name = "none"

class NeedsMore(Bright):
    def __init__(self, path):
        self.path = path

class Leaves(Bright):
    def __init__(self):
        raise SystemExit(0)

class Blinds(Bright):
    def __init__(self):
        torch.set_grad_enabled(False)
'''


@pytest.fixture(autouse=True)
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's module in the folder where the command runs."""
    (tmp_path / "my_rewards.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "my_rewards", raising=False)


@pytest.mark.parametrize("where", [*REWARDS.values(), REWARD_MODEL])
def test_every_entry_of_the_table_imports(where: str) -> None:
    assert callable(resolve(where))


@pytest.mark.parametrize(
    ("word", "near"), [("ocrr", "ocr"), ("poster-text", "posters-text"), ("posters-aestetic", "posters-aesthetic")]
)
def test_a_misspelt_name_suggests_the_right_one(word: str, near: str) -> None:
    with pytest.raises(UserError, match=f"{word!r}.*did you mean {near!r}"):
        load_reward(word)


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(UserError) as error:
        load_reward("zzz")
    for name in names():
        assert name in str(error.value)


def test_a_users_class_needs_no_import_from_here() -> None:
    reward = load_reward("my_rewards:Bright", device="cpu")
    assert isinstance(reward, LoadedReward)
    assert reward.axes == {"bright": "aesthetic"}


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("my_rewards:Brigt", "no 'Brigt'; did you mean 'Bright'"),
        ("my_rewardz:Bright", "no module 'my_rewardz'"),
        ("my_rewards:NoReward", r"NoReward is no reward: it has no axis; a reward needs name \(a string\), "),
        ("my_rewards.py:Bright", "name the module, like my_rewards:Bright"),
        ("my_rewards:NeedsMore", "'my_rewards:NeedsMore' failed in its loading: TypeError: .*'path'"),
        ("my_rewards:Leaves", "'my_rewards:Leaves' failed in its loading: SystemExit: 0"),
        ("my_rewards:Blinds", "'my_rewards:Blinds' switched gradients off in its loading"),
        ("my_rewards:Several#texd", "no axis 'texd'; did you mean 'text'"),
        ("my_rewards:Bright#text", "no axis 'text'"),
    ],
)
def test_what_is_wrong_with_a_class_is_said(spec: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        load_reward(spec)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("import a_module_nobody_has", "ModuleNotFoundError: No module named 'a_module_nobody_has'"),
        ("class R(:", "SyntaxError: invalid syntax"),
        ("import sys; sys.exit(0)", "SystemExit: 0"),
    ],
)
def test_an_error_inside_a_users_module_is_one_line(tmp_path: Path, source: str, says: str) -> None:
    (tmp_path / "broken_reward.py").write_text(source)
    sys.modules.pop("broken_reward", None)
    with pytest.raises(UserError, match=f"module 'broken_reward' failed in its import: {says}"):
        load_reward("broken_reward:Any")


def test_objects_and_paths_load_as_names_do(tmp_path: Path) -> None:
    bright = resolve("my_rewards:Bright")()
    first, second = load_rewards([bright, "my_rewards:Several#text"])
    assert (first.source, first.axes, list(second.axes)) == (bright, {"bright": "aesthetic"}, ["several.text"])
    (tmp_path / "some#where").mkdir()
    with pytest.raises(UserError, match="some#where has no reward model"):
        load_reward(Path("some#where"))
    with pytest.raises(UserError, match=r"rewards are a list; got 'ocr', so write \['ocr'\]"):
        load_rewards("ocr")


def test_one_axis_of_several_is_a_reward_of_its_own() -> None:
    images = torch.rand(2, 3, 4, 4)
    whole, view = load_reward("my_rewards:Several"), load_reward("my_rewards:Several#text")
    assert (view.name, view.axes) == ("several.text", {"several.text": "text"})
    scores = whole.scores(images, ["a", "b"])
    assert torch.equal(view.score(images, ["a", "b"]), scores["several.text"])
    assert torch.equal(whole.score(images, ["a", "b"], axis="text"), scores["several.text"])
    with pytest.raises(UserError, match=r"'several' has several axes \(alignment, text\); name one"):
        whole.score(images, ["a", "b"])


def test_axes_of_one_model_share_it() -> None:
    resolve("my_rewards:Several").loaded = 0
    rewards = load_rewards(["my_rewards:Several#text", "my_rewards:Bright", "my_rewards:Several#alignment"])
    assert resolve("my_rewards:Several").loaded == 1
    scores = score_all(rewards, torch.rand(2, 3, 4, 4), ["a", "b"])
    assert list(scores) == ["several.text", "bright", "several.alignment"]


def test_two_rewards_of_one_name_are_refused() -> None:
    with pytest.raises(UserError, match=r"two rewards are called 'several\.text'"):
        load_rewards(["my_rewards:Several", "my_rewards:Several#text"])


@pytest.mark.parametrize("config", [None, "{", "[]", json.dumps({"model_type": "clip"})])
def test_a_folder_without_a_reward_model_is_named(config: str | None, tmp_path: Path) -> None:
    (tmp_path / "some").mkdir()
    if config is not None:
        (tmp_path / "some" / "config.json").write_text(config)
    with pytest.raises(UserError, match=r"some has no reward model|some/config\.json (\(|is not a JSON object)"):
        load_reward("some")


def test_a_module_reward_goes_to_the_device() -> None:
    class Meta(torch.nn.Module):
        name, axis, differentiable = "meta", "text", True

        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

        def score(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
            return images.mean((1, 2, 3)) * self.weight

    assert _call(Meta, torch.device("meta")).weight.device.type == "meta"


def test_looking_in_the_current_folder_leaves_the_path_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for before in (sys.path[:], [str(tmp_path), *sys.path, "elsewhere"]):
        monkeypatch.setattr(sys, "path", before[:])
        resolve("rewardkit.rewards.formulas:Colourfulness")
        assert sys.path == before


class Projected:
    """A reward with one matrix product."""

    name, axis, differentiable = "projected", "aesthetic", True

    def __init__(self) -> None:
        self.weight = torch.randn(3 * 8 * 8, 1, generator=torch.Generator().manual_seed(0))

    def score(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        return (images.flatten(1) @ self.weight)[:, 0]


def test_a_dtype_is_that_of_the_arithmetic_and_scores_stay_float32() -> None:
    images, prompts = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(1)), ["a"] * 4
    exact, auto, half = (
        load_reward(Projected(), "cpu", dtype).score(images, prompts) for dtype in ("float32", "auto", "bfloat16")
    )
    assert torch.equal(exact, auto)  # auto is float32 on a CPU
    assert half.dtype == torch.float32
    assert not torch.equal(half, exact)
    torch.testing.assert_close(half, exact, rtol=0.02, atol=0.05)

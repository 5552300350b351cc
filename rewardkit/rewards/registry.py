"""Rewards by name: a registered name, a folder with a reward model, "module:Class", or a package's entry point.

Names map to "module:object" strings that are imported on use, so that this package can name rewards of later
packages without importing them.
"""

import importlib
import inspect
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from rewardkit.errors import UserError, did_you_mean
from rewardkit.io.files import read_object
from rewardkit.rewards.call import blamed
from rewardkit.rewards.loaded import AnyReward, LoadedReward, in_dtype, loaded, score_axes
from rewardkit.training.device import DTypeName, pick_device

REWARDS = {
    "colourfulness": "rewardkit.rewards.formulas:Colourfulness",
    "ocr": "rewardkit.ocr:OcrReward",
    "ocr-ctc": "rewardkit.ocr.ctc:OcrCtcReward",
    "posters-alignment": "rewardkit.posters.judge:PostersAlignment",
    "posters-aesthetic": "rewardkit.posters.judge:PostersAesthetic",
    "posters-text": "rewardkit.posters.judge:PostersText",
}
"""Name -> its class or function; called without arguments, or with `device` if it takes one."""

SCORERS = {
    "aesthetic-v2.5": "rewardkit.rewards.published.aesthetic:load_aesthetic_v25",
    "clipscore": "rewardkit.rewards.published.clip:load_clipscore",
    "clipscore-hf": "rewardkit.rewards.published.clip:load_clipscore_hf",
    "clipscore-paper": "rewardkit.rewards.published.clip:load_clipscore_paper",
    "hpsv2": "rewardkit.rewards.published.hpsv2:load_hpsv2",
    "hpsv2.1": "rewardkit.rewards.published.hpsv2:load_hpsv21",
    "hpsv3": "rewardkit.rewards.published.hpsv3:load_hpsv3",
    "imagereward": "rewardkit.rewards.published.imagereward:load_imagereward",
    "laion-aesthetic": "rewardkit.rewards.published.aesthetic:load_laion_aesthetic",
    "mps": "rewardkit.rewards.published.mps:load_mps",
    "pickscore": "rewardkit.rewards.published.clip:load_pickscore",
    "vqascore": "rewardkit.rewards.published.vqascore:load_vqascore",
}
"""Published scorers: name -> their loader, from the hub, or from a file, folder or hub id after a colon."""

REWARD_MODEL = "rm.model:RewardModel"
"""Loader of folders whose config.json has `rewardkit_reward_model`."""

GROUP = "rewardkit.rewards"
"""Entry points of this group in any installed package are rewards too."""


def load_reward(
    spec: str | Path | AnyReward, device: torch.device | str = "cpu", dtype: DTypeName = "float32"
) -> LoadedReward:
    """Build a reward from its name, a folder, or "module:Class"; `SPEC#axis` picks one axis of several.

    A reward object is checked and wrapped.

    A published scorer takes its weights from after a colon: `pickscore:/a/folder`, `clipscore:owner/name`.

    Raises `UserError` for an unknown name (with the closest), a folder without a reward model, a class that is not a
    reward or fails, and an unknown axis.
    """
    return load_rewards([spec], device, dtype)[0]


def load_rewards(
    specs: Sequence[str | Path | AnyReward], device: torch.device | str = "cpu", dtype: DTypeName = "float32"
) -> list[LoadedReward]:
    """Build several rewards; specs that differ only in `#axis` share one model.

    With another `dtype`, their networks compute in it (autocast); weights and scores stay in float32.

    Raises `UserError` as `load_reward` does, and if two scores have the same name.
    """
    if isinstance(specs, str | Path):
        raise UserError(f"rewards are a list; got {str(specs)!r}, so write [{str(specs)!r}]")
    if not isinstance(specs, Sequence):
        raise UserError(f"rewards are a list; got a value of type {type(specs).__name__}")
    place = pick_device(device)
    wholes: dict[str, LoadedReward] = {}
    rewards: list[LoadedReward] = []
    for spec in specs:
        if not isinstance(spec, str | Path):
            rewards.append(loaded(spec))
            continue
        base, _, axis = (str(spec), "", "") if Path(spec).is_dir() else str(spec).partition("#")
        if base not in wholes:
            with blamed(f"reward {base!r}", "its loading"):
                reward = _build(base, place)
            wholes[base] = loaded(reward, called=base)
        rewards.append(wholes[base].pick(axis) if axis else wholes[base])
    score_axes(rewards)
    return [in_dtype(reward, place, dtype) for reward in rewards]


def names() -> list[str]:
    """All names that `load_reward` knows: built in, and from installed packages."""
    return sorted({*REWARDS, *SCORERS, *(point.name for point in entry_points(group=GROUP))})


def resolve(where: str) -> Any:
    """Import the object a "module:object" string names; the current folder is searched last.

    Raises `UserError` when the module or the object does not exist, and for an error inside the module.
    """
    module, _, name = where.partition(":")
    if module.endswith(".py"):
        raise UserError(f"{where!r} names a file; name the module, like {module.removesuffix('.py')}:{name}")
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.append(here)
    try:
        with blamed(f"module {module!r}", "its import"):
            found = imported(module, where)
    finally:
        if added:
            sys.path.remove(here)
    if name not in vars(found):
        raise UserError(f"module {module!r} has no {name!r}; {did_you_mean(name, _public(vars(found)))}")
    return vars(found)[name]


def imported(module: str, where: str) -> ModuleType:
    """Import a module; raise `UserError` if it does not exist, and pass errors inside it through."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise UserError(f"no module {error.name!r} for {where!r}; check the name, or install its package") from error


def _public(members: dict[str, Any]) -> list[str]:
    return [name for name, value in members.items() if inspect.isclass(value) and not name.startswith("_")]


def _build(base: str, device: torch.device) -> Any:
    if base in REWARDS:
        return _call(resolve(REWARDS[base]), device)
    scorer, _, where = base.partition(":")
    if scorer in SCORERS:
        return _call(resolve(SCORERS[scorer]), device, where)
    if Path(base).is_dir():
        return _call(resolve(REWARD_MODEL).load, device, _reward_model_folder(Path(base)))
    for point in entry_points(group=GROUP):
        if point.name == base:
            return _call(point.load(), device)
    if ":" in base:
        return _call(resolve(base), device)
    raise UserError(
        f"no reward is called {base!r}, and no folder either; {did_you_mean(base, names())} "
        "A reward is a name, a reward model's folder, or module:Class"
    )


def _call(factory: Callable[..., Any], device: torch.device, *arguments: Any) -> Any:
    """Build a reward, on a device if it takes one, and move it there if it is a module."""
    takes_device = "device" in inspect.signature(factory).parameters
    reward = factory(*arguments, device=device) if takes_device else factory(*arguments)
    return reward.to(device) if isinstance(reward, torch.nn.Module) else reward


def _reward_model_folder(folder: Path) -> Path:
    config = read_object(folder / "config.json") if (folder / "config.json").is_file() else {}
    if "rewardkit_reward_model" not in config:
        raise UserError(f"{folder} has no reward model (a config.json with rewardkit_reward_model); see train-rm")
    return folder

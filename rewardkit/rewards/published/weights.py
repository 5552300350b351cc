"""Weights of published scorers: found on disk or on the hub, read without running code, and loaded strictly.

Sources of weights in order of precedence: the spec (`pickscore:WHERE`), the environment (`REWARDKIT_PICKSCORE`), the
hub repository of the authors. WHERE is a file, a folder, or a hub id `owner/name`.
"""

import os
import pickle
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from huggingface_hub import hf_hub_download, snapshot_download
from huggingface_hub.errors import HFValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers.initialization import no_init_weights

from rewardkit.errors import UserError, first_line
from rewardkit.io.files import read_object

State = dict[str, Tensor]
"""Name of a parameter -> its values."""

Model = TypeVar("Model", bound=nn.Module)

INDEX = "model.safetensors.index.json"
NAMES = ("model.safetensors", INDEX, "pytorch_model.bin")
"""File names of transformers weights, in order of precedence."""

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
BOILERPLATE = ("position_ids", "num_batches_tracked", "inv_freq")
"""Buffers in old checkpoints that newer code computes."""


@dataclass(frozen=True)
class Source:
    """Where one part of a scorer is published."""

    part: str
    """Its name in messages, such as `PickScore`."""
    variable: str
    """The environment variable that names a file or folder instead."""
    hub: str = ""
    """Hub repository; empty when the authors publish it elsewhere."""
    files: tuple[str, ...] = NAMES
    """Names of the weight file in a folder or repository; a `*` matches anything in a folder."""
    folder: bool = False
    """Whether the whole repository is needed (config, tokenizer), not only the weight file."""
    home: str = ""
    """Where it can be downloaded, if it is not on the hub."""


def locate(source: Source, where: str = "") -> Path:
    """Find a file or folder: `where`, else the environment variable, else the hub.

    Raises `UserError` if it does not exist, if there is no network, and if it is published outside the hub.
    """
    given = where or os.environ.get(source.variable, "")
    path = Path(given).expanduser()
    if given and path.exists():
        return path
    if given and not HUB_ID.fullmatch(given):
        raise UserError(f"no weights of {source.part} at {given}; {_hint(source)}")
    if not given and not source.hub:
        raise UserError(f"{source.part} is not on the hub; get it from {source.home} and {_hint(source)}")
    return download(source, given or source.hub)


def download(source: Source, hub: str) -> Path:
    """Download from the hub into its cache, or find it there; raise `UserError` without network or access."""
    try:
        if not source.folder:
            return Path(hf_hub_download(hub, source.files[0]))
        patterns = ["*.json", "*.txt", "*.jinja", *(["model*.safetensors"] if source.files else [])]
        folder = Path(snapshot_download(hub, allow_patterns=patterns))
        if source.files and not any((folder / name).is_file() for name in source.files):
            folder = Path(snapshot_download(hub, allow_patterns=[*patterns, "pytorch_model.bin"]))
        return folder
    except (OSError, HFValidationError, ValueError) as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise UserError(f"cannot get {source.part} from the hub ({hub}): {reason}; {_hint(source)}") from error


def _hint(source: Source) -> str:
    return f"give a file or folder after the name and a colon, or in {source.variable}"


def weight_file(path: Path, source: Source) -> Path:
    """The weight file of a folder (or the file itself); raise `UserError` if the folder has none."""
    if path.is_file():
        return path
    for name in source.files:
        found = sorted(path.glob(name))
        if found:
            return found[0]
    raise UserError(f"{path} has no weights of {source.part}; it needs {' or '.join(source.files)}")


def read_state(path: Path) -> State:
    """Read safetensors (one file, or an index of several) or a torch file of plain tensors, without running code.

    A wrapping `state_dict`, `model` or `module.` is removed. Raises `UserError` for a broken file, and for a pickle
    that contains anything but tensors, because such a file can run code when it is opened.
    """
    try:
        if path.name.endswith(".index.json"):
            shards = sorted(set(read_object(path)["weight_map"].values()))
            return {name: value for shard in shards for name, value in load_file(path.with_name(shard)).items()}
        content: Any = load_file(path) if path.suffix == ".safetensors" else _unpickled(path)
    except (OSError, ValueError, KeyError, RuntimeError, EOFError, SafetensorError, zipfile.BadZipFile) as error:
        raise UserError(f"cannot read weights from {path}: {first_line(error)}") from error
    return _plain(content, path)


def _unpickled(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} was not opened: it is broken or contains more than tensors, and opening it could run code; "
            "convert it to safetensors in a sandbox, or download it in that format"
        ) from error


def _plain(content: Any, path: Path) -> State:
    while isinstance(content, Mapping):
        inner = next((content[key] for key in ("state_dict", "model") if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            break
        content = inner
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise UserError(f"{path} is not a mapping of names to tensors; pass the state dict of the model")
    return {name.removeprefix("module."): value for name, value in content.items()}


def fit(module: nn.Module, state: State, path: Path, ignore: Sequence[str] = ()) -> None:
    """Load a state dict strictly: nothing missing, and nothing left over except names that start with one of `ignore`.

    Raises `UserError` that lists the file, what is missing, what is unexpected and what has another shape.
    """
    wanted = module.state_dict()
    taken = {name: value for name, value in state.items() if name in wanted}
    report = {
        "missing": [name for name in wanted if name not in state],
        "unexpected": [name for name in state if name not in wanted and not _ignored(name, ignore)],
        "of another shape": [
            f"{name} {tuple(value.shape)} instead of {tuple(wanted[name].shape)}"
            for name, value in taken.items()
            if value.shape != wanted[name].shape
        ],
    }
    if any(report.values()):
        found = "; ".join(f"{len(names)} {what}: {_few(names)}" for what, names in report.items() if names)
        raise UserError(f"{path} does not fit {type(module).__name__}: {found}")
    module.load_state_dict(taken)


def fitted(
    build: Callable[[], Model], state: State, path: Path, ignore: Sequence[str] = (), dtype: torch.dtype = torch.float32
) -> Model:
    """Build a module without initialising its weights (minutes for large ones), in `dtype`, and load a state dict."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with no_init_weights():
            module = build()
    finally:
        torch.set_default_dtype(before)
    fit(module, state, path, ignore)
    return module


def _ignored(name: str, ignore: Sequence[str]) -> bool:
    return name.endswith(BOILERPLATE) or name.startswith(tuple(ignore))


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")

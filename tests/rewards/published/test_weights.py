"""Weights: found where they are said to be, read without running anything, refused with a report."""

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from rewardkit.errors import UserError
from rewardkit.rewards.published.scorer import Scorer
from rewardkit.rewards.published.weights import Source, fit, locate, read_state, weight_file
from rewardkit.rewards.registry import load_reward

SOURCE = Source("Toy", "REWARDKIT_TOY", "owner/toy", ("toy.pt", "*.safetensors"))


class Bomb:
    """A pickle that makes a file when it is opened."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.marker}",)


def bombs(folder: Path) -> dict[str, Path]:
    """The same bomb in every wrapping a checkpoint comes in, and the marker that says it went off."""
    bomb = Bomb(folder / "gone-off")
    paths = {name: folder / f"{name}.pt" for name in ("torch", "legacy", "bare")}
    torch.save({"state_dict": {"weight": torch.ones(1)}, "extra": bomb}, paths["torch"])
    torch.save(bomb, paths["legacy"], _use_new_zipfile_serialization=False)
    paths["bare"].write_bytes(pickle.dumps(bomb, protocol=2))
    return paths


@pytest.mark.parametrize("kind", ["torch", "legacy", "bare"])
def test_a_malicious_pickle_does_not_run(kind: str, tmp_path: Path) -> None:
    path = bombs(tmp_path)[kind]
    with pytest.raises(UserError, match=f"{kind}.pt was not opened: .* more than tensors"):
        read_state(path)
    assert not (tmp_path / "gone-off").exists()
    torch.load(path, weights_only=False) if kind != "bare" else pickle.loads(path.read_bytes())
    assert (tmp_path / "gone-off").exists()  # the bomb is real


@pytest.mark.parametrize(
    "name", ["hpsv2", "hpsv2.1", "pickscore", "clipscore", "imagereward", "laion-aesthetic", "aesthetic-v2.5", "mps"]
)
def test_no_scorer_opens_it_either(name: str, tmp_path: Path) -> None:
    path = bombs(tmp_path)["torch"]
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n")
    with pytest.raises(UserError, match="was not opened"):
        load_reward(f"{name}:{path}")
    assert not (tmp_path / "gone-off").exists()


@pytest.mark.parametrize("wrap", ["plain", "state_dict", "model", "module.", "safetensors", "shards"])
def test_wrappings_are_taken_off(wrap: str, tmp_path: Path) -> None:
    state = {"a.weight": torch.ones(2), "b.weight": torch.zeros(3)}
    path = tmp_path / "x.pt"
    if wrap == "safetensors":
        path = tmp_path / "x.safetensors"
        save_file(state, path)
    elif wrap == "shards":
        path = tmp_path / "model.safetensors.index.json"
        for index, name in enumerate(state):
            save_file({name: state[name]}, tmp_path / f"{index}.safetensors")
        path.write_text(json.dumps({"weight_map": {name: f"{i}.safetensors" for i, name in enumerate(state)}}))
    elif wrap == "module.":
        torch.save({f"module.{name}": value for name, value in state.items()}, path)
    else:
        torch.save(state if wrap == "plain" else {wrap: state, "epoch": 3}, path)
    found = read_state(path)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_broken_files_are_named(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(UserError, match=f"broken{suffix}"):
        read_state(path)
    with zipfile.ZipFile(tmp_path / "half.pt", "w") as archive:
        archive.writestr("half/data.pkl", b"")
    with pytest.raises(UserError, match=r"half\.pt"):
        read_state(tmp_path / "half.pt")
    torch.save([torch.ones(1)], tmp_path / "list.pt")
    with pytest.raises(UserError, match="is not a mapping of names to tensors"):
        read_state(tmp_path / "list.pt")


def test_what_does_not_fit_is_listed_with_the_file(tmp_path: Path) -> None:
    layer = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    good = {name: torch.ones_like(value) for name, value in layer.state_dict().items()}
    bad = dict(good)
    del bad["0.bias"]
    bad["2.weight"], bad["1.weight"] = torch.ones(1), torch.ones(1, 4)
    with pytest.raises(UserError) as error:
        fit(layer, bad, tmp_path / "x.pt")
    said = str(error.value)
    assert "x.pt does not fit Sequential" in said
    assert "1 missing: 0.bias" in said
    assert "1 unexpected: 2.weight" in said
    assert "1 of another shape: 1.weight (1, 4) instead of (1, 3)" in said
    assert not torch.equal(layer.state_dict()["0.weight"], good["0.weight"])  # nothing was loaded by halves
    good["2.weight"], good["0.position_ids"] = torch.ones(1), torch.ones(1)
    fit(layer, good, tmp_path / "x.pt", ignore=("2.",))
    assert torch.equal(layer.state_dict()["0.weight"], torch.ones(3, 2))


def test_where_weights_come_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    monkeypatch.setenv("REWARDKIT_TOY", str(second))
    assert locate(SOURCE, str(first)) == first
    assert locate(SOURCE) == second
    with pytest.raises(UserError, match=r"first has no weights of Toy; it needs toy\.pt or \*\.safetensors"):
        weight_file(first, SOURCE)
    (first / "b.safetensors").touch()
    assert weight_file(first, SOURCE) == first / "b.safetensors"
    with pytest.raises(UserError, match=r"no weights of Toy at /nowhere/at/all; .*REWARDKIT_TOY"):
        locate(SOURCE, "/nowhere/at/all")


def test_without_network_one_line_says_how_to_mend_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for spec in ("pickscore", "hpsv2.1", "imagereward", "vqascore", "hpsv3", "clipscore:someone/else"):
        with pytest.raises(UserError, match=r"cannot get .* give a file or folder .*REWARDKIT_") as error:
            load_reward(spec)
        assert "\n" not in str(error.value)
    for spec in ("laion-aesthetic", "aesthetic-v2.5", "mps"):
        with pytest.raises(UserError, match=r"is not on the hub; get it from github\.com"):
            load_reward(spec)


def test_a_spec_or_a_variable_names_the_place(clip_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = torch.rand(1, 3, 30, 40)
    first = load_reward(f"pickscore:{clip_folder}")
    monkeypatch.setenv("REWARDKIT_PICKSCORE", str(clip_folder))
    second = load_reward("pickscore")
    assert isinstance(first.source, Scorer)
    assert isinstance(second.source, Scorer)
    assert torch.equal(first.score(image, ["a"]), second.score(image, ["a"]))

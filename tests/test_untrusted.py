"""Nothing that a downloaded folder says is ever run: code planted in every file of every kind of folder we load."""

import builtins
import json
import os
import pickle
import shutil
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers

from pe.rewriter import Rewriter
from rewardkit.commands.cli import main
from rewardkit.data.records.rows import read_rows
from rewardkit.diffusion import lora as lora_weights
from rewardkit.diffusion.load import load_base
from rewardkit.diffusion.load_lora import load_loras
from rewardkit.diffusion.tiny.pipelines import tiny_sd3
from rewardkit.encoders import load_encoder
from rewardkit.encoders.conv import ConvEncoder
from rewardkit.errors import UserError
from rewardkit.prompts import read_prompts
from rewardkit.rewards.registry import load_reward
from rewardkit.seedling import WEIGHTS
from rm import RewardModel

EVIL = """
import os, pathlib
pathlib.Path(os.environ["PLANTED"]).write_text(__name__)
class Evil:
    @classmethod
    def from_pretrained(cls, *args, **kwargs): return cls()
"""


class Payload:
    """A pickle of this makes the mark when it is opened."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ('echo opened > "$PLANTED"',)


def base(folder: Path) -> None:
    shutil.copytree(WEIGHTS / "base", folder)


def tiny_base(folder: Path) -> None:
    tiny_sd3().save_pretrained(folder)


def clip(folder: Path) -> None:
    shutil.copytree(WEIGHTS / "clip", folder)


def transformers_clip(folder: Path) -> None:
    size = {"hidden_size": 32, "intermediate_size": 32, "num_attention_heads": 2, "num_hidden_layers": 1}
    words = transformers.PreTrainedTokenizerFast.from_pretrained(WEIGHTS / "clip")
    config = transformers.CLIPConfig(
        text_config=size | {"vocab_size": len(words), "eos_token_id": 1, "bos_token_id": 0},
        vision_config=size | {"image_size": 32, "patch_size": 16},
        projection_dim=16,
    )
    transformers.CLIPModel(config).save_pretrained(folder)
    words.save_pretrained(folder)
    transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32).save_pretrained(folder)


def rewriter(folder: Path) -> None:
    shutil.copytree(WEIGHTS / "rewriter", folder)


def adapter(folder: Path) -> None:
    model = transformers.AutoModelForCausalLM.from_pretrained(WEIGHTS / "rewriter")
    peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", r=2)).save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(WEIGHTS / "rewriter").save_pretrained(folder)


def reward_model(folder: Path) -> None:
    RewardModel(ConvEncoder(), ("aesthetic",)).save(folder)


def lora(folder: Path) -> None:
    base = load_base("seedling")
    lora_weights.attach(base.denoiser, targets=base.lora_targets, rank=2, alpha=2.0, generator=torch.Generator())
    lora_weights.save(base.denoiser, folder)


def load_lora(folder: Path) -> None:
    load_loras(load_base("seedling"), [folder])


KINDS: dict[str, tuple[Callable[[Path], None], Callable[[Path], object]]] = {
    "base": (base, lambda folder: load_base(str(folder))),
    "tiny-base": (tiny_base, lambda folder: load_base(str(folder))),
    "open-clip": (clip, lambda folder: load_encoder(str(folder))),
    "transformers-clip": (transformers_clip, lambda folder: load_encoder(str(folder))),
    "pickscore": (transformers_clip, lambda folder: load_reward(f"pickscore:{folder}")),
    "rewriter": (rewriter, lambda folder: Rewriter.load(str(folder))),
    "adapter": (adapter, lambda folder: Rewriter.load(str(folder))),
    "reward-model": (reward_model, lambda folder: load_reward(str(folder))),
    "lora": (lora, load_lora),
}


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """One whole folder of every kind, made once."""
    made = tmp_path_factory.mktemp("clean")

    def folder(kind: str) -> Path:
        if not (made / kind).exists():
            KINDS[kind][0](made / kind)
        return made / kind

    return folder


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A place for the folder; afterwards no code of it ran and nothing was asked."""
    mark = tmp_path / "mark"
    monkeypatch.setenv("PLANTED", str(mark))
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    asked: list[object] = []

    def answer(*words: object) -> str:
        asked.append(words)
        return "y"

    monkeypatch.setattr(builtins, "input", answer)
    before = set(sys.modules)
    yield tmp_path / "folder"
    for name in set(sys.modules) - before:
        if "evil" in name:
            del sys.modules[name]
    assert not mark.exists(), f"code ran: {mark.read_text()}"
    assert not asked


def plant_modules(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lay the code beside every file, and stand in the folder as a user does who has just unpacked it."""
    for place in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
        for name in ("evil.py", "pipeline.py", "tokenization_evil.py", "modeling_evil.py", "__init__.py"):
            (place / name).write_text(EVIL)
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))


def in_json(path: Path) -> None:
    """Every key by which a library is known to look for code of a folder's own."""
    said = json.loads(path.read_text())
    classes = (
        "AutoConfig",
        "AutoModel",
        "AutoTokenizer",
        "AutoProcessor",
        "AutoImageProcessor",
        "AutoModelForCausalLM",
    )
    said |= {"auto_map": dict.fromkeys(classes, "evil.Evil"), "trust_remote_code": True, "custom_pipeline": "evil"}
    said["auto_map"]["AutoTokenizer"] = ["evil.Evil", "evil.Evil"]
    said |= {"auto_mapping": {"base_model_class": "Evil", "parent_library": "evil"}, "custom_generate": "evil"}
    if path.name == "open_clip_config.json":
        text = said["model_cfg"]["text_cfg"]
        text["tokenizer_kwargs"] = {"trust_remote_code": True, "tokenizer_type": "evil"}
    if path.name == "tokenizer_config.json":
        said["tokenizer_class"] = "EvilTokenizer"
    if path.name == "model_index.json":
        said |= {name: ["evil", "Evil"] for name, part in said.items() if isinstance(part, list) and name != "vae"}
    path.write_text(json.dumps(said))


def json_files(kind: str) -> list[str]:
    """Names of a kind's JSON files, for the parameters; a folder that is made later is listed by hand."""
    shipped = {"base": "base", "open-clip": "clip", "rewriter": "rewriter"}
    if kind in shipped:
        return sorted(
            str(path.relative_to(WEIGHTS / shipped[kind])) for path in (WEIGHTS / shipped[kind]).rglob("*.json")
        )
    words = ["tokenizer.json", "tokenizer_config.json"]
    return {
        "tiny-base": [
            "model_index.json",
            *(f"{part}/config.json" for part in ("transformer", "vae", "text_encoder", "text_encoder_2")),
            *(f"tokenizer{part}/tokenizer_config.json" for part in ("", "_2")),
            "scheduler/scheduler_config.json",
        ],
        "transformers-clip": ["config.json", "preprocessor_config.json", *words],
        "pickscore": ["config.json", "preprocessor_config.json", *words],
        "adapter": ["adapter_config.json", *words],
        "reward-model": ["config.json", "encoder/conv_config.json"],
        "lora": [],
    }[kind]


PLACES = [(kind, name) for kind in KINDS for name in json_files(kind)]
WEIGHT_NAMES = {
    "base": ["transformer/diffusion_pytorch_model", "vae/diffusion_pytorch_model", "text_encoder/pytorch_model"],
    "tiny-base": ["transformer/diffusion_pytorch_model", "vae/diffusion_pytorch_model", "text_encoder/pytorch_model"],
    "open-clip": ["open_clip_pytorch_model", "open_clip_model", "model"],
    "transformers-clip": ["pytorch_model"],
    "pickscore": ["pytorch_model", "PickScore"],
    "rewriter": ["pytorch_model"],
    "adapter": ["adapter_model"],
    "reward-model": ["heads", "encoder/conv"],
    "lora": ["pytorch_lora_weights"],
}
PICKLES = [(kind, name, end) for kind, names in WEIGHT_NAMES.items() for name in names for end in (".bin", ".pt")]


def test_there_are_enough_placements() -> None:
    assert len(PLACES) + len(PICKLES) + len(TEMPLATES) >= 60


def opened(load: Callable[[Path], object], folder: Path) -> str:
    """Load, or be refused in one line."""
    try:
        load(folder)
    except UserError as error:
        said = str(error)
    else:
        said = ""
    assert "\n" not in said
    return said


@pytest.mark.parametrize(("kind", "name"), PLACES)
def test_code_named_in_a_configuration_does_not_run(
    kind: str, name: str, clean: Callable[[str], Path], planted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(clean(kind), planted)
    in_json(planted / name)
    plant_modules(planted, monkeypatch)
    opened(KINDS[kind][1], planted)


@pytest.mark.parametrize(("kind", "name", "end"), PICKLES)
def test_a_pickle_in_the_place_of_weights_is_not_opened(
    kind: str, name: str, end: str, clean: Callable[[str], Path], planted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(clean(kind), planted)
    place = (planted / name).with_suffix("").parent
    for weights in place.glob("*.safetensors"):
        weights.unlink()
    for other in {planted / f"{name}{end}", place / f"{Path(name).name}.bin"}:
        other.write_bytes(pickle.dumps({"weight": Payload()}, protocol=2))
        torch_zip(other.with_suffix(".pth"))
    plant_modules(planted, monkeypatch)
    assert opened(KINDS[kind][1], planted)


def torch_zip(path: Path) -> None:
    torch.save({"weight": Payload()}, path)


def test_the_payloads_would_leave_their_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, run in (
        ("pickle", lambda: pickle.loads(pickle.dumps(Payload()))),
        ("module", lambda: exec(EVIL, types.ModuleType("evil").__dict__)),
    ):
        monkeypatch.setenv("PLANTED", str(tmp_path / name))
        run()
        assert (tmp_path / name).exists()


TEMPLATES = {
    "loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}{% endfor %}"
    "{% endfor %}",
    "imports": "{{ cycler.__init__.__globals__.os.system('echo ran > $PLANTED') }}",
    "subclasses": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "fails": "{{ 1 / 0 }}",
    "broken": "{% for %}",
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_hostile_chat_template_is_one_line_within_seconds(
    name: str, clean: Callable[[str], Path], planted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pe.rewriter.TEMPLATE_SECONDS", 0.3)
    shutil.copytree(clean("rewriter"), planted)
    for template in planted.glob("*.jinja"):
        template.unlink()
    settings = json.loads((planted / "tokenizer_config.json").read_text())
    (planted / "tokenizer_config.json").write_text(json.dumps(settings | {"chat_template": TEMPLATES[name]}))
    assert "chat template" in opened(lambda folder: Rewriter.load(str(folder)), planted)


UNREAD = ("generation_config.json", "added_tokens.json", "preprocessor_config.json")
"""Files whose fault is no fault of the load: nobody asks for what they say."""

DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(("kind", "name"), [place for place in PLACES if place[0] != "tiny-base"])
def test_json_nested_for_ever_is_one_line(kind: str, name: str, clean: Callable[[str], Path], planted: Path) -> None:
    shutil.copytree(clean(kind), planted)
    (planted / name).write_text(DEEP)
    said = opened(KINDS[kind][1], planted)
    assert said or Path(name).name in UNREAD


def test_hostile_lists_of_prompts_and_pairs_are_one_line(planted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    planted.mkdir()
    for name, text in (("deep.jsonl", DEEP), ("long.jsonl", '{"prompt": ' + "9" * 5000 + "}")):
        (planted / name).write_text(text)
        with pytest.raises(UserError, match=name):
            list(read_prompts(planted / name))
        with pytest.raises(UserError, match=name):
            list(read_rows(planted / name))
    (planted / "deep.toml").write_text("a = " + DEEP)
    assert main(["refl", "--config", str(planted / "deep.toml")]) == 2
    assert "deep.toml" in capsys.readouterr().err

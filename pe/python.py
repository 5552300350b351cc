"""The rewriter from Python: mine rows and train on them, with lists, rewards, a base and a rewriter as objects."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pe import sft, simpo
from pe.config import MineConfig, RewriterSftConfig, SimpoConfig
from pe.pairs import mine_parts
from pe.rewriter import Rewriter
from pe.training import train_rewriter
from rewardkit.commands.keywords import config_of
from rewardkit.diffusion.base import Base
from rewardkit.io.files import as_path
from rewardkit.prompts import Prompt
from rewardkit.rewards.loaded import AnyReward

Rows = Path | str | Sequence[Mapping[str, Any]]


def mine(
    prompts: Path | str | Sequence[str | Prompt],
    rewards: Sequence[str | Path | AnyReward],
    out: Path | str,
    *,
    base: str | Base = "seedling",
    rewriter: str | Rewriter = "seedling",
    **options: Any,
) -> Path:
    """Rewrite prompts several ways, draw and score every way; return the folder with pairs.jsonl and sft.jsonl.

    `options` are the fields of `MineConfig`. Raises `UserError` where nothing can be mined.
    """
    names = {"prompts": Path(), "rewards": (), "out": as_path(out, "out"), "rewriter": name_of(rewriter)}
    config = config_of("pe pairs", MineConfig, options | names)
    mine_parts(config, prompts, rewards, base, rewriter)
    return config.out


def train_sft(rows: Rows, out: Path | str, *, rewriter: str | Rewriter = "seedling", **options: Any) -> Rewriter:
    """Fine-tune a rewriter on rows of prompt and completion; return it, as saved in `out/model`.

    A `Rewriter` that is handed in is trained in place. `options` are the fields of `RewriterSftConfig`.
    """
    config = config_of("pe sft", RewriterSftConfig, options | settings(rows, out, rewriter))
    train_rewriter(config, sft.METHOD, listed(rows), rewriter if isinstance(rewriter, Rewriter) else None)
    return Rewriter.load(str(config.out))


def train_simpo(rows: Rows, out: Path | str, *, rewriter: str | Rewriter = "seedling", **options: Any) -> Rewriter:
    """Train a rewriter on rows of prompt, chosen and rejected; return it, as saved in `out/model`.

    A `Rewriter` that is handed in is trained in place. `options` are the fields of `SimpoConfig`.
    """
    config = config_of("pe simpo", SimpoConfig, options | settings(rows, out, rewriter))
    train_rewriter(config, simpo.METHOD, listed(rows), rewriter if isinstance(rewriter, Rewriter) else None)
    return Rewriter.load(str(config.out))


def settings(rows: Rows, out: Path | str, rewriter: str | Rewriter) -> dict[str, Any]:
    """What a config says of the parts of a run; rows in memory have no file."""
    file = Path(rows) if isinstance(rows, str | Path) else Path()
    return {"rows": file, "out": as_path(out, "out"), "rewriter": name_of(rewriter)}


def listed(rows: Rows) -> Sequence[Mapping[str, Any]] | None:
    return None if isinstance(rows, str | Path) else rows


def name_of(rewriter: str | Rewriter) -> str:
    return rewriter if isinstance(rewriter, str) else type(rewriter).__name__

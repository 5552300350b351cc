"""`rewardkit pe rewrite`: rewrite prompts, from the command line or a file, and show before and after."""

from dataclasses import dataclass
from pathlib import Path

from pe.instructions import Task
from pe.rewriter import Rewriter
from pe.rows import write_rows
from pe.training import on_gpu
from rewardkit.errors import UserError
from rewardkit.io.files import write_text
from rewardkit.prompts import read_prompts

SHOWN = 20
"""Prompts shown when the rewrites go to a file."""


@dataclass(frozen=True)
class RewriteConfig:
    """Rewrite short prompts to detailed ones; quoted text is never changed."""

    prompt: tuple[str, ...] = ()
    """Prompts to rewrite, given here."""
    prompts: Path | None = None
    """Prompts to rewrite, from a .txt (one a line), .jsonl, .csv or .tsv file."""
    rewriter: str = "seedling"
    """The model that rewrites: seedling, the run folder of `pe simpo` or `pe sft`, another folder or a hub id."""
    task: Task | None = None
    """The system prompt it gets: plain (none), expand or shorten; the default is the rewriter's own."""
    out: Path | None = None
    """Where the rewrites go: .jsonl ({prompt, rewrite}) or .txt (one a line); nowhere by default, only shown."""
    n: int = 1
    """Rewrites of each prompt; more than one needs a temperature."""
    temperature: float = 0.0
    """0 gives the likeliest rewrite; above it they are sampled."""
    max_new_tokens: int = 256
    """Longest rewrite, in tokens."""
    batch_size: int = 32
    """Prompts rewritten at once."""
    device: str = "auto"
    """auto, cpu or cuda."""
    seed: int = 0
    """Seed of the sampling."""


def rewrite(config: RewriteConfig) -> None:
    """Rewrite every prompt, show before and after, and write the result where `config.out` says."""
    if config.n > 1 and config.temperature <= 0:
        raise UserError(f"--n {config.n} needs --temperature above 0: without it all rewrites are the same")
    if config.out is not None and config.out.suffix not in (".jsonl", ".txt"):
        raise UserError(f"--out must end in .jsonl or .txt; got {config.out}")
    prompts = [*config.prompt, *(each.text for each in (read_prompts(config.prompts) if config.prompts else []))]
    if not prompts:
        raise UserError('nothing to rewrite; give --prompt "a red circle" or --prompts FILE')
    writer = Rewriter.load(config.rewriter, "cuda" if on_gpu(config.device) else "cpu", config.task)
    rewrites = writer.rewrite(
        prompts, n=config.n, temperature=config.temperature, seed=config.seed, max_new_tokens=config.max_new_tokens,
        batch_size=config.batch_size, progress=len(prompts) > config.batch_size,
    )  # fmt: skip
    rows = [(prompt, text) for prompt, texts in zip(prompts, rewrites, strict=True) for text in texts]
    show(rows if config.out is None else rows[:SHOWN])
    if config.out is not None:
        save(rows, config.out)


def show(rows: list[tuple[str, str]]) -> None:
    """Print each prompt and, under it, its rewrite."""
    for prompt, text in rows:
        print(f"  {prompt}\n> {text}\n")


def save(rows: list[tuple[str, str]], path: Path) -> None:
    """Write the rewrites, with their prompts (.jsonl) or alone (.txt)."""
    if path.suffix == ".txt":
        write_text(path, "".join(f"{text}\n" for _, text in rows))
    else:
        write_rows(path, [{"prompt": prompt, "rewrite": text} for prompt, text in rows])
    print(f"{len(rows)} rewrites in {path}")

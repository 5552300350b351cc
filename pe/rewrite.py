"""`rewardkit pe rewrite`: rewrite prompts, from the command line or a file, and show before and after."""

from pathlib import Path

from pe.config import RewriteConfig
from pe.rewriter import Rewriter
from rewardkit.errors import UserError
from rewardkit.io.files import write_text
from rewardkit.io.jsonl import write_rows
from rewardkit.prompts import read_prompts
from rewardkit.training.device import pick_device

SHOWN = 20
"""Prompts shown when the rewrites go to a file."""


def rewrite(config: RewriteConfig) -> None:
    """Rewrite short prompts to detailed ones; quoted text is never changed."""
    if config.n > 1 and config.temperature <= 0:
        raise UserError(f"--n {config.n} needs --temperature above 0: at 0 all rewrites are the same")
    if config.out is not None and config.out.suffix not in (".jsonl", ".txt"):
        raise UserError(f"--out must end in .jsonl or .txt; got {config.out}")
    prompts = [
        *config.prompt,
        *(each.text for each in (read_prompts(config.prompts, config.column) if config.prompts else [])),
    ]
    if not prompts:
        raise UserError('nothing to rewrite; give --prompt "a red circle" or --prompts FILE')
    writer = Rewriter.load(config.rewriter, pick_device(config.device), config.task)
    rewrites = writer.rewrite(
        prompts,
        n=config.n,
        temperature=config.temperature,
        seed=config.seed,
        max_new_tokens=config.max_new_tokens,
        batch_size=config.batch_size,
        progress=len(prompts) > config.batch_size,
    )
    rows = [(prompt, text) for prompt, texts in zip(prompts, rewrites, strict=True) for text in texts]
    show(rows if config.out is None else rows[:SHOWN])
    if config.out is not None:
        save(rows, config.out)


def show(rows: list[tuple[str, str]]) -> None:
    """Print each prompt with its rewrite below."""
    for prompt, text in rows:
        print(f"  {prompt}\n> {text}\n")


def save(rows: list[tuple[str, str]], path: Path) -> None:
    """Write the rewrites, with their prompts (.jsonl) or alone (.txt)."""
    if path.suffix == ".txt":
        write_text(path, "".join(f"{text}\n" for _, text in rows))
    else:
        write_rows(path, [{"prompt": prompt, "rewrite": text} for prompt, text in rows])
    print(f"{len(rows)} rewrites in {path}")

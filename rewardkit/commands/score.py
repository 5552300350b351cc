"""`rewardkit score`: score image files with any rewards."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from rewardkit.data.image_folder import Item, caption_file, read_image_folder
from rewardkit.diffusion.cut import warn_cut
from rewardkit.errors import UserError
from rewardkit.io.files import write_text
from rewardkit.io.jsonl import write_rows
from rewardkit.io.named import find_named
from rewardkit.io.text import read_text
from rewardkit.prompts import read_prompts
from rewardkit.report.text import aligned
from rewardkit.rewards.calibration import on_scale
from rewardkit.rewards.config import ScoreConfig
from rewardkit.rewards.loaded import score_axes
from rewardkit.rewards.registry import load_rewards
from rewardkit.rewards.scoring import Scored, score_items

TABLE_ROWS = 20


def score(config: ScoreConfig) -> None:
    """Score images with one or more rewards."""
    check_out(config.out)
    items = find_items(config)
    rewards = on_scale(load_rewards(list(config.rewards), config.device, config.dtype), config.calibration)
    names = list(score_axes(rewards))
    warn_cut((item.prompt for item in items), rewards=rewards)
    rows = score_items(items, rewards, batch_size=config.batch_size, device=config.device)
    if config.out:  # before printing, because the output pipe may be closed
        write(rows, names, config.out)
    print(as_table(rows, names))
    bad = [row for row in rows if row.error]
    if bad:
        kept = f"; the other scores are in {config.out}" if config.out else ""
        raise UserError(f"{len(bad)} of {len(rows)} images could not be read, the first: {bad[0].error}{kept}")


def find_items(config: ScoreConfig) -> list[Item]:
    """Pair every image with its prompt or prompts; raise `UserError` for a missing path."""
    items: list[Item] = []
    for given in config.images:
        path = find_named(Path(), str(given))
        if path.is_dir():
            items += folder_items(path, config)
        elif path.is_file():
            items += [Item(path, prompt) for prompt in config.prompt or (file_prompt(path),)]
        else:
            raise UserError(f"no image at {path}; check the path")
    if not items:
        raise UserError("nothing to score; give image files or folders")
    return items


def folder_items(folder: Path, config: ScoreConfig) -> list[Item]:
    found = read_image_folder(folder, read_prompts(config.prompts, config.column) if config.prompts else None)
    print(f"{folder}: {len(found.items)} images, {found.layout}")
    for what, names in (("without a prompt", found.unmatched), ("missing", found.missing)):
        if names:
            print(f"{folder}: {len(names)} {what} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})")
    if not config.prompt:
        return list(found.items)
    return [Item(item.path, prompt, item.tags) for item in found.items for prompt in config.prompt]


def file_prompt(path: Path) -> str:
    text = caption_file(path)
    if text is None:
        name = path.with_suffix(".txt").name
        raise UserError(f'{path} has no prompt; give one with --prompt "..." or write it to {name} beside the image')
    return read_text(text).strip()


def as_table(rows: Sequence[Scored], names: Sequence[str]) -> str:
    """Lay out the first rows and the means as aligned text."""
    shown = [
        [shorten(row.item.path.name, 28), shorten(row.item.prompt, 40), *cells(row, names)] for row in rows[:TABLE_ROWS]
    ]
    means = [mean_cell([row.scores[name] for row in rows if name in row.scores]) for name in names]
    table = [["image", "prompt", *names], *shown, [f"mean of {len(rows)}", "", *means]]
    text = aligned(table, left=2)
    if len(rows) > TABLE_ROWS:
        text.insert(-1, f"... and {len(rows) - TABLE_ROWS} more")
    return "\n".join(text)


def cells(row: Scored, names: Sequence[str]) -> list[str]:
    return ["unreadable" if row.error else f"{row.scores[name]:.4f}" if name in row.scores else "-" for name in names]


def mean_cell(values: Sequence[float]) -> str:
    return f"{sum(values) / len(values):.4f}" if values else "-"


def shorten(text: str, width: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


def check_out(out: Path | None) -> None:
    """Refuse an unknown file type before the work, not after it."""
    if out and out.suffix not in (".jsonl", ".csv"):
        raise UserError(f"scores are written as .jsonl or .csv; got {out.name}")


def write(rows: Sequence[Scored], names: Sequence[str], out: Path) -> None:
    """Write all rows atomically; a score that does not apply is null (empty in CSV)."""
    records = [
        {"image": str(row.item.path), "prompt": row.item.prompt}
        | {name: row.scores.get(name) for name in names}
        | ({"error": row.error} if row.error else {})
        for row in rows
    ]
    if out.suffix == ".jsonl":
        write_rows(out, records)
    else:
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, ["image", "prompt", *names, "error"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
        write_text(out, buffer.getvalue())
    print(f"scores in {out}")

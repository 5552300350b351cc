"""ImageRewardDB (arXiv:2304.05977): images of a prompt with a rank, and ratings from 1 to 7 on three axes.

The rank is the axis `preference` (the published model was trained on it), image_text_alignment_rating is
`alignment`, and fidelity_rating is `fidelity`: whether objects have the right shape, which is not beauty.
`RankedRecord.ratings` keeps the ratings themselves, the overall one as `preference`.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rewardkit.data.formats.format import Format
from rewardkit.data.records.record import OVERALL, RankedRecord
from rewardkit.data.records.rows import Row, find
from rewardkit.data.records.skipped import Skipped
from rewardkit.errors import UserError

NAME = "ImageRewardDB"
RATINGS = {
    OVERALL: "overall_rating",
    "alignment": "image_text_alignment_rating",
    "fidelity": "fidelity_rating",
}


def read_images(rows: Iterable[Row], axis: str | None, left_out: Skipped) -> Iterator[RankedRecord]:
    """Read rows of one image each into one list per prompt, in any order of rows.

    Prompts with fewer rows than their image_amount_in_total are kept, and counted as incomplete.
    """
    groups: dict[str, list[Row]] = {}
    for row in rows:
        for name in IMAGES.required:
            row.need(name)
        groups.setdefault(str(row.need("prompt_id")), []).append(row)
    for group, members in groups.items():
        if len(members) != int(members[0].need("image_amount_in_total")):
            left_out.add("prompt with other images than image_amount_in_total says (kept)", members[0].where)
        yield ranked(group, members)


def ranked(group: str, rows: Sequence[Row]) -> RankedRecord:
    """Convert the rows of one prompt to a list."""
    ratings = {name: tuple(rating(row, column) for row in rows) for name, column in RATINGS.items()}
    return RankedRecord(
        rows[0].prompt(),
        tuple(row.image("image_path", "..") for row in rows),
        ratings | {OVERALL: tuple(-float(row.need("rank")) for row in rows)},
        group=group,
        source=NAME,
        ids=tuple(Path(str(row.need("image_path"))).stem for row in rows),
        version=rows[0].file.stem,
        ratings=ratings,
    )


def rating(row: Row, column: str) -> float:
    value = row.number_of(column)
    return math.nan if value is None else value


def read_lists(rows: Iterable[Row], axis: str | None, left_out: Skipped) -> Iterator[RankedRecord]:
    """Read the published test.json: one row per prompt with `generations` and their `ranking`, smaller is better."""
    for row in rows:
        prompt, paths, ranks = row.prompt(), row.need("generations"), row.need("ranking")
        if len(paths) != len(ranks):
            raise UserError(f"{row.where}: {len(paths)} generations, but {len(ranks)} ranks in ranking")
        yield RankedRecord(
            prompt,
            tuple(find(row.file.parent, str(path), "test_images", "images") for path in paths),
            {axis or OVERALL: tuple(-float(rank) for rank in ranks)},
            group=row.text("id") or prompt,
            source=NAME,
            ids=tuple(Path(str(path)).stem for path in paths),
            version=row.file.stem,
        )


IMAGES = Format(
    name=f"{NAME} images",
    required=("image_path", "prompt_id", "prompt", "image_amount_in_total", "rank", *RATINGS.values()),
    telling=("image_path", "prompt_id", "image_amount_in_total", "rank", *RATINGS.values()),
    read=read_images,
)
LISTS = Format(
    name=f"{NAME} lists",
    required=("prompt", "generations", "ranking"),
    telling=("generations", "ranking"),
    read=read_lists,
)

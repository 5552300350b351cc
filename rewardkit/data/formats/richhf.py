"""RichHF-18K (arXiv:2312.10240): four scores of a Pick-a-Pic image; prompts and images are not included.

The folder of the .tfrecord file must contain either Pick-a-Pic's Parquet files, or the images with the prompt of
`x.png` in `x.txt`. All scores are higher for better images, including the artifact score. Images of one prompt form a
list.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from rewardkit.data.formats.format import Format
from rewardkit.data.records.record import OVERALL, ImageRef, RankedRecord
from rewardkit.data.records.rows import Row, number, read_rows
from rewardkit.data.records.skipped import Skipped
from rewardkit.errors import UserError
from rewardkit.io.text import read_text

NAME = "RichHF-18K"
SCORES = {
    OVERALL: "overall_score",
    "alignment": "misalignment_score",
    "aesthetic": "aesthetics_score",
    "fidelity": "artifact_score",
}
REQUIRED = ("filename", *SCORES.values())
TELLING = (*REQUIRED, "artifact_map", "misalignment_map", "prompt_misalignment_label")
Partners = dict[str, tuple[str, ImageRef]]
"""Uid of an image -> its prompt and the image."""


def read(rows: Iterable[Row], axis: str | None, left_out: Skipped) -> Iterator[RankedRecord]:
    """Read one list per prompt; images without prompt or file and prompts with one image are left out and counted."""
    groups: dict[str, list[tuple[str, ImageRef, dict[str, float]]]] = {}
    known: Partners = {}
    version = ""
    for row in rows:
        known = known or partners(row.file.parent)
        version = row.file.stem
        scores = {name: number(row.need(column), f"{row.where}, {column}") for name, column in SCORES.items()}
        uid = PurePosixPath(str(row.need("filename"), "utf-8")).stem
        if uid in known:
            prompt, image = known[uid]
            groups.setdefault(prompt, []).append((uid, image, scores))
        else:
            left_out.add("without its Pick-a-Pic image", row.where)
    for prompt, members in groups.items():
        if len(members) < 2:
            left_out.add("prompt with one image only", members[0][0])
            continue
        ids, images, found = zip(*members, strict=True)
        scored = {name: tuple(scores[name] for scores in found) for name in SCORES}
        yield RankedRecord(prompt, images, scored, group=prompt, source=NAME, ids=ids, version=version, ratings=scored)


def partners(folder: Path) -> Partners:
    """Find the prompts and images in the folder of the scores; raise `UserError` if there are none."""
    from rewardkit.images import SUFFIXES

    found: Partners = {}
    for file in sorted(folder.glob("[!.]*.parquet")):
        for place, values in enumerate(read_rows(file), start=1):
            row = Row(values, file, place)
            for side in "01":
                uid = str(row.need(f"image_{side}_uid"))
                found.setdefault(uid, (row.prompt("caption"), row.image(f"jpg_{side}")))
    for prompt in sorted(folder.rglob("[!.]*.txt")):
        image = next((one for one in map(prompt.with_suffix, sorted(SUFFIXES)) if one.is_file()), None)
        if image is not None:
            found.setdefault(prompt.stem, (read_text(prompt).strip(), image))
    if not found:
        raise UserError(
            f"{NAME} has neither prompts nor images: put Pick-a-Pic's .parquet files, or images with the prompt of "
            f"x.png in x.txt, into {folder}"
        )
    return found


FORMAT = Format(NAME, REQUIRED, TELLING, read)

"""Pick-a-Pic v1 and v2 (arXiv:2305.01569): two generations of one caption, judged by the user who requested them."""

from collections.abc import Iterable, Iterator

from rewardkit.data.formats.format import Format
from rewardkit.data.records.record import OVERALL, ImageRef, PreferenceRecord
from rewardkit.data.records.rows import Row
from rewardkit.data.records.skipped import Skipped
from rewardkit.errors import UserError

NAME = "Pick-a-Pic"
REQUIRED = ("caption", "has_label", "label_0", "label_1", "image_0_uid", "image_1_uid", "jpg_0", "jpg_1")
TELLING = REQUIRED


def read(rows: Iterable[Row], axis: str | None, left_out: Skipped) -> Iterator[PreferenceRecord]:
    """Read judged rows; rows with has_label False were never judged, and are left out and counted.

    A repeated image, by its uid, is replaced by its first occurrence, so that it is read and stored once.
    """
    known: dict[str, ImageRef] = {}
    for row in rows:
        values = [row.need(name) for name in REQUIRED]
        if not values[1]:
            left_out.add("never judged (has_label is False)", row.where)
            continue
        ids = str(values[4]), str(values[5])
        first = known.setdefault(ids[0], row.image("jpg_0"))
        second = known.setdefault(ids[1], row.image("jpg_1"))
        yield PreferenceRecord(
            row.prompt("caption"),
            first,
            second,
            {axis or OVERALL: label(float(values[2]), float(values[3]), row)},
            group=str(values[0]),
            source=NAME,
            models=(row.text("model_0"), row.text("model_1")),
            ids=ids,
            version=row.file.stem,
        )


def label(first: float, second: float, row: Row) -> float:
    """Check that the two labels add up to 1."""
    if not (0 <= first <= 1 and abs(first + second - 1) < 1e-6):
        raise UserError(f"{row.where}: label_0 and label_1 are {first} and {second}; they must add up to 1")
    return first


FORMAT = Format(NAME, REQUIRED, TELLING, read)

"""Multimodal RewardBench 2 (arXiv:2512.16899), text-to-image part: two responses to a prompt, one of them chosen."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rewardkit.data.formats.format import Format
from rewardkit.data.records.record import OVERALL, ImageRef, PreferenceRecord
from rewardkit.data.records.rows import Row, find
from rewardkit.data.records.skipped import Skipped
from rewardkit.errors import UserError

NAME = "MMRB2"
REQUIRED = ("prompt_content", "response_a", "response_b", "chosen")
TELLING = (*REQUIRED, "pair_id")


def read(rows: Iterable[Row], axis: str | None, left_out: Skipped) -> Iterator[PreferenceRecord]:
    """Read pairs; prompts that contain an image (editing) and responses that are not one image are left out."""
    for row in rows:
        prompt = [part for part in row.need("prompt_content")]
        responses = [row.need(name) for name in ("response_a", "response_b")]
        label = chosen(row)
        images = [image_of(one.get("response_content") or (), row) for one in responses]
        first, second = images
        if any(kind != "text" for kind, _ in prompt):
            left_out.add("prompt with an image", row.where)
        elif first is None or second is None:
            left_out.add("response that is not one image", row.where)
        else:
            text = "\n".join(str(value) for _, value in prompt)
            yield PreferenceRecord(
                text,
                first,
                second,
                {axis or OVERALL: label},
                group=text,
                source=NAME,
                models=(str(responses[0].get("model", "")), str(responses[1].get("model", ""))),
                version=row.text("prompt_source") or row.file.stem,
            )


def chosen(row: Row) -> float:
    value = str(row.need("chosen")).strip().upper()
    if value not in ("A", "B"):
        raise UserError(f"{row.where}: column 'chosen' is {value!r}; it must be A or B")
    return float(value == "A")


def image_of(content: Sequence[Any], row: Row) -> ImageRef | None:
    """Return the image of a response that has exactly one."""
    paths = [str(value) for kind, value in content if kind == "image"]
    return find(row.file.parent, paths[0], "..") if len(paths) == 1 else None


FORMAT = Format(NAME, REQUIRED, TELLING, read)

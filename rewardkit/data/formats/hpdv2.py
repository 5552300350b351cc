"""HPDv2 (arXiv:2306.09341): train.json has pairs; test.json has nine images per prompt ranked by ten people."""

from collections.abc import Iterable, Iterator

from rewardkit.data.formats.format import Format
from rewardkit.data.records.record import OVERALL, PreferenceRecord, RankedRecord
from rewardkit.data.records.rows import Row, find
from rewardkit.data.records.skipped import Skipped
from rewardkit.errors import UserError


def read_train(rows: Iterable[Row], axis: str | None, left_out: Skipped) -> Iterator[PreferenceRecord]:
    """Read pairs; pairs without a winner are left out and counted."""
    for row in rows:
        prompt, paths = row.prompt(), row.pair("file_path")
        liked, other = (float(value) for value in row.pair("human_preference"))
        if liked + other <= 0:
            left_out.add("without a preference", row.where)
            continue
        first, second = (find(row.file.parent, str(path), "train") for path in paths)
        label = {axis or OVERALL: liked / (liked + other)}
        yield PreferenceRecord(prompt, first, second, label, group=prompt, source="HPDv2", version=row.file.stem)


def read_test(rows: Iterable[Row], axis: str | None, left_out: Skipped) -> Iterator[RankedRecord]:
    """Read rank lists: smaller average ranks are better, equal ranks tie."""
    for row in rows:
        prompt, paths, ranks = row.prompt(), row.need("image_path"), row.need("rank")
        annotations = tuple([float(rank) for rank in one["rank"]] for one in row.values.get("raw_annotations") or ())
        if any(len(ranks) != len(paths) for ranks in (ranks, *annotations)):
            raise UserError(f"{row.where}: {len(paths)} images in image_path, but another number of ranks")
        yield RankedRecord(
            prompt,
            tuple(find(row.file.parent, str(path), "test") for path in paths),
            {axis or OVERALL: tuple(-float(rank) for rank in ranks)},
            group=prompt,
            source="HPDv2",
            version=row.file.stem,
            annotations=annotations,
        )


TRAIN = Format(
    name="HPDv2 pairs",
    required=("prompt", "file_path", "human_preference"),
    telling=("file_path", "human_preference"),
    read=read_train,
)
TEST = Format(
    name="HPDv2 ranks",
    required=("prompt", "image_path", "rank"),
    telling=("image_path", "rank", "raw_annotations"),
    read=read_test,
)

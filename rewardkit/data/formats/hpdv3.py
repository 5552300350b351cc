"""HPDv3 (arXiv:2508.03789) and HPDv3++ (arXiv:2606.14657): path1 is always the better image, so half are swapped.

The axis of HPDv3++ is in the name of its files: `*_aes.json` is aesthetic, `*_tf.json` (text following) is alignment.
"""

from collections.abc import Iterable, Iterator

from rewardkit.data.formats.format import Format
from rewardkit.data.records.record import OVERALL, PreferenceRecord, turn
from rewardkit.data.records.rows import Row, find
from rewardkit.data.records.skipped import Skipped

NAME = "HPDv3"
REQUIRED = ("prompt", "path1", "path2")
TELLING = ("path1", "path2")
AXES = {"aes": "aesthetic", "tf": "alignment"}
"""Last word of a file's name -> its axis."""


def read(rows: Iterable[Row], axis: str | None, left_out: Skipped) -> Iterator[PreferenceRecord]:
    """Read pairs, each swapped or not by a hash; the label is the fraction of votes if votes are given.

    Left out and counted: rows whose votes contradict their order, and rows of a `stage*` file without a judgement.
    """
    for row in rows:
        prompt, paths = row.prompt(), (str(row.need("path1")), str(row.need("path2")))
        votes = votes_of(row)
        if votes and votes[0] < votes[1]:
            left_out.add("votes against the order of the file", row.where)
            continue
        if votes is None and row.file.name.startswith("stage") and row.values.get("confidence") is None:
            left_out.add("never judged", row.where)
            continue
        first, second = (find(row.file.parent, path, "..") for path in paths)
        record = PreferenceRecord(
            prompt,
            first,
            second,
            {axis_of(row.file.stem, axis): label_of(row, votes)},
            group=prompt,
            source=row.text("source") or NAME,
            votes=votes,
            confidence=row.number_of("confidence"),
            models=(row.text("model1"), row.text("model2")),
            version=row.file.stem,
        )
        yield record.swapped() if turn(prompt, *paths) else record


def label_of(row: Row, votes: tuple[float, float] | None) -> float:
    """The fraction of votes, 0.5 where the file says that the pair is a tie, else 1."""
    if row.values.get("tie_case") in (True, 1, "1", "true", "True"):
        return 0.5
    return votes[0] / sum(votes) if votes else 1.0


def votes_of(row: Row) -> tuple[float, float] | None:
    """Read the votes for both images, if there are any."""
    if row.values.get("choice_dist") is None:
        return None
    first, second = (float(value) for value in row.pair("choice_dist"))
    return (first, second) if first + second > 0 else None


def axis_of(stem: str, axis: str | None) -> str:
    return AXES.get(stem.lower().rpartition("_")[2], axis or OVERALL)


FORMAT = Format(NAME, REQUIRED, TELLING, read)

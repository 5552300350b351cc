"""Score the images of preference pairs with any reward, each image once, in batches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from rewardkit.data import PreferenceRecord, Skipped
from rewardkit.images import ImageBytes
from rewardkit.io.progress import Progress
from rewardkit.rewards.batches import Unreadable, batches, score_batch
from rewardkit.rewards.loaded import AnyReward, loaded
from rewardkit.types import PerImage, Scores
from rm.evaluation.profile import Profile
from rm.evaluation.rankings import Ranking, of_the_prompt

Asked = tuple[Path | ImageBytes, str]
"""An image and its prompt."""


@dataclass(frozen=True)
class Judged:
    """The pairs whose images could be read, and both images' scores by every score's name."""

    records: Sequence[PreferenceRecord]
    scores: Mapping[str, tuple[Scores, Scores]]

    def rankings(self, name: str, axis: str, source: str) -> list[Ranking]:
        """Rankings of one score on the pairs that judge an axis; `source` names their set."""
        first, second = (values.tolist() for values in self.scores[name])
        return [
            ranking_of(record, axis, (first[place], second[place]), source, place)
            for place, record in enumerate(self.records)
            if axis in record.label
        ]


def ranking_of(record: PreferenceRecord, axis: str, scores: tuple[float, float], source: str, place: int) -> Ranking:
    """Convert a pair to a ranking of two images; a soft label is rounded to the majority."""
    label = record.label[axis]
    group = record.group or record.prompt
    ranks = (float(label < 0.5), float(label > 0.5))
    origin = {"source": record.source} if record.source else {}
    return Ranking(
        record.prompt,
        scores,
        ranks,
        f"{source}#{place}",
        group,
        group,
        origin | of_the_prompt(record.prompt),
    )


def labels_of(records: Sequence[PreferenceRecord], axis: str) -> PerImage:
    return torch.tensor([record.label.get(axis, float("nan")) for record in records], dtype=torch.float64)


def judge_pairs(
    reward: AnyReward,
    records: Sequence[PreferenceRecord],
    skipped: Skipped,
    profile: Profile,
    batch_size: int,
    label: str,
) -> Judged:
    """Score both images of every pair; pairs with an unreadable image are counted in `skipped`.

    Raises `UserError` naming the prompt of a score that is not finite.
    """
    images = dict.fromkeys((image, record.prompt) for record in records for image in (record.first, record.second))
    found, errors = score_images(reward, list(images), profile, batch_size, label)
    kept = []
    skipped.seen += len(records)
    for record in records:
        bad = errors.get((record.first, record.prompt)) or errors.get((record.second, record.prompt))
        if bad:
            skipped.add("bad image in a pair", bad)
        else:
            kept.append(record)
    names = next(iter(found.values()), {})
    return Judged(kept, {name: columns(found, kept, name) for name in names})


def columns(
    found: Mapping[Asked, Mapping[str, float]], records: Sequence[PreferenceRecord], name: str
) -> tuple[Scores, Scores]:
    first = [found[record.first, record.prompt][name] for record in records]
    second = [found[record.second, record.prompt][name] for record in records]
    return torch.tensor(first, dtype=torch.float64), torch.tensor(second, dtype=torch.float64)


@torch.no_grad()
def score_images(
    reward: AnyReward, asked: Sequence[Asked], profile: Profile, batch_size: int, label: str
) -> tuple[dict[Asked, dict[str, float]], dict[Asked, str]]:
    """Score images with their prompts: the scores by name, and the errors of what cannot be read."""
    found: dict[Asked, dict[str, float]] = {}
    errors: dict[Asked, str] = {}
    able = getattr(loaded(reward).source, "can_score", None)
    if able:
        marks = able([prompt for _, prompt in asked])
        errors = {
            one: f"the text of {one[1]!r} cannot be read" for one, can in zip(asked, marks, strict=True) if not can
        }
        asked = [one for one in asked if one not in errors]
    with Progress(label, len(asked)) as bar:
        for batch in batches([image for image, _ in asked], [reward], batch_size):
            if isinstance(batch, Unreadable):
                errors[asked[batch.row]] = batch.error
                bar.update()
                continue
            members = [asked[row] for row in batch.rows]
            with profile.clock(len(members)):
                scores = score_batch([reward], batch, [prompt for _, prompt in members], profile.device)
                values = {name: column.double().tolist() for name, column in scores.items()}
            found |= {one: {name: values[name][place] for name in values} for place, one in enumerate(members)}
            bar.update(len(members))
    return found, errors

"""`rewardkit pairs check`: the content and the problems of a set of preference pairs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rewardkit.data.check import Pictures, balance, leaks, look, prompts_over, repeats
from rewardkit.data.config import CheckConfig, Depth
from rewardkit.data.read import Reading, read_source
from rewardkit.data.records.record import PreferenceRecord
from rewardkit.errors import UserError
from rewardkit.io.files import write_json


def check(config: CheckConfig) -> None:
    """Check preference pairs before training on them."""
    readings = [read_source(path, config.axis, config.columns) for path in config.data]
    records = [record for reading in readings for record in reading.records]
    pictures = look(records, config.images)
    report: dict[str, Any] = {
        "data": [described(reading) for reading in readings],
        "axes": balance(records),
        "repeats": repeats(records, pictures),
        "prompts": prompts_over(records, *counter(config.encoder)),
        "images": images_report(records, pictures, config.images),
    }
    if config.against:
        report["leaks"] = found_leaks(config, records, pictures)
    print("\n".join(lines(report)))
    if config.out:
        write_json(config.out, report)
        print(f"full report in {config.out}")


def described(reading: Reading) -> dict[str, Any]:
    """Describe a source."""
    return {
        "source": reading.source,
        "format": reading.format,
        "columns": reading.columns,
        "files": [str(file) for file in reading.files],
        "rows": reading.left_out.seen,
        "pairs": len(reading.records),
        "lists": len(reading.lists),
        "left_out": {reason: len(places) for reason, places in reading.left_out.reasons.items()},
    }


def images_report(records: Sequence[PreferenceRecord], pictures: Pictures, depth: Depth) -> dict[str, Any]:
    images = {image for record in records for image in (record.first, record.second)}
    return {"images": len(images), "read": depth, "missing": pictures.missing, "corrupt": pictures.corrupt}


def found_leaks(config: CheckConfig, records: Sequence[PreferenceRecord], pictures: Pictures) -> dict[str, Any]:
    others = [record for path in config.against for record in read_source(path, config.axis, config.columns).records]
    other_pictures = look(others, "none" if config.images == "none" else "hash")
    return leaks(records, others, pictures, other_pictures)


def counter(encoder: str) -> tuple[Callable[[str], int], int]:
    """Return a counter of a prompt's tokens, including start and end, and the limit of the text tower."""
    import open_clip

    if encoder == "clip":
        tokenizer = open_clip.SimpleTokenizer()
    else:
        from rewardkit.encoders import load_encoder

        tokenizer = getattr(load_encoder(encoder), "tokenizer", None)
    if isinstance(tokenizer, open_clip.SimpleTokenizer):
        return lambda prompt: len(tokenizer.encode(prompt)) + 2, tokenizer.context_length
    if isinstance(tokenizer, open_clip.tokenizer.HFTokenizer):
        return lambda prompt: len(tokenizer.tokenizer(prompt)["input_ids"]), tokenizer.context_length
    raise UserError(f"cannot count the tokens of {encoder}; use --encoder clip, or an open_clip model")


def lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Format a report in a few lines; problems begin with an exclamation mark."""
    for one in report["data"]:
        lists = f" from {one['lists']:,} lists" if one["lists"] else ""
        yield f"{one['source']}: {one['format']}, {one['rows']:,} rows, {one['pairs']:,} pairs{lists}"
        yield f"  columns: {', '.join(one['columns'])}"
        for reason, count in one["left_out"].items():
            yield f"  left out: {count:,} {reason}"
    for axis, figure in report["axes"].items():
        yield from axis_lines(axis, figure)
    yield from repeat_lines(report["repeats"])
    prompts = report["prompts"]
    yield f"prompts: {prompts['prompts']:,}, the longest of {prompts['longest']} tokens"
    if prompts["over"]:
        yield f"! {prompts['over']:,} prompts ({percent(prompts['over_share'])}) exceed {prompts['limit']} tokens"
    if prompts["empty"]:
        yield f"! {prompts['empty']:,} prompts are empty"
    yield from image_lines(report["images"])
    if "leaks" in report:
        yield from leak_lines(report["leaks"])


def axis_lines(axis: str, figure: Mapping[str, Any]) -> Iterator[str]:
    place = figure["first_preferred"]
    biased = place["n"] > 0 and not place["low"] <= 0.5 <= place["high"]
    yield (
        f"{axis}: {figure['judged']:,} judged, {figure['first']:,} for the first, {figure['second']:,} for the second, "
        f"{figure['ties']:,} ties ({percent(figure['tie_share'])}), {figure['soft']:,} soft labels"
    )
    if place["n"]:
        note = ": not half (by chance in one set of twenty)" if biased else ""
        yield f"{'! ' if biased else '  '}first preferred in {percent(place)} of {place['n']:,}{note}"


def repeat_lines(figures: Mapping[str, int]) -> Iterator[str]:
    found = [f"{count:,} {what.replace('_', ' ')}" for what, count in figures.items() if count]
    yield f"! {', '.join(found)}" if found else "no repeated pairs"


def image_lines(figures: Mapping[str, Any]) -> Iterator[str]:
    bad = [
        f"{len(figures[kind]):,} {kind} ({figures[kind][0]} ...)" for kind in ("missing", "corrupt") if figures[kind]
    ]
    fine = "not checked" if figures["read"] == "none" else "all readable"
    yield f"images: {figures['images']:,}, {fine}" if not bad else f"! images: {figures['images']:,}, {'; '.join(bad)}"


def leak_lines(figures: Mapping[str, Any]) -> Iterator[str]:
    counts = {what.replace("_", " "): len(figures[what]) for what in ("prompts", "images_by_name", "images_by_content")}
    found = ", ".join(f"{count:,} {what}" for what, count in counts.items())
    if any(counts.values()):
        yield f"! leaks: {found} are in both splits; {figures['pairs_touched']:,} pairs are affected"
    else:
        yield "no prompt and no image is in both splits"


def percent(share: Mapping[str, float]) -> str:
    return f"{share['value']:.1%} [{share['low']:.1%}, {share['high']:.1%}]"

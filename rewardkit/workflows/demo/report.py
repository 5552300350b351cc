"""The report of the demo: what was trained, its scores by gold judges, and sample images."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rewardkit.images import load_image
from rewardkit.io.files import write_text
from rewardkit.io.jsonl import read_objects
from rewardkit.posters.judge import gold_judges
from rewardkit.prompts import read_prompts
from rewardkit.report.numbers import interval, number, percent, signed
from rewardkit.report.page import Card, Html, Row, Section, cards, charts, gallery, page, table
from rewardkit.report.plots import Interval, Series, curves, forest
from rewardkit.report.thumbnails import tensor_picture
from rewardkit.rewards.loaded import score_all
from rewardkit.rewards.protocol import AXES
from rewardkit.stats import Estimate

SHOWN = 12


def write_report(out: Path, summary: Mapping[str, Any]) -> Path:
    """Write `report.html` and return its path."""
    sections = [glance(summary), judges(summary), painter(out, summary), writer(out, summary), steps(summary)]
    path = out / "report.html"
    subtitle = "Reward models, policy and rewriter, trained on the built-in base and measured by held-out gold judges."
    write_text(path, page("rewardkit demo", sections, subtitle=subtitle))
    return path


def estimate(figures: Mapping[str, Any]) -> Estimate:
    return Estimate(value=figures["diff"], low=figures["low"], high=figures["high"], n=figures["n"])


def glance(summary: Mapping[str, Any]) -> Section:
    """The headline figures."""
    shares = [figures["accuracy"] / figures["ceiling"] for figures in summary["rm"].values()]
    text, rewriting = summary["refl"]["gold"]["text"], summary["pe"]["gold"]
    items = [
        Card(
            "Reward models, of the ceiling",
            percent(min(shares)),
            "lowest of the three heads",
            good=min(shares) >= 0.95,
        ),
        change("Policy: text accuracy", text),
        change("Rewriter: gold score", rewriting),
        Card("Quoted text kept", percent(summary["pe"]["quotes_kept"]), "by the rewriter"),
        Card("Time", f"{summary['seconds'] / 60:.1f} min", "all steps"),
    ]
    return Section(
        "At a glance", [cards(items)], "Differences are paired: same prompts and same noise before and after."
    )


def change(label: str, figures: Mapping[str, Any]) -> Card:
    """A card of one before-and-after figure."""
    note = f"{number(figures['before'])} → {number(figures['after'])}\n{interval(estimate(figures))}, n {figures['n']}"
    good = True if figures["low"] > 0 else False if figures["high"] < 0 else None
    return Card(label, signed(figures["diff"]), note, good=good)


def judges(summary: Mapping[str, Any]) -> Section:
    """Accuracy of the heads against the ceiling set by the label noise."""
    rows = [
        [
            axis,
            f"{percent(figures['accuracy'])} [{percent(figures['low'])}, {percent(figures['high'])}]",
            percent(figures["ceiling"]),
            percent(figures["accuracy"] / figures["ceiling"]),
            str(figures["n"]),
        ]
        for axis, figures in summary["rm"].items()
    ]
    words = (
        "Three heads on one encoder, trained on noisy preference pairs. Labels are sampled from gold scores with "
        "Bradley-Terry noise of a known rate, so the accuracy of the best possible model is known; ties are left out."
    )
    return Section(
        "Reward models", [table(["Axis", "Pairwise accuracy", "Ceiling", "Of the ceiling", "Pairs"], rows)], words
    )


def painter(out: Path, summary: Mapping[str, Any]) -> Section:
    """ReFL: differences by gold judge, curves of the rewards, and images before and after."""
    differences = forest([Interval(axis, estimate(summary["refl"]["gold"][axis])) for axis in AXES])
    rows = list(read_objects(out / "refl/metrics.jsonl"))
    names = sorted({name for row in rows for name in row if name.startswith("z/")})
    lines = [
        curves(name.removeprefix("z/"), [Series(name, *smooth([(r["step"], r[name]) for r in rows if name in r]))])
        for name in names
    ]
    folders = {"before": out / "compare/images/before", "after": out / "compare/images/after"}
    prompts = [prompt.text for prompt in read_prompts(out / "prompts/held_out.jsonl")]
    blocks = [differences, charts(*lines), pictures(prompts, prompts, folders)]
    words = (
        "A LoRA on the diffusion transformer, trained by back-propagating the three heads through one late denoising "
        "step. Below: change of the gold judges on held-out prompts. Then the trained rewards, as z-scores on "
        "images of the base, and posters before and after from the same noise, with the gold text accuracy."
    )
    return Section("Policy", blocks, words)


def smooth(points: list[tuple[int, float]], width: int = 10) -> tuple[list[int], list[float]]:
    """Average a curve over the last `width` points, because a single update has few images."""
    steps = [step for step, _ in points]
    values = [value for _, value in points]
    return steps, [
        sum(part) / len(part) for part in (values[max(0, i - width + 1) : i + 1] for i in range(len(values)))
    ]


def pictures(wanted: Iterable[str], shown: Iterable[str], folders: Mapping[str, Path]) -> Html:
    """Put the images of the first prompts side by side, with the text read from each; `shown` labels each row."""
    reader = {judge.axis: judge for judge in gold_judges()}["text"]
    rows = []
    for index, (prompt, words) in enumerate(zip(list(wanted)[:SHOWN], list(shown)[:SHOWN], strict=True)):
        images = {name: load_image(folder / f"{index:05d}.png") for name, folder in folders.items()}
        scores = {
            name: score_all([reader], image[None], [prompt])[reader.name].item() for name, image in images.items()
        }
        rows.append(
            Row(
                words,
                [tensor_picture(image, name, {"text": number(scores[name], 2)}) for name, image in images.items()],
            )
        )
    return gallery(rows)


def writer(out: Path, summary: Mapping[str, Any]) -> Section:
    """Rewriting: differences by gold judge, examples of text, and images as typed and as rewritten."""
    figures = summary["pe"]
    rows = [Interval("all axes", estimate(figures["gold"]))]
    rows += [Interval(axis, estimate(figures["axes"][axis])) for axis in AXES]
    pairs = list(read_objects(out / "rewritten.jsonl"))
    examples = table(["As typed", "As rewritten"], [[p["prompt"], p["rewrite"]] for p in pairs[:SHOWN]], numbers=0)
    typed = [pair["prompt"] for pair in pairs]
    folders = {"as typed": out / "as-typed", "as rewritten": out / "as-rewritten"}
    words = (
        "A language model rewrites short prompts: first by SFT on rewrites whose images scored best, then by SimPO "
        "on best against worst. Images of both start from the same noise and are scored against the prompt as typed."
    )
    return Section("Rewriter", [forest(rows), examples, pictures(typed, typed, folders)], words)


def steps(summary: Mapping[str, Any]) -> Section:
    """Every command that was run, to run it again by hand."""
    rows = [[step["what"], f"{step['seconds']:.0f}"] for step in summary["steps"].values()]
    return Section("Every step", [table(["Command", "Seconds"], rows)], "Each can be run by hand as shown.")

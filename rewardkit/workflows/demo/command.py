"""The steps of the demo, in order, and their summary."""

import json
from typing import Any

from rewardkit.io.files import write_json
from rewardkit.workflows.demo.config import DemoConfig
from rewardkit.workflows.demo.measure import before_and_after, read_rewrites, rewriting, write_short_prompts
from rewardkit.workflows.demo.report import write_report
from rewardkit.workflows.pipeline import Pipeline


def demo(config: DemoConfig) -> None:
    """Run the whole demo on the built-in base."""
    steps = Pipeline(config.out)
    judges(steps, config)
    painter(steps, config)
    writer(steps, config)
    summary = summarise(steps, config)
    write_json(config.out / "summary.json", summary)
    page = write_report(config.out, summary)
    print(
        f"\nall done in {summary['seconds'] / 60:.1f} minutes\nsummary: {config.out / 'summary.json'}\nreport:  {page}"
    )


def judges(steps: Pipeline, config: DemoConfig) -> None:
    """Reward model: pairs from the base and the renderer, three heads, accuracy against the ceiling."""
    out = steps.out
    pairs = ["--kind", "pairs", "--base", "seedling", "--base-share", 0.12, "--steps", 10, "--batch-size", 64]
    pairs += ["--text-share", 0.9]
    steps.command("pairs", "posters", *pairs, "--count", config.pairs, "--seed", config.seed + 10)
    held_out = ["--count", config.held_out_pairs, "--seed", config.seed + 11, "--exclude", out / "pairs/pairs.jsonl"]
    steps.command("pairs-held-out", "posters", *pairs, *held_out)
    heads = ["--epochs", 10, "--members", "text", 3]
    steps.command("rm", "train-rm", "--data", out / "pairs/pairs.jsonl", *heads, "--seed", config.seed)
    steps.command(
        "rm-accuracy.json",
        "eval-rm",
        "--model",
        out / "rm/rm",
        "--data",
        out / "pairs-held-out/pairs.jsonl",
        "--gold",
        out / "pairs-held-out/gold.jsonl",
    )


def painter(steps: Pipeline, config: DemoConfig) -> None:
    """ReFL: train on prompts only, then compare held-out prompts before and after with the same noise."""
    out = steps.out
    prompts = ["--kind", "prompts", "--text-share", 1.0, "--count", 1200, "--held-out", 0.3]
    steps.command("prompts", "posters", *prompts, "--seed", config.seed)
    steps.command(
        "refl",
        "refl",
        "--prompts",
        out / "prompts/train.jsonl",
        "--rewards",
        out / "rm/rm",
        "--updates",
        config.updates,
        "--weights",
        "text",
        2.0,
        "--targets",
        "aesthetic",
        0.2,
        "alignment",
        1.5,
        "text",
        2.0,
        "--lr",
        1e-3,
        "--seed",
        config.seed,
    )
    held_out = out / "prompts/held_out.jsonl"
    steps.command(
        "compare",
        "leaderboard",
        "--entry",
        "before=seedling",
        "--entry",
        f"after=seedling+{out / 'refl/lora'}",
        "--prompts",
        held_out,
        "--limit",
        config.held_out,
        "--judges",
        "posters-text",
        "posters-alignment",
        "posters-aesthetic",
        "--rewards",
        out / "rm/rm",
        "--title",
        "ReFL on held-out prompts",
    )


def writer(steps: Pipeline, config: DemoConfig) -> None:
    """Rewriter: mine pairs of rewrites, SFT, SimPO, then compare held-out short prompts as typed and as rewritten."""
    out = steps.out
    short = ["--kind", "prompts", "--style", "short", "--count", 2 * config.short_prompts + 400, "--held-out", 0.5]
    steps.command("short-prompts", "posters", *short, "--seed", config.seed + 2)
    rewards = out / "rm/rm"
    steps.command(
        "pe-pairs",
        "pe pairs",
        "--prompts",
        out / "short-prompts/train.jsonl",
        "--rewards",
        rewards,
        "--limit",
        config.short_prompts,
        "--steps",
        8,
        "--seed",
        config.seed,
    )
    steps.command("pe-sft", "pe sft", "--rows", out / "pe-pairs/sft.jsonl", "--lr", 3e-4)
    steps.command(
        "pe-simpo",
        "pe simpo",
        "--rows",
        out / "pe-pairs/pairs.jsonl",
        "--rewriter",
        out / "pe-sft",
        "--lr",
        5e-5,
        "--epochs",
        3,
    )
    typed = out / "typed.jsonl"
    steps.step(
        "typed",
        f"take {config.held_out} held-out short prompts",
        lambda: write_short_prompts(out / "short-prompts/held_out.jsonl", typed, config.held_out),
    )
    steps.command("rewritten.jsonl", "pe rewrite", "--rewriter", out / "pe-simpo", "--prompts", typed)
    wordings = out / "rewritten-prompts.jsonl"
    steps.step("wordings", "take the rewrites as prompts", lambda: read_rewrites(out / "rewritten.jsonl", wordings))
    steps.command("as-typed", "generate", "--prompts", typed)
    steps.command("as-rewritten", "generate", "--prompts", wordings)
    steps.step(
        "pe-gold",
        "score both against the prompts as typed, by the gold judges",
        lambda: write_json(out / "pe-gold.json", rewriting(out, typed, wordings)),
    )


def summarise(steps: Pipeline, config: DemoConfig) -> dict[str, Any]:
    """Gather the figures of all parts."""
    out = steps.out
    accuracy = json.loads((out / "rm-accuracy.json").read_text())["axes"]
    return {
        "seconds": steps.seconds,
        "rm": {
            axis: {"accuracy": figures["value"]} | {name: figures[name] for name in ("ceiling", "n", "low", "high")}
            for axis, figures in accuracy.items()
        },
        "refl": {"gold": before_and_after(out / "compare/leaderboard.json")},
        "pe": json.loads((out / "pe-gold.json").read_text()),
        "steps": steps.done,
    }

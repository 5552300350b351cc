"""The steps of a round and of the whole workflow, each a command that can be run by hand."""

from pathlib import Path

from rewardkit.errors import UserError
from rewardkit.io.files import write_json
from rewardkit.io.jsonl import write_rows
from rewardkit.prompts import evenly, read_prompts
from rewardkit.rewards.registry import load_reward, load_rewards
from rewardkit.workflows.pipeline import Pipeline
from rewardkit.workflows.rounds.config import RoundsConfig
from rewardkit.workflows.rounds.label import label, read_votes
from rewardkit.workflows.rounds.mine import mine
from rewardkit.workflows.rounds.report import CONTROL, summarise, write_report


def rounds(config: RoundsConfig) -> None:
    """Improve an image model and its reward models alternately."""
    check(config)
    steps = Pipeline(config.out)
    train_judge(steps, config, 0)
    for number in range(1, config.rounds + 1):
        if not one_round(steps, config, number):
            return
    if config.control:
        tune(steps, config, "control/refl", judge(config, 0), config.rounds * config.updates, "", config.seed)
    compare(steps, config)
    summary = summarise(config.out)
    write_json(config.out / "summary.json", summary)
    print(f"report: {write_report(config.out, summary)}")


def check(config: RoundsConfig) -> None:
    """Refuse invalid numbers."""
    for name in ("rounds", "updates"):
        if getattr(config, name) < 1:
            raise UserError(f"{name} must be 1 or more; got {getattr(config, name)}")
    if not 2 <= config.pairs <= config.drawn:
        raise UserError(f"pairs must be between 2 and drawn ({config.drawn}); got {config.pairs}")


def one_round(steps: Pipeline, config: RoundsConfig, number: int) -> bool:
    """Generate, mine, label, train the reward model, tune the policy; return whether it finished or waits for votes."""
    folder = config.out / f"round_{number}"
    for side in (0, 1):
        draw(steps, config, number, side)
    to_label = folder / "to_label.jsonl"
    steps.step(
        f"round_{number}/mine",
        f"take {config.pairs} of {config.drawn} prompts of round {number} to label",
        lambda: mine(
            [folder / "images_0", folder / "images_1"],
            load_reward(judge(config, number - 1), config.device, config.dtype),
            to_label,
            count=config.pairs,
            seed=config.seed + number,
            device=config.device,
        ),
    )
    pairs = folder / "pairs.jsonl"
    if config.labellers:
        steps.step(
            f"round_{number}/label",
            f"label round {number} by {', '.join(config.labellers)}, noise {config.noise}",
            lambda: label(
                to_label,
                pairs,
                load_rewards(config.labellers, config.device, config.dtype),
                config.noise,
                seed=config.seed + number,
                device=config.device,
            ),
        )
    elif not read_votes(to_label, folder / "votes.jsonl", pairs):
        print(
            f"round {number} waits for votes: copy {to_label} to {folder / 'votes.jsonl'}, add to each row label_AXIS "
            "(1: first is better, 0: second, 0.5: equal; or a fraction of votes), and run the same command again"
        )
        return False
    train_judge(steps, config, number)
    previous = str(config.out / f"round_{number - 1}/refl/lora") if number > 1 else ""
    # With the noise of the previous round, a round would see the same images again.
    seed = config.seed + number - 1
    tune(steps, config, f"round_{number}/refl", judge(config, number), config.updates, previous, seed)
    return True


def judge(config: RoundsConfig, number: int) -> Path:
    """Folder of the reward model after a round; 0 is before the first round."""
    return config.out / f"round_{number}/rm/rm"


def draw(steps: Pipeline, config: RoundsConfig, number: int, side: int) -> None:
    """Generate images for the training prompts, with the noise of this round and side."""
    lora = ["--lora", config.out / f"round_{number - 1}/refl/lora"] if number > 1 else []
    some = config.out / "drawn.jsonl"
    steps.step("drawn", f"take {config.drawn} training prompts", lambda: take(config.prompts, some, config.drawn))
    steps.command(
        f"round_{number}/images_{side}",
        "generate",
        "--prompts",
        some,
        "--base",
        config.base,
        *lora,
        "--seed",
        1000 * number + 2 * config.seed + side,
        *machine(config),
    )


def machine(config: RoundsConfig) -> list[str]:
    """The device and precision of a step; `auto` leaves the precision to the step's own TOML file."""
    return ["--device", config.device, *([] if config.dtype == "auto" else ["--dtype", config.dtype])]


def take(source: Path, target: Path, count: int) -> None:
    """Take `count` prompts spread evenly over a file, which is often sorted by kind."""
    prompts = read_prompts(source)
    if len(prompts) < count:
        raise UserError(f"{source} has {len(prompts)} prompts, fewer than {count}; lower --drawn")
    rows = evenly(prompts, count)
    write_rows(target, [{"prompt": row.text} for row in rows])


def train_judge(steps: Pipeline, config: RoundsConfig, number: int) -> None:
    """Train a reward model on the initial pairs and on those of all rounds so far."""
    data = [*config.data, *(config.out / f"round_{index}/pairs.jsonl" for index in range(1, number + 1))]
    options = ["--config", config.train_rm] if config.train_rm else []
    steps.command(
        f"round_{number}/rm",
        "train-rm",
        *options,
        "--data",
        *data,
        "--encoder",
        config.encoder,
        "--seed",
        config.seed,
        *machine(config),
    )


def tune(steps: Pipeline, config: RoundsConfig, name: str, reward: Path, updates: int, start: str, seed: int) -> None:
    """Fine-tune the model through a reward model, starting from an earlier LoRA."""
    options = ["--config", config.refl] if config.refl else []
    options += ["--start", start] if start else []
    steps.command(
        name,
        "refl",
        *options,
        "--prompts",
        config.prompts,
        "--rewards",
        reward,
        "--base",
        config.base,
        "--updates",
        updates,
        "--seed",
        seed,
        *machine(config),
    )


def compare(steps: Pipeline, config: RoundsConfig) -> None:
    """Generate images for held-out prompts with the base and after every round, from the same noise; compare them."""
    entries = ["--entry", f"base={config.base}"]
    names = [(f"round {number}", f"round_{number}") for number in range(1, config.rounds + 1)]
    names += [(CONTROL, "control")] if config.control else []
    for shown, folder in names:
        entries += ["--entry", f"{shown}={config.base}+{config.out / folder / 'refl/lora'}"]
    steps.command(
        "compare",
        "leaderboard",
        *entries,
        "--prompts",
        config.held_out,
        "--limit",
        config.measured,
        "--judges",
        *config.judges,
        "--rewards",
        judge(config, config.rounds),
        "--title",
        "Rounds",
        *machine(config),
    )

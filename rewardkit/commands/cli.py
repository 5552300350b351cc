"""The `rewardkit` command: words name the command, dataclass fields name its options.

Commands are written as "module:function" and imported when run. That keeps `rewardkit --help` fast and the direction of
imports honest: this floor never imports `rm`, `refl` or `pe`, it only knows where their commands live.
"""

import importlib
import inspect
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import get_type_hints

from rewardkit import __version__
from rewardkit.errors import Interrupted, UserError, did_you_mean
from rewardkit.io.files import NO_SPACE

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": (
        "rewardkit.workflows.demo:demo",
        "everything once on the built-in base: reward models, policy, rewriter, report",
    ),
    "posters": (
        "rewardkit.workflows.posters.command:make",
        "make images, prompts and preference pairs of synthetic posters",
    ),
    "pairs text": ("rewardkit.posters.text_pairs:make", "make preference pairs of posters with right and wrong text"),
    "pairs degrade": (
        "rewardkit.data.degradation:degrade",
        "make preference pairs of photos and their degraded copies",
    ),
    "pairs check": (
        "rewardkit.commands.check_pairs:check",
        "check preference pairs: balance, repeats, leaks, bad images",
    ),
    "train-rm": ("rm.train:train", "train a reward model on preference pairs"),
    "eval-rm": ("rm.evaluation.evaluate:evaluate", "measure a reward model's pairwise accuracy"),
    "calibrate": ("rm.calibration.command:calibrate", "fit a reward's scores to a 1-5 scale and to true probabilities"),
    "score": ("rewardkit.commands.score:score", "score images against their prompts by any rewards"),
    "generate": ("rewardkit.diffusion.generate:generate", "generate images for a list of prompts"),
    "refl": ("refl.train:train", "fine-tune a text-to-image model through reward models"),
    "plan": ("rewardkit.plan.command:plan", "estimate memory and time of a refl run, without loading weights"),
    "pe pairs": ("pe.pairs:mine", "mine prompt pairs: rewrite several ways, generate, keep the best and the worst"),
    "pe sft": ("pe.sft:train", "train the prompt rewriter by supervised fine-tuning"),
    "pe simpo": ("pe.simpo:train", "train the prompt rewriter on preferences (SimPO)"),
    "pe rewrite": ("pe.rewrite:rewrite", "rewrite prompts; quoted text is never changed"),
    "leaderboard": ("rewardkit.leaderboard.command:run", "compare folders of images on one page, with intervals"),
    "rounds": (
        "rewardkit.workflows.rounds:rounds",
        "improve reward models and policy in turns: generate, mine, label, train, fine-tune",
    ),
    "seedling": ("rewardkit.workflows.seedling.command:train", "rebuild the built-in base from scratch"),
}
"""Words of a command -> where its function is, and what it does. The function takes one argument, `config`."""

EXAMPLES: dict[str, str] = {
    "demo": "rewardkit demo --out runs/demo",
    "posters": "rewardkit posters --kind pairs --count 2000 --out data/posters",
    "pairs text": "rewardkit pairs text --fonts fonts --language en --count 2000 --out data/text",
    "pairs degrade": "rewardkit pairs degrade --photos photos --out data/texture",
    "pairs check": "rewardkit pairs check --data data/posters --against data/held-out",
    "train-rm": "rewardkit train-rm --data data/posters/pairs.jsonl --out runs/rm",
    "eval-rm": "rewardkit eval-rm --model runs/rm/rm --data data/held-out/pairs.jsonl",
    "calibrate": "rewardkit calibrate --scores rated.jsonl --out runs/calibration.json",
    "score": "rewardkit score --images out.png --prompt 'a shop sign \"OPEN\"' --rewards ocr runs/rm/rm",
    "generate": "rewardkit generate --prompts prompts.txt --out runs/before",
    "refl": "rewardkit refl --prompts prompts.txt --rewards runs/rm/rm --out runs/refl",
    "plan": "rewardkit plan --base flux.1-dev --size 512 --card a100-80gb --save-memory all",
    "pe pairs": "rewardkit pe pairs --prompts prompts.txt --rewards runs/rm/rm --out runs/pe-pairs",
    "pe sft": "rewardkit pe sft --rows runs/pe-pairs/sft.jsonl --out runs/pe-sft",
    "pe simpo": "rewardkit pe simpo --rows runs/pe-pairs/pairs.jsonl --rewriter runs/pe-sft --out runs/pe-simpo",
    "pe rewrite": "rewardkit pe rewrite --rewriter runs/pe-simpo --prompt 'red circle \"SALE\"'",
    "leaderboard": "rewardkit leaderboard --entry before=runs/before --entry after=runs/after --prompts prompts.txt",
    "rounds": "rewardkit rounds --prompts train.jsonl --held-out held_out.jsonl --data pairs.jsonl --labellers ocr",
    "seedling": "rewardkit seedling --out runs/seedling",
}
"""Words of a command -> one line to copy, shown by its --help; a test parses each."""

NOTE = "Options can also come from a TOML file (--config FILE.toml, one key per option); the command line overrides it."


def entry() -> None:
    """Run the process: the console script."""
    sys.exit(main())


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status: 0 done, 2 something the user can mend, 130 or 143 interrupted.

    Set REWARDKIT_TRACEBACK=1 to see where an error that is shown as one line came from.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return run(words)
    except (UserError, OSError) as error:
        if os.environ.get("REWARDKIT_TRACEBACK"):
            raise
        print(f"rewardkit: {one_line(error)}", file=sys.stderr)
        return 2
    except Interrupted as stop:
        print(f"rewardkit: {stop}; go on with: {resume_command(words)}", file=sys.stderr)
        return stop.exit_status
    except KeyboardInterrupt:
        print("rewardkit: interrupted", file=sys.stderr)
        return 130
    except SystemExit as error:  # tyro's way out of --help (0) and of a value it cannot take (2)
        return error.code if isinstance(error.code, int) else 2


def one_line(error: UserError | OSError) -> str:
    """Say an error in one line; raise it again when it is neither a full disk nor about a file the user named."""
    if isinstance(error, UserError):
        return " ".join(str(error).split())
    if error.errno in NO_SPACE:
        return f"no space left on the disk{f' for {error.filename}' if error.filename else ''}; free some and go on"
    if (
        isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError | NotADirectoryError)
        and error.filename
    ):
        return f"{str(error.strerror).lower()}: {error.filename}; check the path"
    raise error


def run(words: list[str]) -> int:
    """Find the command the words begin with, build its config from the rest, and call it."""
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview())
        return 0 if words else 2
    if words[0] in ("-V", "--version"):
        print(f"rewardkit {__version__}")
        return 0
    name = command_name(words)
    if name in COMMANDS:
        return call(name, words[len(name.split()) :])
    group = {command for command in COMMANDS if command.startswith(f"{name} ")}
    if group and words[1:2] in ([], ["-h"], ["--help"]):
        print(overview(group))
        return 0 if words[1:] else 2
    said = " ".join(words[:2]) if group else name
    raise UserError(f"no command {said!r}; {did_you_mean(said, group or COMMANDS)} See rewardkit --help")


def command_name(words: Sequence[str]) -> str:
    """The first two words where they name a command, else the first."""
    return " ".join(words[:2]) if " ".join(words[:2]) in COMMANDS else words[0]


def resume_command(words: Sequence[str]) -> str:
    """The line that goes on with an interrupted command; one without a `resume` option goes on by itself."""
    _, kind = load(command_name(words))
    added = ["--resume"] if hasattr(kind, "resume") and "--resume" not in words else []
    return shlex.join(["rewardkit", *words, *added])


def load(name: str) -> tuple[Callable[..., None], type]:
    """Import a command's function; return it with the type of its config."""
    module, _, attribute = COMMANDS[name][0].partition(":")
    function = getattr(importlib.import_module(module), attribute)
    return function, get_type_hints(function)["config"]


def call(name: str, words: list[str]) -> int:
    """Import a command and run it on the config that the words spell."""
    from rewardkit.commands.config import parse

    function, kind = load(name)
    function(parse(kind, words, prog=f"rewardkit {name}", description=description(name, function)))
    return 0


def description(name: str, function: object) -> str:
    """What a command's --help begins with: its docstring, where else options come from, a line to copy."""
    text = inspect.getdoc(function) or COMMANDS[name][1]
    example = f"\n\nExample:\n    {EXAMPLES[name]}" if name in EXAMPLES else ""
    return f"{text}\n\n{NOTE}{example}"


def overview(names: set[str] | None = None) -> str:
    """List the commands, or some of them."""
    shown = {name: about for name, (_, about) in COMMANDS.items() if names is None or name in names}
    width = max(map(len, shown))
    lines = [f"  {name:{width}}  {about}" for name, about in shown.items()]
    return "\n".join(
        [
            "usage: rewardkit COMMAND [OPTIONS]",
            "",
            "Post-train text-to-image models to what people prefer.",
            "",
            *lines,
            "",
            "rewardkit COMMAND --help shows the options of a command. " + NOTE,
        ]
    )

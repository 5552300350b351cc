"""The `rewardkit` command: words name the command, dataclass fields name its options."""

import inspect
import io
import os
import select
import shlex
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pkgutil import resolve_name
from typing import Any

from rewardkit import __version__
from rewardkit.commands.checks import EITHER, FILES, check
from rewardkit.commands.table import COMMANDS
from rewardkit.errors import Interrupted, UserError, did_you_mean
from rewardkit.io.files import NO_SPACE
from rewardkit.io.lock import locked

NOTE = "Options can also come from a TOML file (--config FILE.toml, one key per option); the command line overrides it."

CLOSED_PIPE = 141
"""Exit code of shells for a process that writes to a closed pipe."""


def entry() -> None:
    """Run the process: the console script. Ends quietly if its output pipe is closed, as after `| head`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # terminals of another encoding show ? for unknown characters
            stream.reconfigure(errors="replace")
    status = main()
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        status = CLOSED_PIPE
    if status == CLOSED_PIPE:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python would flush again at exit
    sys.exit(status)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status.

    0: done; 2: an error that the user can fix; 130 or 143: interrupted; 141: the output pipe is closed.
    REWARDKIT_TRACEBACK=1 shows the traceback of an error that is printed as one line.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return run(words)
    except BrokenPipeError:
        if not reader_is_gone():
            raise
        return CLOSED_PIPE
    except (UserError, OSError) as error:
        if os.environ.get("REWARDKIT_TRACEBACK"):
            raise
        print(f"rewardkit: {one_line(error)}", file=sys.stderr)
        return 2
    except Interrupted as stop:
        print(f"rewardkit: {stop}; resume with: {resume_command(words)}", file=sys.stderr)
        return stop.exit_status
    except KeyboardInterrupt:
        print("rewardkit: interrupted", file=sys.stderr)
        return 130
    except SystemExit:  # argparse exits this way after --help
        return 0


def one_line(error: UserError | OSError) -> str:
    """Format an error as one line; re-raise it if it is neither a full disk nor about a file that the user named."""
    if isinstance(error, UserError):
        return " ".join(str(error).split())
    if error.errno in NO_SPACE:
        return f"no space left on the disk{f' for {error.filename}' if error.filename else ''}; free some and resume"
    if (
        isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError | NotADirectoryError)
        and error.filename
    ):
        return f"{str(error.strerror).lower()}: {error.filename}; check the path"
    raise error


def reader_is_gone() -> bool:
    """Whether standard output is a closed pipe."""
    poll = select.poll()
    poll.register(sys.stdout, 0)
    return bool(poll.poll(0))


def run(words: list[str]) -> int:
    """Find the command that the words begin with, build its config from the rest, and call it."""
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview())
        return 0 if words else 2
    if words[0] in ("-V", "--version"):
        print(f"rewardkit {__version__}")
        return 0
    if words[0] == "--print-completion":
        from rewardkit.commands.completion import completion

        print(completion(" ".join(words[1:])))
        return 0
    name = command_name(words)
    if name in COMMANDS:
        return call(name, words[len(name.split()) :])
    group = {command for command in COMMANDS if command.startswith(f"{name} ")}
    if group and words[1:] in (["-h"], ["--help"]):
        print(overview(group))
        return 0
    if group and not words[1:]:
        raise UserError(f"which {name} command? {', '.join(sorted(group))} (see rewardkit {name} --help)")
    typed = " ".join(words[:2]) if group else name
    raise UserError(f"no command {typed!r}; {did_you_mean(typed, group or COMMANDS)} (see rewardkit --help)")


def command_name(words: Sequence[str]) -> str:
    """The first two words if they name a command, else the first."""
    return " ".join(words[:2]) if " ".join(words[:2]) in COMMANDS else words[0]


def resume_command(words: Sequence[str]) -> str:
    """The command line that resumes an interrupted command; without a `resume` option, the same line."""
    kind = resolve_name(COMMANDS[command_name(words)].options)
    added = ["--resume"] if hasattr(kind, "resume") and "--resume" not in words else []
    return shlex.join(["rewardkit", *words, *added])


def call(name: str, words: list[str]) -> int:
    """Build a command's options from the words after it, then import its function and call it on them."""
    options = read(name, words)
    check(name, options)
    with alone(name, options, words):
        resolve_name(COMMANDS[name].function)(options)
    return 0


def alone(name: str, options: Any, words: Sequence[str]) -> AbstractContextManager[None]:
    """Lock the folder that a command writes to; with several processes, the first one locks it."""
    out = getattr(options, "out", None)
    if out is None or name in (*FILES, *EITHER) or os.environ.get("RANK", "0") != "0":
        return nullcontext()
    return locked(out, shlex.join(["rewardkit", name, *words]))


def read(name: str, words: Sequence[str]) -> Any:
    """The options of a command."""
    from rewardkit.commands.config import parse

    kind = resolve_name(COMMANDS[name].options)
    return parse(kind, words, prog=f"rewardkit {name}", description=description(name, kind))


def description(name: str, kind: type) -> str:
    """The beginning of a command's --help: what it does, other sources of options, an example."""
    return f"{inspect.getdoc(kind)}\n\n{NOTE}\n\nExample:\n    {COMMANDS[name].example}"


def overview(names: set[str] | None = None) -> str:
    """List the commands, or some of them."""
    shown = {name: command.about for name, command in COMMANDS.items() if names is None or name in names}
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
            'TAB completes commands and options after: eval "$(rewardkit --print-completion bash)" (or zsh, fish)',
        ]
    )

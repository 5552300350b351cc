"""Every command line that a workflow builds is one that the command takes."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from rewardkit.commands import cli
from rewardkit.errors import UserError
from rewardkit.workflows.demo.command import judges, painter, writer
from rewardkit.workflows.demo.config import DemoConfig
from rewardkit.workflows.pipeline import Pipeline
from rewardkit.workflows.rounds.command import compare, one_round, train_judge, tune
from rewardkit.workflows.rounds.config import RoundsConfig


class Parsed(Pipeline):
    """Parses the commands instead of running them, and does no other step."""

    def __init__(self, out: Path) -> None:
        super().__init__(out)
        self.configs: dict[str, Any] = {}

    def step(self, name: str, what: str, work: Callable[[], Mapping[str, Any] | None]) -> None:
        if what.startswith("rewardkit "):
            work()

    def _run(self, name: str, argv: Sequence[str]) -> None:
        command = cli.command_name(argv)
        self.configs[name] = cli.read(command, argv[len(command.split()) :])


def test_the_demos_commands_parse(tmp_path: Path) -> None:
    steps = Parsed(tmp_path)
    for part in (judges, painter, writer):
        part(steps, DemoConfig(out=tmp_path, updates=7))
    kinds = {type(config).__name__ for config in steps.configs.values()}
    assert len(steps.configs) == 14
    assert kinds >= {"PostersConfig", "RmConfig", "EvalRmConfig", "ReflConfig", "SimpoConfig", "GenerateConfig"}
    assert steps.configs["refl"].updates == 7
    assert steps.configs["refl"].weights == {"text": 2.0}
    assert steps.configs["compare"].entry == ("before=seedling", f"after=seedling+{tmp_path / 'refl/lora'}")


def test_the_commands_of_rounds_parse(tmp_path: Path) -> None:
    (tmp_path / "refl.toml").write_text("lr = 1e-4\n")
    (tmp_path / "rm.toml").write_text("epochs = 2\n")
    config = RoundsConfig(
        prompts=Path("p.txt"),
        held_out=Path("h.txt"),
        data=("a.jsonl", "b.jsonl"),
        out=tmp_path / "out",
        rounds=2,
        labellers=("ocr",),
        judges=(),
        refl=tmp_path / "refl.toml",
        train_rm=tmp_path / "rm.toml",
        control=True,
    )
    steps = Parsed(tmp_path / "out")
    train_judge(steps, config, 0)
    assert all(one_round(steps, config, number) for number in (1, 2))
    tune(steps, config, "control/refl", Path("rm"), 9, "", 0)
    compare(steps, config)
    assert len(steps.configs) == 11
    assert steps.configs["round_2/refl"].start == tmp_path / "out/round_1/refl/lora"
    assert steps.configs["round_2/refl"].lr == 1e-4
    assert len(steps.configs["round_2/rm"].data) == 4
    assert steps.configs["compare"].judges == ()


def test_a_line_that_does_not_parse_is_seen(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown option --updatez"):
        Parsed(tmp_path / "out").command("refl", "refl", "--updatez", 3)

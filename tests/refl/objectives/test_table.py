"""The table: every objective loads, says in --help and in the documents what it reads, and takes what it is given."""

import inspect
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import docstring_parser
import pytest

from refl.config import ReflConfig
from refl.objectives.backpropagate import GradientObjective
from refl.objectives.draft_k import DraftK
from refl.objectives.groups import ComparingObjective
from refl.objectives.nft import Nft
from refl.objectives.objective import new_objective
from refl.objectives.refl import Refl
from refl.objectives.table import TABLE, Method, ObjectiveName
from rewardkit.errors import UserError

ROOT = Path(__file__).parents[3]
HELP = {one.arg_name: one.description or "" for one in docstring_parser.parse_from_object(Method).params}


def test_the_names_need_no_torch_and_are_those_of_the_table() -> None:
    code = "import sys, refl.objectives.table; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert tuple(TABLE) == get_args(ObjectiveName)


@pytest.mark.parametrize("name", TABLE)
def test_every_option_of_an_objective_is_explained_with_its_default(name: ObjectiveName) -> None:
    objective = new_objective(Method(objective=name))
    assert re.search(r"arXiv:\d{4}\.\d{5}", str(inspect.getmodule(type(objective)).__doc__))
    assert f"({name})" in HELP["objective"]
    for field in fields(objective):
        if field.name == "balance":  # an option of the rewards, on or off
            continue
        default = getattr(objective, field.name)
        shown = " ".join(f"{part:g}" for part in (default if isinstance(default, tuple) else (default,)))
        assert shown in HELP[field.name]
        assert name in HELP[field.name] or (field.name, shown) == ("kl", "1")


@pytest.mark.parametrize("name", TABLE)
def test_every_objective_has_a_row_in_the_documents(name: ObjectiveName) -> None:
    rows = [line for line in (ROOT / "docs/refl.md").read_text().splitlines() if line.startswith(f"| `{name}`")]
    objective = new_objective(Method(objective=name))
    (row,) = rows
    window, kl = (cell.strip() for cell in row.split("|")[4:6])
    assert window == (" ".join(f"{part:g}" for part in objective.window) if hasattr(objective, "window") else "")
    assert kl == f"{objective.kl:g}"


def test_an_objective_takes_its_own_options_and_keeps_its_defaults_otherwise() -> None:
    given: dict[str, Any] = {"grad_steps": 3, "window": (0.5, 1.0), "noises": 5}
    assert new_objective(Method(**given)) == Refl(window=(0.5, 1.0))
    assert new_objective(Method(objective="draft-k", **given)) == DraftK(grad_steps=3, kl=0.0)
    assert new_objective(Method(objective="nft", kl=0.0)) == Nft(kl=0.0, group=4, noises=2, window=(0.0, 1.0))
    config = ReflConfig(prompts=ROOT, out=ROOT, rewards=(), balance=True)
    assert new_objective(config) == Refl(balance=True)


@pytest.mark.parametrize("name", TABLE)
def test_what_an_objective_compares_or_differentiates(name: ObjectiveName) -> None:
    objective = new_objective(Method(objective=name, group=3))
    assert isinstance(objective, GradientObjective if objective.differentiates else ComparingObjective)
    assert objective.copies == (1 if objective.differentiates else 3)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("refl", {"window": (0.5, 0.5)}, "window"),
        ("draft-k", {"grad_steps": 5}, "grad_steps must be between 1 and 4"),
        ("draft-lv", {"noises": 0}, "noises must be 1 or more; got 0"),
        ("drtune", {"grad_steps": 0}, "grad_steps must be between 1 and 4"),
        ("nft", {"noises": 0}, "noises must be 1 or more; got 0"),
        ("nft", {"group": 3}, "group must be 2 or more and divide the batch of 8; got 3"),
        ("flow-grpo", {"grad_steps": 4}, "grad_steps must be between 1 and 3"),
    ],
)
def test_options_that_make_no_update_are_refused(name: ObjectiveName, options: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        new_objective(Method(objective=name, **options)).check(4, 8, tune_text=False)

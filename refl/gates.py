"""Which prompts a reward applies to, by a column of their file; the text axis always needs quoted text."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from refl.panel import by_score
from rewardkit.errors import UserError, did_you_mean
from rewardkit.prompts import Prompt
from rewardkit.rewards.panel import Panel


def gated(panel: Panel, gates: Mapping[str, str], prompts: Mapping[str, Sequence[Prompt]]) -> Panel:
    """Limit rewards, by score name or axis, to prompts whose COLUMN is VALUE, in any of the files.

    `prompts` are those of every file, by its name.
    Raise `UserError` for a gate that is not COLUMN=VALUE, a missing column, and a value that does not occur.
    """
    only = {name: frozenset(tagged(gate, prompts)) for name, gate in by_score(gates, panel, "gates").items()}
    return replace(panel, only=only)


def tagged(gate: str, prompts: Mapping[str, Sequence[Prompt]]) -> set[str]:
    """Which prompts have the value in the column."""
    column, equals, value = gate.partition("=")
    if not (column and equals and value):
        raise UserError(f"a gate is COLUMN=VALUE, like: --gates aesthetic category=portrait; got {gate!r}")
    chosen, values = set[str](), set[str]()
    for file, own in prompts.items():
        for prompt in own:
            if column not in prompt.tags:
                known = ", ".join(prompt.tags) or "none but the prompt"
                raise UserError(f"{file} has no column {column!r}, which --gates asks for; its columns are {known}")
            found = str(prompt.tags[column])
            values.add(found)
            if found == value:
                chosen.add(prompt.text)
    if not chosen:
        raise UserError(f"--gates: no prompt has {column} {value!r}; {did_you_mean(value, sorted(values))}")
    return chosen

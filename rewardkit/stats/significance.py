"""The exact test of two judges on the same cases (McNemar), and the correction for many tests (Holm)."""

from collections.abc import Sequence

from scipy.special import bdtr


def mcnemar(only_first: int, only_second: int) -> float:
    """Give the exact two-sided p of McNemar's test: are two judges right equally often on the same cases?

    Only the cases that one of them has right and the other wrong tell; under the null each falls either way evenly.
    """
    fewer, both = min(only_first, only_second), only_first + only_second
    return min(1.0, 2 * float(bdtr(fewer, both, 0.5))) if both else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p values for their number (Holm's step-down), so that 5 % bounds the chance of any false one."""
    adjusted = [1.0] * len(p_values)
    highest = 0.0
    for done, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - done) * p_values[place]))
        adjusted[place] = highest
    return adjusted

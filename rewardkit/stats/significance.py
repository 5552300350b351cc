"""McNemar's exact test of two judges on the same cases, and Holm's correction for multiple tests."""

from collections.abc import Sequence

from scipy.special import bdtr


def mcnemar(only_first: int, only_second: int) -> float:
    """Compute the exact two-sided p of McNemar's test: are two judges right equally often on the same cases?

    Only cases that one judge has right and the other wrong count; under the null both directions are equally likely.
    """
    fewer, both = min(only_first, only_second), only_first + only_second
    return min(1.0, 2 * float(bdtr(fewer, both, 0.5))) if both else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p values for multiple tests (Holm's step-down), which controls the family-wise error rate."""
    adjusted = [1.0] * len(p_values)
    highest = 0.0
    for done, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - done) * p_values[place]))
        adjusted[place] = highest
    return adjusted

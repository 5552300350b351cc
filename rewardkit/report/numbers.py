"""Number formats, the same in HTML, Markdown and on the terminal."""

import math

from rewardkit.stats import Estimate


def number(value: float, digits: int = 3) -> str:
    """Format a figure with a true minus sign; a dash if there is none."""
    if not math.isfinite(value):
        return "–"
    text = f"{value:.{digits}f}"
    return text.replace("-", "−") if float(text) else f"{0:.{digits}f}"


def signed(value: float, digits: int = 3) -> str:
    """Format a difference with its sign."""
    text = number(value, digits)
    return text if text[0] in "–−" or not float(text) else f"+{text}"


def interval(estimate: Estimate, digits: int = 3) -> str:
    """Format the ends of an interval; a dash if there are too few observations for one."""
    if not (math.isfinite(estimate.low) and math.isfinite(estimate.high)):
        return "–"
    return f"[{number(estimate.low, digits)}, {number(estimate.high, digits)}]"


def percent(value: float) -> str:
    return f"{100 * value:.0f} %" if math.isfinite(value) else "–"


def percent_interval(estimate: Estimate) -> str:
    if not (math.isfinite(estimate.low) and math.isfinite(estimate.high)):
        return "–"
    return f"[{100 * estimate.low:.0f}, {100 * estimate.high:.0f}]"

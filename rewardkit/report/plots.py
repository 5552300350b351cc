"""Small plots drawn as inline SVG: intervals in rows (a forest plot) and curves over steps.

Positions are percentages of the width, so lines stretch to any screen while the text, which is HTML, keeps its size.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rewardkit.report.html import Html, div, element, escape, join, span
from rewardkit.report.numbers import interval, signed
from rewardkit.stats import Estimate

COLOURS = 6
Steps = Sequence[float] | Sequence[int]


@dataclass(frozen=True)
class Interval:
    """A row of a forest plot."""

    label: str
    estimate: Estimate


@dataclass(frozen=True)
class Series:
    """A curve; `low` and `high`, if given, shade a band around it."""

    name: str
    x: Steps
    y: Steps
    low: Steps = ()
    high: Steps = ()


def forest(rows: Sequence[Interval], *, better: str = "right is better") -> Html:
    """Draw differences with their intervals around a line at zero, green if all above it and red if all below."""
    left, right = limits([0.0, *(x for row in rows for x in (row.estimate.value, row.estimate.low, row.estimate.high))])
    drawn = [forest_row(row, left, right) for row in rows]
    ends = element("span", *(element("span", text) for text in (signed(left), better, signed(right))))
    return div("forest", *drawn, div("axis", ends))


def forest_row(row: Interval, left: float, right: float) -> Html:
    """Draw one label, one interval with its point estimate, and the numbers."""
    estimate = row.estimate
    low, value, high, zero = (
        100 * (min(max(x, left), right) - left) / (right - left)
        for x in (estimate.low, finite_or(estimate.value, 0.0), estimate.high, 0.0)
    )
    direction = "up" if estimate.low > 0 else "down" if estimate.high < 0 else "level"
    drawing = Html(
        f'<svg class="{direction}" aria-hidden="true">'
        f'<line class="zero" x1="{zero:.2f}%" x2="{zero:.2f}%" y1="0" y2="100%"/>'
        f'<line class="interval" x1="{low:.2f}%" x2="{high:.2f}%" y1="50%" y2="50%"/>'
        f'<circle cx="{value:.2f}%" cy="50%" r="5"/></svg>'
    )
    numbers = span(
        "value", signed(estimate.value), " ", element("span", interval(estimate), attributes={"class": "note"})
    )
    return div("row", span("label", row.label), drawing, numbers)


def curves(title: str, series: Sequence[Series], *, x_label: str = "step") -> Html:
    """Draw curves of one quantity over steps, with a legend when there are several; gaps are left at NaN."""
    xs = [float(x) for one in series for x in one.x]
    x0, x1 = (min(xs), max(xs)) if xs else (0.0, 1.0)
    y0, y1 = limits([float(y) for one in series for values in (one.y, one.low, one.high) for y in values])
    box = (x0, max(x1, x0 + 1e-9), y0, y1)
    shapes = join(shape for i, one in enumerate(series) for shape in curve(one, colour(i, len(series)), box))
    grid = "".join(f'<line class="grid" x1="0" x2="100%" y1="{p}%" y2="{p}%"/>' for p in (0, 50, 100))
    drawing = Html(
        f'<svg role="img" aria-label="{escape(title)}">{grid}'
        f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" width="100%" height="100%">{shapes}</svg></svg>'
    )
    ticks = div("y", *(element("span", tick(y)) for y in (y1, (y0 + y1) / 2, y0)))
    steps = div("x", element("span", tick(x0)), element("span", x_label), element("span", tick(x1)))
    plot = div("plot", ticks, drawing, steps)
    return element("figure", element("figcaption", title), plot, legend(series), attributes={"class": "chart"})


def colour(index: int, count: int) -> int:
    """Pick a colour: grey first (a baseline), but not for a single curve."""
    return 1 if count == 1 else index % COLOURS


def curve(series: Series, shade: int, box: tuple[float, float, float, float]) -> list[Html]:
    """Draw a band and a line in a box of 100 by 100."""
    x0, x1, y0, y1 = box

    def points(xs: Steps, ys: Steps) -> str:
        seen = [(x, y) for x, y in zip(xs, ys, strict=True) if math.isfinite(y)]
        return " ".join(f"{100 * (x - x0) / (x1 - x0):.2f},{100 * (y1 - y) / (y1 - y0):.2f}" for x, y in seen)

    shapes = [Html(f'<polyline style="stroke:var(--s{shade})" points="{points(series.x, series.y)}"/>')]
    if series.low and series.high:
        around = points([*series.x, *reversed(series.x)], [*series.high, *reversed(series.low)])
        shapes.insert(0, Html(f'<polygon style="fill:var(--s{shade})" points="{around}"/>'))
    return shapes


def legend(series: Sequence[Series]) -> Html:
    if len(series) < 2:
        return Html("")
    marks = [Html(f'<i style="background:var(--s{colour(i, len(series))})"></i>') for i in range(len(series))]
    return div("legend", *(element("span", mark, one.name) for mark, one in zip(marks, series, strict=True)))


def limits(values: Sequence[float]) -> tuple[float, float]:
    """Leave a little room around the finite values; never an empty range."""
    seen = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(seen), max(seen)
    room = 0.06 * (high - low) or 0.5 * abs(high) or 1.0
    return low - room, high + room


def finite_or(value: float, other: float) -> float:
    return value if math.isfinite(value) else other


def tick(value: float | int) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"

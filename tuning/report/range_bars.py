"""The stable ranges as bars beneath a plot, which are its legend, too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from tuning.report.number_text import format_number
from tuning.report.plot_data import Series, plotted_rates
from tuning.report.range_text import format_range
from tuning.report.svg import series_look
from tuning.statistics.values import Curve

MARGIN = 1.25
"""The axis begins and ends at this ratio beyond the outermost learning rates."""


class RangeBar(NamedTuple):
    """One optimizer at one batch size.

    Attributes:
        series: its place among the plot's series.
        name: of the optimizer.
        colour: number of its CSS variable.
        dash: number of its line style.
        text: the stable range, or that there is none.
        left: where the bar begins, in percent of the axis.
        width: of the bar, in percent; 0 without a stable range.
        same_as: name of an earlier series whose curve reads the same; or empty.
    """

    series: int
    name: str
    colour: int
    dash: int
    text: str
    left: float
    width: float
    same_as: str


def axis_of(series: Sequence[Series]) -> tuple[float, float]:
    """The ends of the axis of learning rates."""
    rates = plotted_rates(series)
    return rates[0] / MARGIN, rates[-1] * MARGIN


def range_bars(series: Sequence[Series]) -> dict[int, list[RangeBar]]:
    """The bars by batch size, ascending, in the order of the series."""
    ends = axis_of(series)
    found: dict[int, list[RangeBar]] = {}
    earlier: dict[tuple, str] = {}
    for place, one in enumerate(series):
        for optimizer in one.sweep.summary.optimizers:
            if optimizer.name != one.optimizer:
                continue
            for curve in optimizer.curves:
                same_as = earlier.setdefault(_reading(curve), one.name)
                bar = _bar(place, one, curve, ends)
                if same_as != one.name:
                    bar = bar._replace(same_as=same_as)
                found.setdefault(curve.batch_size, []).append(bar)
    return dict(sorted(found.items()))


def _bar(place: int, one: Series, curve: Curve, ends: tuple[float, float]) -> RangeBar:
    colour, dash = series_look(place)
    region = curve.good_region
    text, left, width = "learned nothing", 0.0, 0.0
    if region is not None:
        text = format_range(region)
        left = _position(region.low_rate, ends)
        # A range of one learning rate can still be seen.
        width = max(_position(region.high_rate, ends) - left, 0.4)
    return RangeBar(
        place, one.name, colour + 1, dash, text, round(left, 2), round(width, 2), ""
    )


def _position(rate: float, ends: tuple[float, float]) -> float:
    return 100 * math.log(rate / ends[0]) / math.log(ends[1] / ends[0])


def _reading(curve: Curve) -> tuple:
    """A curve as it reads: at three digits."""
    points = tuple((p.learning_rate, format_number(p.loss)) for p in curve.points)
    return (curve.batch_size, points)

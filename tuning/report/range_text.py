"""Ranges of learning rates as text."""

from __future__ import annotations

import math
from collections.abc import Callable

from tuning.report.number_text import format_rate
from tuning.statistics.values import GoodRegion


def format_range(region: GoodRegion) -> str:
    """A stable range as text: ``1e-4 to 3``.

    Ends that lie between trained learning rates get two digits, rounded inwards.
    """
    ends = (region.low_rate, region.high_rate)
    low = ends[0] if region.touches_low_edge else _round(ends[0], math.ceil)
    high = ends[1] if region.touches_high_edge else _round(ends[1], math.floor)
    low, high = (low, high) if low < high else ends
    return f"{format_rate(low)} to {format_rate(high)}"


def _round(rate: float, direction: Callable[[float], int]) -> float:
    unit = 10.0 ** (math.floor(math.log10(rate)) - 1)
    # Nine digits: what is whole but for float rounding stays as it is.
    return direction(round(rate / unit, 9)) * unit

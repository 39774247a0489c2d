"""Means and medians that leave out missing values."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence


def mean_or_none(values: Sequence[float | None]) -> float | None:
    """The mean of the values other than ``None``; ``None`` if there are none."""
    present = [value for value in values if value is not None]
    return statistics.fmean(present) if present else None


def median_or_none(values: Sequence[float | None]) -> float | None:
    """The median of the finite values; ``None`` if there are none."""
    finite = [value for value in values if value is not None and math.isfinite(value)]
    return statistics.median(finite) if finite else None

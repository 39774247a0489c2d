"""Colours of a report: of series and of the cells of a heat map."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import matplotlib
from matplotlib.colors import to_hex

from tuning.objectives import turned
from tuning.statistics.values import Summary

SERIES_COLOURS = (
    ("#0072b2", "#5ab4f0"),
    ("#c44e00", "#ff9a57"),
    ("#00795a", "#3ecfa4"),
    ("#a23b84", "#ee8fcf"),
    ("#8a6a00", "#e6c34a"),
    ("#4a4f57", "#c3c9d1"),
    ("#6a51c8", "#b5a4ff"),
    ("#7a4a33", "#d3a78f"),
)
"""Line colours for light and dark pages. The hues follow Okabe and Ito's palette for
colour-blind readers (https://jfly.uni-koeln.de/color/), darkened or lightened to a
contrast of at least 4.5 with the page."""

COLOUR_MAP = "viridis_r"
"""Lower losses are lighter, also in grey and for colour-blind readers."""

_LOG_FROM_RATIO = 30


@dataclasses.dataclass(frozen=True)
class LossScale:
    """The scale from the lowest to the highest loss of a sweep.

    Attributes:
        low: lowest loss.
        high: highest loss.
        is_logarithmic: whether losses span so many orders of magnitude that a linear
            scale would hide the small ones.
    """

    low: float
    high: float
    is_logarithmic: bool

    def turned(self, direction: str) -> LossScale:
        """The scale of an objective with this direction, from its scale of losses."""
        if direction == "min":
            return self
        ends = turned(self.high, direction), turned(self.low, direction)
        return LossScale(*ends, is_logarithmic=False)

    def position(self, loss: float) -> float:
        """From 0 at ``low`` to 1 at ``high``; 0 if the two are the same."""
        if self.high <= self.low:
            return 0.0
        if self.is_logarithmic:
            return math.log(loss / self.low) / math.log(self.high / self.low)
        return (loss - self.low) / (self.high - self.low)


def loss_scale(losses: Sequence[float]) -> LossScale:
    """One scale for all the losses of a report.

    It is logarithmic if the highest is more than thirty times the lowest.
    """
    low, high = min(losses), max(losses)
    return LossScale(low, high, low > 0 and high / low > _LOG_FROM_RATIO)


def sweep_scale(summary: Summary) -> LossScale:
    """One colour scale for all losses of a sweep."""
    curves = [curve for o in summary.optimizers for curve in o.curves]
    losses = [curve.initial_loss for curve in curves]
    losses += [point.loss for curve in curves for point in curve.points]
    return loss_scale(losses or [0.0])


def cell_colours(loss: float, scale: LossScale) -> tuple[str, str]:
    """Background and text colour of a heat map's cell, as ``#rrggbb``.

    The text is black or white, whichever contrasts more (WCAG 2.1's relative
    luminance, https://www.w3.org/TR/WCAG21/#dfn-relative-luminance).
    """
    colour_map = matplotlib.colormaps[COLOUR_MAP]
    background = colour_map(min(max(scale.position(loss), 0.0), 1.0))
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in background[:3]
    ]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return to_hex(background), "#000000" if luminance > 0.179 else "#ffffff"


def colour_bar(stops: int = 9) -> str:
    """The colour map as the colour list of a CSS ``linear-gradient``."""
    colour_map = matplotlib.colormaps[COLOUR_MAP]
    return ", ".join(to_hex(colour_map(i / (stops - 1))) for i in range(stops))

"""Drawings of a report: loss curves as SVG, heat maps, colours, legends.

Nothing is computed here but positions and colours. Inks are written into the SVG as
CSS variables of the page (``var(--series-1)``, ``var(--ink)``), so that one drawing
serves light and dark; text stays text, set in the page's font.
"""

from __future__ import annotations

import dataclasses
import html
import io
import math
import re
import warnings
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullLocator,
)

from tuning.report.number_text import format_number, format_rate
from tuning.statistics.curves import Curve
from tuning.statistics.optimizer_summary import HeatMap
from tuning.system.paths import in_one_line

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
"""Lower losses are lighter; even for colour-blind readers and in grey."""

_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
_DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)))
INK, SOFT, LINE = "#0000f0", "#0000f1", "#0000f2"
"""Inks of a page: :func:`to_svg` turns them into its CSS variables."""

_LOG_FROM_RATIO = 30
PANEL_INCHES = (4.4, 3.3)


@dataclasses.dataclass(frozen=True)
class LossScale:
    """Where losses lie between the least and the greatest one of a sweep.

    Attributes:
        low: least loss.
        high: greatest loss.
        is_logarithmic: losses span so many orders that a straight scale would hide
            the small ones.
    """

    low: float
    high: float
    is_logarithmic: bool

    def position(self, loss: float) -> float:
        """From 0 at ``low`` to 1 at ``high``; 0 if the two are the same."""
        if self.high <= self.low:
            return 0.0
        if self.is_logarithmic:
            return math.log(loss / self.low) / math.log(self.high / self.low)
        return (loss - self.low) / (self.high - self.low)


@dataclasses.dataclass(frozen=True)
class SeriesStyle:
    """How one optimizer looks in every panel: never told by colour alone.

    Attributes:
        colour: a CSS variable.
        marker: in Matplotlib's letters.
        dashes: a Matplotlib line style.
        legend: a small SVG drawing of line and marker.
    """

    colour: str
    marker: str
    dashes: str | tuple[float, tuple[float, ...]]
    legend: str


def loss_scale(losses: Sequence[float]) -> LossScale:
    """One scale for all the losses of a report.

    Logarithmic where the greatest is more than thirty times the least.
    """
    low, high = min(losses), max(losses)
    return LossScale(low, high, low > 0 and high / low > _LOG_FROM_RATIO)


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


def series_styles(names: Sequence[str], kind: str = "legend") -> dict[str, SeriesStyle]:
    """A style per series, in the given order; repeats only after 32 of them.

    Args:
        names: of the series.
        kind: begins the ids of the legends' drawings, which are unique in the page.
    """
    count = len(SERIES_COLOURS)
    styles = {}
    for index, name in enumerate(names):
        marker = _MARKERS[index % count]
        dashes = _DASHES[(index + index // count) % len(_DASHES)]
        colour = _placeholder(index % count)
        styles[name] = SeriesStyle(colour, marker, dashes, "")
    return {
        name: dataclasses.replace(style, legend=_draw_legend(style, name, kind))
        for name, style in styles.items()
    }


def draw_loss_curves(
    curves: Sequence[Curve],
    styles: Mapping[str, SeriesStyle],
    rates: Sequence[float],
    scale: LossScale,
    *,
    identifier: str,
    by_batch_size: bool = False,
) -> str:
    """Loss against learning rate, as an SVG element.

    Bands reach from the best to the worst seed, the dashed line is the initial loss,
    and a cross marks rates at which runs diverged.

    Args:
        curves: of one batch size, or with ``by_batch_size`` of one optimizer.
        styles: by optimizer, or by batch size as text.
        rates: of the whole sweep, for equal axes in all panels.
        scale: of all losses, for the same reason.
        identifier: unique within the page; begins with a letter.
        by_batch_size: whether lines are batch sizes.
    """
    figure = Figure(figsize=PANEL_INCHES, layout="constrained")
    axes = figure.subplots()
    _set_axes(axes, rates, scale)
    for curve in curves:
        name = str(curve.batch_size) if by_batch_size else curve.optimizer
        _draw_curve(axes, curve, styles[name])
    initial = sum(curve.initial_loss for curve in curves) / len(curves)
    axes.axhline(initial, color=SOFT, linestyle=(0, (4, 3)), linewidth=1, zorder=1)
    return to_svg(figure, identifier, _describe(curves, by_batch_size))


def draw_heat_map(heat_map: HeatMap, scale: LossScale, title: str) -> np.ndarray:
    """Loss over learning rate and batch size as an image, for TensorBoard.

    Args:
        heat_map: of one optimizer.
        scale: of all losses, so that maps can be compared.
        title: above the map.

    Shapes:
        Returns [height, width, 3] uint8.
    """
    rows, columns = len(heat_map.learning_rates), len(heat_map.batch_sizes)
    figure = Figure(
        figsize=(1.6 + 0.9 * columns, 1.0 + 0.32 * rows), layout="constrained"
    )
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set(xlim=(-0.5, columns - 0.5), ylim=(-0.5, rows - 0.5))
    for i in range(rows):
        for j in range(columns):
            loss = heat_map.losses[i][j]
            if loss is None:
                continue
            background, ink = cell_colours(loss, scale)
            axes.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, color=background))
            mark = " \N{MULTIPLICATION SIGN}" if heat_map.diverged_shares[i][j] else ""
            text = format_number(loss) + mark
            axes.text(j, i, text, ha="center", va="center", color=ink, fontsize=8)
    axes.set_xticks(range(columns), [str(size) for size in heat_map.batch_sizes])
    axes.set_yticks(range(rows), [format_rate(r) for r in heat_map.learning_rates])
    axes.set(xlabel="batch size", ylabel="learning rate")
    # A name may hold a dollar sign, which begins no formula there.
    axes.set_title(in_one_line(title), parse_math=False)
    axes.tick_params(length=0)
    with warnings.catch_warnings():
        # A letter that the font lacks is drawn as a box.
        warnings.filterwarnings("ignore", message="Glyph")
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()


def _draw_curve(axes: Axes, curve: Curve, style: SeriesStyle) -> None:
    rates = [point.learning_rate for point in curve.points]
    losses = [point.loss for point in curve.points]
    axes.fill_between(
        rates,
        [point.lowest_loss for point in curve.points],
        [point.highest_loss for point in curve.points],
        color=style.colour,
        alpha=0.16,
        linewidth=0,
    )
    axes.plot(
        rates,
        losses,
        color=style.colour,
        linestyle=style.dashes,
        linewidth=1.6,
        marker=style.marker,
        markersize=4.5,
        markeredgewidth=0,
    )
    diverged = [point for point in curve.points if point.diverged]
    axes.plot(
        [point.learning_rate for point in diverged],
        [point.loss for point in diverged],
        color=style.colour,
        linestyle="none",
        marker="x",
        markersize=9,
        markeredgewidth=1.4,
    )


def _set_axes(axes: Axes, rates: Sequence[float], scale: LossScale) -> None:
    axes.set_xscale("log")
    axes.set_xlim(min(rates) / 1.35, max(rates) * 1.35)
    # Over less than a decade and a half, powers of ten would label next to nothing.
    is_narrow = max(rates) / min(rates) < 10**1.5
    axes.xaxis.set_major_locator(
        FixedLocator(list(rates)) if is_narrow else LogLocator(base=10, numticks=8)
    )
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda rate, _: format_rate(rate)))
    if scale.is_logarithmic:
        axes.set_yscale("log")
        axes.set_ylim(scale.low / 1.2, scale.high * 1.2)
        axes.yaxis.set_major_locator(LogLocator(base=10, subs=(1, 3), numticks=12))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        margin = 0.05 * (scale.high - scale.low) or 0.5
        axes.set_ylim(scale.low - margin, scale.high + margin)
        axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda loss, _: f"{loss:g}"))
    set_page_inks(axes, "learning rate", "validation loss")


def set_page_inks(axes: Axes, x_label: str, y_label: str) -> None:
    """Draw axes in the page's inks: a light grid, no frame above and to the right."""
    axes.set_xlabel(x_label, color=SOFT)
    axes.set_ylabel(y_label, color=SOFT)
    axes.grid(visible=True, color=LINE, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors=LINE, labelcolor=INK, length=3)
    axes.patch.set_visible(False)
    for side, spine in axes.spines.items():
        spine.set_visible(side in {"left", "bottom"})
        spine.set_color(LINE)


def _describe(curves: Sequence[Curve], by_batch_size: bool) -> str:
    def name(curve: Curve) -> str:
        return f"batch {curve.batch_size}" if by_batch_size else curve.optimizer

    best = "; ".join(
        f"{name(curve)}: lowest {format_number(curve.best_loss)} at rate "
        f"{format_rate(curve.best_rate)}"
        for curve in curves
    )
    of = (
        f"of {curves[0].optimizer}"
        if by_batch_size
        else f"at batch size {curves[0].batch_size}"
    )
    return f"Validation loss against learning rate {of}. {best}."


def _draw_legend(style: SeriesStyle, name: str, kind: str) -> str:
    figure = Figure(figsize=(0.55, 0.22))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(-1, 1))
    axes.plot([0.02, 0.98], [0, 0], color=style.colour, linestyle=style.dashes, lw=1.8)
    axes.plot(
        [0.5], [0], color=style.colour, marker=style.marker, ms=5.5, markeredgewidth=0
    )
    identifier = f"{kind}-{style.colour[-2:]}-{style.marker}"
    return to_svg(figure, identifier, f"line of {name}")


def _placeholder(index: int) -> str:
    """A colour Matplotlib accepts, which `to_svg` turns into a CSS variable."""
    return f"#0000{index + 1:02x}"


def to_svg(figure: Figure, identifier: str, description: str) -> str:
    """The figure as an element for an HTML page, of any width, in the page's inks."""
    FigureCanvasSVG(figure)
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": identifier}):
        figure.savefig(buffer, format="svg", transparent=True)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    # A hundredth of a point is finer than any screen; six decimals double the page.
    text = re.sub(
        r' (?:d|x|y)="[^"]*"', lambda m: re.sub(r"(\.\d\d)\d+", r"\1", m[0]), text
    )
    # Several drawings share one page: their ids must differ.
    text = re.sub(r'\bid="', f'id="{identifier}-', text)
    text = re.sub(r'href="#', f'href="#{identifier}-', text)
    text = re.sub(r"url\(#", f"url(#{identifier}-", text)
    for colour, variable in ((INK, "ink"), (SOFT, "ink-soft"), (LINE, "line")):
        text = text.replace(colour, f"var(--{variable})")
    for index in range(len(SERIES_COLOURS)):
        text = text.replace(_placeholder(index), f"var(--series-{index + 1})")
    label = html.escape(description, quote=True)
    opening = f'<svg role="img" aria-label="{label}" '
    text = re.sub(r"^<svg ", lambda _: opening, text)
    return re.sub(r' (?:width|height)="[\d.]+pt"', "", text, count=2)

"""Drawings of a report: loss curves as SVG, heat maps as images."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullLocator,
)

from tuning.objectives import title_of, turned
from tuning.report.colours import LossScale, cell_colours
from tuning.report.number_text import format_number, format_rate
from tuning.report.svg import (
    INK,
    PANEL_INCHES,
    SOFT,
    SeriesStyle,
    set_page_inks,
    to_svg,
)
from tuning.statistics.values import Curve, HeatMap
from tuning.system.paths import in_one_line


def draw_loss_curves(
    curves: Sequence[Curve],
    styles: Mapping[str, SeriesStyle],
    rates: Sequence[float],
    scale: LossScale,
    *,
    identifier: str,
    by_batch_size: bool = False,
    loss_name: str = "validation loss",
    direction: str = "min",
    mark: float | None = None,
) -> str:
    """Loss against learning rate, as an SVG element.

    Bands reach from the best to the worst seed, the dashed line is the initial loss,
    and a cross marks rates at which runs diverged.

    Args:
        curves: of one batch size, or with ``by_batch_size`` of one optimizer.
        styles: by optimizer, or by batch size as text.
        rates: learning rates of the whole sweep, for equal axes in all panels.
        scale: of all losses, for the same reason.
        identifier: unique within the page; begins with a letter.
        by_batch_size: whether lines are batch sizes.
        loss_name: what the vertical axis shows.
        direction: of the objective.
        mark: a learning rate that a vertical line stands at.
    """
    figure = Figure(figsize=PANEL_INCHES, layout="constrained")
    axes = figure.subplots()
    _set_axes(axes, rates, scale.turned(direction), loss_name)
    for curve in curves:
        name = str(curve.batch_size) if by_batch_size else curve.optimizer
        _draw_curve(axes, curve, styles[name], direction)
    initial = sum(curve.initial_loss for curve in curves) / len(curves)
    axes.axhline(
        turned(initial, direction),
        color=SOFT,
        linestyle=(0, (4, 3)),
        linewidth=1,
        zorder=1,
    )
    if mark is not None:
        axes.axvline(mark, color=INK, linewidth=1, zorder=1)
    description = _describe(curves, by_batch_size, loss_name, direction)
    return to_svg(figure, identifier, description)


def draw_heat_map(
    heat_map: HeatMap, scale: LossScale, title: str, direction: str = "min"
) -> np.ndarray:
    """Loss over learning rate and batch size as an image, for TensorBoard.

    Args:
        heat_map: of one optimizer.
        scale: of all losses, so that maps can be compared.
        title: above the map.
        direction: of the objective.

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
            text = format_number(turned(loss, direction)) + mark
            axes.text(j, i, text, ha="center", va="center", color=ink, fontsize=8)
    axes.set_xticks(range(columns), [str(size) for size in heat_map.batch_sizes])
    axes.set_yticks(range(rows), [format_rate(r) for r in heat_map.learning_rates])
    axes.set(xlabel="batch size", ylabel="learning rate")
    # A dollar sign in a name must not begin a formula.
    axes.set_title(in_one_line(title), parse_math=False)
    axes.tick_params(length=0)
    with warnings.catch_warnings():
        # A letter that the font lacks is drawn as a box.
        warnings.filterwarnings("ignore", message="Glyph")
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()


def _draw_curve(axes: Axes, curve: Curve, style: SeriesStyle, direction: str) -> None:
    rates = [point.learning_rate for point in curve.points]
    losses = [turned(point.loss, direction) for point in curve.points]
    axes.fill_between(
        rates,
        [turned(point.lowest_loss, direction) for point in curve.points],
        [turned(point.highest_loss, direction) for point in curve.points],
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
        [turned(point.loss, direction) for point in diverged],
        color=style.colour,
        linestyle="none",
        marker="x",
        markersize=9,
        markeredgewidth=1.4,
    )


def _set_axes(
    axes: Axes, rates: Sequence[float], scale: LossScale, loss_name: str
) -> None:
    axes.set_xscale("log")
    axes.set_xlim(min(rates) / 1.35, max(rates) * 1.35)
    # Over less than a decade and a half, powers of ten would give almost no labels.
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
    set_page_inks(axes, "learning rate", loss_name)


def _describe(
    curves: Sequence[Curve], by_batch_size: bool, loss_name: str, direction: str
) -> str:
    def name(curve: Curve) -> str:
        return f"batch {curve.batch_size}" if by_batch_size else curve.optimizer

    best = "; ".join(
        f"{name(curve)}: {'highest' if direction == 'max' else 'lowest'} "
        f"{format_number(turned(curve.best_loss, direction))} at rate "
        f"{format_rate(curve.best_rate)}"
        for curve in curves
    )
    of = (
        f"of {curves[0].optimizer}"
        if by_batch_size
        else f"at batch size {curves[0].batch_size}"
    )
    return f"{title_of(loss_name)} against learning rate {of}. {best}."

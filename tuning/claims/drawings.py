"""Draws training curves of a workload, in the style of a report."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tuning.claims.contenders import DEFAULT_RATES
from tuning.records import RunRecord
from tuning.report.svg import (
    PANEL_INCHES,
    SOFT,
    SeriesStyle,
    set_page_inks,
    to_svg,
)
from tuning.statistics.task_runs import TaskRuns
from tuning.statistics.training_curves import (
    EARLY_SHARE,
    SMOOTHED_POINTS,
    planned_steps,
    share_of,
)

MOST_POINTS = 50
"""Points of a line; more than a panel can show would only make the page larger."""


@dataclasses.dataclass(frozen=True)
class Line:
    """The training of one optimizer, a mean over seeds.

    Attributes:
        optimizer: its name.
        shares: of the planned steps, 0 ... 1.
        losses: training losses over the initial loss, at most 1.2.
    """

    optimizer: str
    shares: tuple[float, ...]
    losses: tuple[float, ...]


def training_lines(task: TaskRuns, where: str) -> list[Line]:
    """How each optimizer trains at the smallest batch size.

    Args:
        task: the runs of a workload.
        where: ``"default"`` or ``"best"``: the learning rate of each optimizer.
    """
    size = task.batch_sizes[0]
    lines = []
    for optimizer in task.optimizers:
        is_default = where == "default"
        rate = (
            DEFAULT_RATES.get(optimizer)
            if is_default
            else task.best_rate(optimizer, size)
        )
        records = task.at(optimizer, size, rate, task.seeds)
        curves = [c for record in records if (c := _smoothed(record)) is not None]
        if not curves:
            continue
        length = min(len(curve) for curve in curves)
        mean = np.mean([curve[:length] for curve in curves], axis=0)
        steps = np.arange(1, length + 1) * records[0].steps_per_point
        shares = np.minimum(steps / planned_steps(records[0]), 1.0)
        chosen = np.unique(np.linspace(0, length - 1, MOST_POINTS).round().astype(int))
        lines.append(
            Line(optimizer, tuple(shares[chosen]), tuple(mean[chosen].tolist()))
        )
    return lines


def draw_training(
    lines: Sequence[Line],
    styles: Mapping[str, SeriesStyle],
    *,
    identifier: str,
    description: str,
) -> str:
    """Training loss over the steps, as an SVG element.

    Args:
        lines: of one workload.
        styles: by optimizer.
        identifier: unique within the page; begins with a letter.
        description: for readers who cannot see the drawing.
    """
    figure = Figure(figsize=PANEL_INCHES, layout="constrained")
    axes = figure.subplots()
    for line in lines:
        style = styles[line.optimizer]
        axes.plot(
            line.shares,
            line.losses,
            color=style.colour,
            linestyle=style.dashes,
            linewidth=1.5,
            marker=style.marker,
            markevery=max(len(line.shares) // 6, 1),
            markersize=4,
            markeredgewidth=0,
        )
    axes.axvline(EARLY_SHARE, color=SOFT, linestyle=(0, (4, 3)), linewidth=1, zorder=1)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.25)
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:.0%}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda loss, _: f"{loss:g}"))
    set_page_inks(axes, "steps", "training loss / initial loss")
    return to_svg(figure, identifier, description)


def _smoothed(record: RunRecord) -> np.ndarray | None:
    """Trailing means of loss / initial loss; a non-finite loss counts as 1.2."""
    if not record.initial_loss or not record.training_curve:
        return None
    top = 1.2
    losses = [
        top if loss is None else share_of(loss, record.initial_loss, top)
        for loss in record.training_curve
    ]
    sums = np.cumsum(losses)
    width = SMOOTHED_POINTS
    sums[width:] = sums[width:] - sums[:-width]
    return sums / np.minimum(np.arange(1, len(losses) + 1), width)

"""A summary as tables of text, the same ones for HTML and Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from tuning.objectives import turned
from tuning.report.number_text import (
    NOTHING,
    format_bytes,
    format_number,
    format_rate,
    format_seconds,
    format_share,
)
from tuning.report.range_text import format_range
from tuning.statistics.values import Curve, Interval, OptimizerSummary, Summary

_LONGEST_REASON = 600
_OVER_ALL_RATES = frozenset({1, 2, 3, 7})
"""Columns of the table of optimizers: S in three forms, worst regret."""


class Cell(NamedTuple):
    """One table cell.

    Attributes:
        text: shown in the cell.
        is_best: whether it is the best of its column.
        note: shown less prominently, such as an interval.
        badge: a verdict beside the text, shown in a colour of its own.
        value: by which the column is sorted, where the text has a unit; ``None`` if
            the first number in the text will do.
    """

    text: str
    is_best: bool = False
    note: str = ""
    badge: str = ""
    value: float | None = None


class Table(NamedTuple):
    """A table of text; each row's first cell names the row.

    Attributes:
        headers: of the columns.
        rows: of cells, as many as there are headers.
        meanings: what columns mean, by header, as far as that needs saying.
    """

    headers: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    meanings: Mapping[str, str] = MappingProxyType({})


class HeatCell(NamedTuple):
    """One learning rate and batch size of one optimizer.

    Attributes:
        loss: ``None`` where nothing was run.
        text: the loss as text.
        diverged: how many runs diverged.
        runs: how many there were.
        is_best: whether this is the optimizer's lowest loss.
    """

    loss: float | None
    text: str
    diverged: int
    runs: int
    is_best: bool


def optimizer_table(summary: Summary) -> Table:
    """The figures of robustness, one row per optimizer."""
    headers = (
        "Optimizer",
        "S, best of any",
        "S, own best",
        "its median",
        "Stable range, decades",
        _best_header(summary),
        "Stable at every batch size",
        "Worst regret",
        "Diverged",
        "Not improved",
        "Time per step",
        "State",
    )
    least = _least_per_column(summary.optimizers)
    is_whole = summary.strategy == "grid"
    rows = [
        _optimizer_row(o, least, is_whole, summary.direction)
        for o in summary.optimizers
    ]
    # Figures over all rates mean nothing if rates were chosen by their losses.
    shown = [i for i in range(len(headers)) if is_whole or i not in _OVER_ALL_RATES]
    return Table(
        tuple(headers[i] for i in shown),
        tuple(tuple(row[i] for i in shown) for row in rows),
    )


def curve_table(summary: Summary) -> Table:
    """The figures of every optimizer at every batch size."""
    headers = (
        "Optimizer, batch",
        _best_header(summary),
        "± over seeds",
        "at rate",
        "S, own best",
        "S, best of any",
        "Stable range, decades",
        "Diverged",
        "Not improved",
        "Steps to target",
        "Time per step",
        "Runs",
    )
    return Table(
        headers,
        tuple(
            _curve_row(curve, summary.direction)
            for o in summary.optimizers
            for curve in o.curves
        ),
    )


def excluded_table(summary: Summary) -> Table:
    """The runs that could not be judged, with their messages."""
    rows = []
    for run in summary.excluded:
        reason = run.reason
        if len(reason) > _LONGEST_REASON:
            reason = reason[:_LONGEST_REASON] + " … (all of it in runs.csv)"
        rows.append((Cell(run.run_id), Cell(reason)))
    return Table(("Run", "Reason"), tuple(rows))


def heat_cells(
    optimizer: OptimizerSummary, direction: str
) -> list[tuple[float, list[HeatCell]]]:
    """The optimizer's heat map: per learning rate, one cell for each batch size.

    Args:
        optimizer: whose losses are shown.
        direction: of the objective.
    """
    heat_map = optimizer.heat_map
    best = (optimizer.best_loss_rate, optimizer.best_loss_batch_size)
    rows = []
    for i, rate in enumerate(heat_map.learning_rates):
        cells = []
        for j, size in enumerate(heat_map.batch_sizes):
            loss, runs = heat_map.losses[i][j], heat_map.runs[i][j]
            share = heat_map.diverged_shares[i][j] or 0.0
            cells.append(
                HeatCell(
                    loss=loss,
                    text=shown_loss(loss, direction),
                    diverged=round(share * runs),
                    runs=runs,
                    is_best=(rate, size) == best,
                )
            )
        rows.append((rate, cells))
    return rows


def heat_table(optimizer: OptimizerSummary, direction: str) -> Table:
    """The heat map as text; ``×`` counts the diverged runs."""
    sizes = optimizer.heat_map.batch_sizes
    rows = []
    for rate, cells in heat_cells(optimizer, direction):
        row = [Cell(format_rate(rate))]
        for cell in cells:
            mark = (
                f" \N{MULTIPLICATION SIGN} {cell.diverged}/{cell.runs}"
                if cell.diverged
                else ""
            )
            row.append(Cell(cell.text + mark, cell.is_best))
        rows.append(tuple(row))
    return Table(("Rate", *(f"batch {size}" for size in sizes)), tuple(rows))


def _least_per_column(optimizers: Sequence[OptimizerSummary]) -> dict[str, str]:
    """The lowest figures of the ranked optimizers, as text: equal texts are ties."""
    least = {}
    for name in (
        "mean_sensitivity_to_best_of_any",
        "mean_sensitivity",
        "best_loss",
        "worst_regret",
    ):
        values = [getattr(o, name) for o in optimizers if o.is_ranked]
        least[name] = format_number(min(values, default=None))
    return least


def _optimizer_row(
    optimizer: OptimizerSummary,
    least: Mapping[str, str],
    is_whole: bool,
    direction: str,
) -> tuple[Cell, ...]:
    def is_best(name: str) -> bool:
        text = format_number(getattr(optimizer, name))
        return optimizer.is_ranked and text == least[name]

    decades = format_number(optimizer.mean_good_decades)
    place = ""
    if optimizer.best_loss is not None:
        rate = format_rate(optimizer.best_loss_rate)
        place = f"at {rate}, batch {optimizer.best_loss_batch_size}"
    bound = "≥ " if optimizer.is_good_decades_lower_bound else ""
    return (
        Cell(optimizer.name + _state_of(optimizer, is_whole)),
        Cell(
            format_number(optimizer.mean_sensitivity_to_best_of_any),
            is_best("mean_sensitivity_to_best_of_any"),
            brackets(optimizer.sensitivity_to_best_of_any_interval),
        ),
        Cell(
            format_number(optimizer.mean_sensitivity),
            is_best("mean_sensitivity"),
            brackets(optimizer.sensitivity_interval),
        ),
        Cell(format_number(optimizer.median_sensitivity)),
        Cell(bound + decades),
        Cell(shown_loss(optimizer.best_loss, direction), is_best("best_loss"), place),
        _shared_cell(optimizer),
        Cell(format_number(optimizer.worst_regret), is_best("worst_regret")),
        Cell(format_share(optimizer.diverged_share)),
        Cell(format_share(optimizer.bad_share)),
        Cell(
            format_seconds(optimizer.seconds_per_step), value=optimizer.seconds_per_step
        ),
        Cell(format_bytes(optimizer.state_bytes), value=optimizer.state_bytes),
    )


def _shared_cell(optimizer: OptimizerSummary) -> Cell:
    if optimizer.stable_overlap is None:
        return Cell(NOTHING)
    region = optimizer.shared_range
    return Cell(
        format_share(optimizer.stable_overlap),
        note=format_range(region) if region else "no learning rate",
    )


def _state_of(optimizer: OptimizerSummary, is_whole: bool) -> str:
    if is_whole and not optimizer.is_complete:
        return " (partial)"
    return "" if optimizer.has_learned else " (learned nothing)"


def _curve_row(curve: Curve, direction: str) -> tuple[Cell, ...]:
    arrow = {"low": " ↓", "high": " ↑", None: ""}[curve.best_rate_edge]
    region = curve.good_region
    rates, decades = "", "none"
    if region is not None:
        rates = format_range(region)
        bound = "≥ " if region.is_lower_bound else ""
        decades = bound + format_number(region.decades)
    steps = curve.steps_to_target
    return (
        Cell(f"{curve.optimizer}, {curve.batch_size}"),
        Cell(shown_loss(curve.best_loss, direction)),
        Cell(format_number(curve.best_loss_deviation)),
        Cell(format_rate(curve.best_rate) + arrow),
        Cell(
            format_number(curve.sensitivity),
            note=brackets(curve.sensitivity_interval),
        ),
        Cell(format_number(curve.sensitivity_to_best_of_any)),
        Cell(decades, note=rates),
        Cell(format_share(curve.diverged_share)),
        Cell(format_share(curve.bad_share)),
        Cell(NOTHING if steps is None else f"{steps:.0f}"),
        Cell(format_seconds(curve.seconds_per_step), value=curve.seconds_per_step),
        Cell(str(curve.runs)),
    )


def shown_loss(loss: float | None, direction: str) -> str:
    """The value of the objective that a loss stands for, as text."""
    return format_number(None if loss is None else turned(loss, direction))


def _best_header(summary: Summary) -> str:
    return f"{summary.best_word.capitalize()} {summary.short_name}"


def brackets(interval: Interval | None) -> str:
    """An interval as text; empty if there is none."""
    if interval is None:
        return ""
    return f"[{format_number(interval.low)}, {format_number(interval.high)}]"

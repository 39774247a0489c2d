"""The stable ranges as a table, in the open: the second thing that a reader wants."""

from __future__ import annotations

from tuning.report.number_text import NOTHING, format_metric, format_rate, format_share
from tuning.report.range_text import format_range
from tuning.report.tables import Cell, Table
from tuning.statistics.values import Curve, OptimizerSummary, Summary


def range_table(summary: Summary) -> Table:
    """The stable ranges: a row per optimizer, a column per batch size."""
    sizes = sorted({c.batch_size for o in summary.optimizers for c in o.curves})
    headers = [f"batch {size}" for size in sizes]
    if len(sizes) > 1:
        headers.append("every batch size")
    rows = []
    for optimizer in summary.optimizers:
        curves = {curve.batch_size: curve for curve in optimizer.curves}
        cells = [_range_cell(curves.get(size), summary) for size in sizes]
        if len(sizes) > 1:
            cells.append(_shared_range_cell(optimizer))
        rows.append((Cell(optimizer.name), *cells))
    return Table(("Optimizer", *headers), tuple(rows))


def _range_cell(curve: Curve | None, summary: Summary) -> Cell:
    if curve is None:
        return Cell(NOTHING)
    if curve.good_region is None:
        return Cell("none", note="learned nothing")
    best = format_metric(summary.objective, summary.shown(curve.best_loss))
    return Cell(
        format_range(curve.good_region),
        note=f"best {best} at {format_rate(curve.best_rate)}",
        value=curve.good_region.decades,
    )


def _shared_range_cell(optimizer: OptimizerSummary) -> Cell:
    if optimizer.shared_range is None:
        return Cell("none")
    share = format_share(optimizer.stable_overlap)
    return Cell(
        format_range(optimizer.shared_range),
        note=f"{share} of its range",
        value=optimizer.shared_range.decades,
    )

"""How the loss of one optimizer depends on the learning rate, at one batch size.

A *curve* is the judged loss (`tuning.statistics.seed_losses.judged_loss`), averaged
over seeds, against the learning rate.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import numpy as np

from tuning.records import RunRecord
from tuning.statistics.limits import GOOD_TOLERANCE
from tuning.statistics.means import median_or_none
from tuning.statistics.seed_losses import (
    is_bad,
    judged_loss,
    learning_rate_sensitivity,
    sensitivity_interval,
    tabulate,
)
from tuning.statistics.values import Curve, GoodRegion, Point

_ROUNDING = 1e-9
"""Relative difference up to which two mean losses are the same number."""


def find_good_region(
    rates: Sequence[float],
    losses: Sequence[float],
    initial_loss: float,
    tolerance: float = GOOD_TOLERANCE,
) -> GoodRegion | None:
    """The range of learning rates that are nearly as good as the best one.

    Good means ``loss <= best + tolerance * (initial - best)``. The tolerance is a share
    of the improvement and not of the loss itself, because a loss may have any floor:
    5 % of a cross-entropy of 2.2 that can only fall to 2.0 would be half of the
    possible improvement, and 5 % of a squared error near 0 would be nothing. Between
    two learning rates the curve is interpolated linearly over log10(learning rate).

    Args:
        rates: ascending.
        losses: mean judged loss at each rate.
        initial_loss: before the first step.
        tolerance: share of the improvement that a good learning rate may miss.

    Returns:
        The range; ``None`` if no loss is below the initial one.
    """
    best = int(np.argmin(losses))
    improvement = initial_loss - losses[best]
    if not improvement > 0:
        return None
    limit = losses[best] + tolerance * improvement
    positions = [math.log10(rate) for rate in rates]
    low, touches_low = _walk(positions, losses, limit, best, -1)
    high, touches_high = _walk(positions, losses, limit, best, +1)
    return GoodRegion(
        low_rate=rates[0] if touches_low else 10**low,
        high_rate=rates[-1] if touches_high else 10**high,
        decades=high - low,
        touches_low_edge=touches_low,
        touches_high_edge=touches_high,
    )


def describe_curve(
    records: Sequence[RunRecord],
    planned_rates: Sequence[float],
    tolerance: float = GOOD_TOLERANCE,
) -> Curve:
    """All figures of one optimizer at one batch size that need no other optimizer.

    Args:
        records: judged runs of one optimizer and batch size, at least one, in any
            order.
        planned_rates: the learning rates that every curve of the sweep has.
        tolerance: see `find_good_region`.
    """
    records = sorted(records, key=lambda record: (record.learning_rate, record.seed))
    table = tabulate(records, planned_rates)
    points = tuple(
        _describe_point([r for r in records if r.learning_rate == rate])
        for rate in table.rates.tolist()
    )
    losses = [point.loss for point in points]
    best = int(np.argmin(losses))
    at_best = [r for r in records if r.learning_rate == points[best].learning_rate]
    initial_loss = statistics.fmean(
        record.initial_loss for record in records if record.initial_loss is not None
    )
    return Curve(
        optimizer=records[0].optimizer,
        batch_size=records[0].batch_size,
        points=points,
        initial_loss=initial_loss,
        best_loss=losses[best],
        best_rate=points[best].learning_rate,
        best_rate_edge=_edge(points, {*planned_rates, *table.rates.tolist()}),
        best_loss_deviation=_deviation([judged_loss(r) for r in at_best]),
        sensitivity=sensitivity_against(points, planned_rates, losses[best]),
        sensitivity_interval=sensitivity_interval([table]),
        sensitivity_to_best_of_any=None,
        good_region=find_good_region(
            table.rates.tolist(), losses, initial_loss, tolerance
        ),
        runs=len(records),
        diverged_share=statistics.fmean(r.status == "diverged" for r in records),
        bad_share=statistics.fmean(is_bad(r) for r in records),
        steps_to_target=_median_steps(at_best),
        seconds_per_step=median_or_none([r.seconds_per_step for r in records]),
        state_bytes=max(
            (r.state_bytes for r in records if r.state_bytes is not None), default=None
        ),
    )


def sensitivity_against(
    points: Sequence[Point], planned_rates: Sequence[float], best_loss: float
) -> float | None:
    """S of a curve's planned rates against a given best loss; see `Curve`."""
    planned = set(planned_rates)
    losses = [point.loss for point in points if point.learning_rate in planned]
    if len(losses) < 2:
        return None
    return float(learning_rate_sensitivity(np.array(losses), best_loss))


def _describe_point(records: Sequence[RunRecord]) -> Point:
    losses = [loss for r in records if (loss := judged_loss(r)) is not None]
    return Point(
        learning_rate=records[0].learning_rate,
        loss=statistics.fmean(losses),
        lowest_loss=min(losses),
        highest_loss=max(losses),
        runs=len(records),
        diverged=sum(record.status == "diverged" for record in records),
    )


def _deviation(losses: Sequence[float | None]) -> float | None:
    present = [loss for loss in losses if loss is not None]
    return statistics.stdev(present) if len(present) > 1 else None


def _median_steps(records: Sequence[RunRecord]) -> float | None:
    steps = [
        math.inf if r.steps_to_target is None else r.steps_to_target for r in records
    ]
    median = statistics.median(steps)
    return median if math.isfinite(median) else None


def _edge(points: Sequence[Point], rates: set[float]) -> str | None:
    """The edge of the learning rates if only there the loss is lowest; see `Curve`."""
    least = min(point.loss for point in points)
    best = [
        point.learning_rate
        for point in points
        if math.isclose(point.loss, least, rel_tol=_ROUNDING)
    ]
    low, high = min(rates), max(rates)
    if len(best) == len(points) > 1 or not {low, high}.issuperset(best):
        return None
    return {low: "low", high: "high"}[best[0]] if low < high else None


def _walk(
    positions: Sequence[float],
    losses: Sequence[float],
    limit: float,
    start: int,
    step: int,
) -> tuple[float, bool]:
    """The position where the curve exceeds ``limit``, and whether it never does."""
    inside = start
    while 0 <= inside + step < len(losses):
        outside = inside + step
        if losses[outside] > limit:
            fraction = (limit - losses[inside]) / (losses[outside] - losses[inside])
            span = positions[outside] - positions[inside]
            return positions[inside] + fraction * span, False
        inside = outside
    return positions[inside], True

"""Summary of one optimizer over all batch sizes of a sweep."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

from tuning.records import RunRecord
from tuning.statistics.batch_overlap import shared_range, stable_overlap
from tuning.statistics.means import mean_or_none, median_or_none
from tuning.statistics.seed_losses import (
    SeedLosses,
    difference_interval,
    is_bad,
    sensitivity_interval,
)
from tuning.statistics.shared_seeds import Axes
from tuning.statistics.values import Curve, HeatMap, Interval, OptimizerSummary

Tables = Mapping[tuple[str, int], SeedLosses]
"""The losses behind each curve, by optimizer and batch size."""


def summarize_optimizer(
    name: str,
    judged: Sequence[RunRecord],
    all_curves: Sequence[Curve],
    tables: Tables,
    axes: Axes,
    *,
    is_complete: bool,
    unshared_runs: int,
    missing_runs: int,
    excluded_runs: int,
) -> OptimizerSummary:
    """Summarize the curves of one optimizer, and compare them with those of others.

    Args:
        name: of the optimizer.
        judged: its records that can be judged, with shared seeds or not.
        all_curves: of every optimizer, for figures that compare optimizers.
        tables: of every optimizer.
        axes: of the sweep's plan.
        is_complete: see `OptimizerSummary`.
        unshared_runs: see `OptimizerSummary`.
        missing_runs: planned runs of this optimizer without a record.
        excluded_runs: records of this optimizer that could not be judged.
    """
    curves = [curve for curve in all_curves if curve.optimizer == name]
    planned = [curve for curve in curves if curve.batch_size in axes.batch_sizes]
    best_of_any = best_of_any_optimizer(all_curves)
    own = [tables[name, curve.batch_size] for curve in planned]
    at_size = [
        [table for (_, size), table in tables.items() if size == curve.batch_size]
        for curve in planned
    ]
    best = min(curves, key=lambda curve: curve.best_loss, default=None)
    sensitivities = [curve.sensitivity for curve in planned]
    regrets = [
        point.loss - best_of_any[curve.batch_size]
        for curve in planned
        for point in curve.points
        if point.learning_rate in axes.learning_rates
    ]
    return OptimizerSummary(
        name=name,
        is_complete=is_complete,
        runs=len(judged),
        unshared_runs=unshared_runs,
        missing_runs=missing_runs,
        excluded_runs=excluded_runs,
        diverged_runs=sum(record.status == "diverged" for record in judged),
        bad_runs=sum(is_bad(record) for record in judged),
        mean_sensitivity=mean_or_none(sensitivities),
        median_sensitivity=median_or_none(sensitivities),
        sensitivity_interval=sensitivity_interval(own),
        mean_sensitivity_to_best_of_any=mean_or_none(
            [curve.sensitivity_to_best_of_any for curve in planned]
        ),
        sensitivity_to_best_of_any_interval=sensitivity_interval(own, at_size),
        behind_first_interval=None,
        mean_good_decades=mean_or_none(
            [c.good_region.decades if c.good_region else 0.0 for c in curves]
        ),
        is_good_decades_lower_bound=any(
            c.good_region is not None and c.good_region.is_lower_bound for c in curves
        ),
        best_loss=best.best_loss if best else None,
        best_loss_rate=best.best_rate if best else None,
        best_loss_batch_size=best.batch_size if best else None,
        shared_range=shared_range([c.good_region for c in curves]),
        stable_overlap=stable_overlap([c.good_region for c in curves]),
        worst_regret=max(regrets, default=None),
        seconds_per_step=median_or_none([c.seconds_per_step for c in curves]),
        state_bytes=max(
            (c.state_bytes for c in curves if c.state_bytes is not None), default=None
        ),
        curves=tuple(curves),
        heat_map=_heat_map(curves, all_curves, axes),
    )


def rank(
    optimizers: Sequence[OptimizerSummary], tables: Tables, axes: Axes
) -> tuple[OptimizerSummary, ...]:
    """Order optimizers: first the ranked ones, by S against the best loss of any.

    The others follow in the given order. Each ranked one gets the interval of its
    distance to the first. Equally robust ones keep their order.
    """
    ordered = sorted(optimizers, key=_place)
    if not ordered or not ordered[0].is_ranked:
        return tuple(ordered)
    first = ordered[0]

    def behind_first(optimizer: OptimizerSummary) -> Interval | None:
        return difference_interval(
            [tables[optimizer.name, size] for size in axes.batch_sizes],
            [tables[first.name, size] for size in axes.batch_sizes],
        )

    return (
        first,
        *(
            dataclasses.replace(o, behind_first_interval=behind_first(o))
            if o.is_ranked
            else o
            for o in ordered[1:]
        ),
    )


def _place(optimizer: OptimizerSummary) -> tuple[bool, float]:
    figure = optimizer.mean_sensitivity_to_best_of_any
    if not optimizer.is_ranked or figure is None:
        return (True, 0.0)
    return (False, figure)


def _heat_map(
    curves: Sequence[Curve], all_curves: Sequence[Curve], axes: Axes
) -> HeatMap:
    """All optimizers get the same rows and columns, so that maps can be compared."""
    cells = {(p.learning_rate, c.batch_size): p for c in curves for p in c.points}
    run = {p.learning_rate for c in all_curves for p in c.points}
    rates = tuple(sorted({*axes.learning_rates, *run}))
    sizes = tuple(sorted({*axes.batch_sizes, *(c.batch_size for c in all_curves)}))
    rows = [[cells.get((rate, size)) for size in sizes] for rate in rates]
    return HeatMap(
        learning_rates=rates,
        batch_sizes=sizes,
        losses=tuple(tuple(p.loss if p else None for p in row) for row in rows),
        diverged_shares=tuple(
            tuple(p.diverged / p.runs if p else None for p in row) for row in rows
        ),
        runs=tuple(tuple(p.runs if p else 0 for p in row) for row in rows),
    )


def best_of_any_optimizer(curves: Sequence[Curve]) -> dict[int, float]:
    """The least loss of any curve, by batch size."""
    best: dict[int, float] = {}
    for curve in curves:
        known = best.get(curve.batch_size, math.inf)
        best[curve.batch_size] = min(known, curve.best_loss)
    return best

"""One optimizer over all batch sizes of a sweep: its curves put together."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tuning.curves import Curve, mean_or_none, median_or_none
from tuning.records import RunRecord
from tuning.seed_losses import Interval, is_bad, sensitivity_interval, tabulate


@dataclasses.dataclass(frozen=True)
class HeatMap:
    """Mean judged loss over learning rate x batch size.

    Shapes:
        losses: ``(learning_rates, batch_sizes)``; ``None`` where nothing was run.
        diverged_shares: the same.
        runs: the same, judged runs per cell; 0 where nothing was run.
    """

    learning_rates: tuple[float, ...]
    batch_sizes: tuple[int, ...]
    losses: tuple[tuple[float | None, ...], ...]
    diverged_shares: tuple[tuple[float | None, ...], ...]
    runs: tuple[tuple[int, ...], ...]


@dataclasses.dataclass(frozen=True)
class OptimizerSummary:
    """One optimizer over all batch sizes.

    Means and medians over batch sizes take the batch sizes that have a figure.

    Attributes:
        name: in the grid.
        is_complete: a judged run exists at every planned rate and batch size.
        runs: judged runs.
        missing_runs: planned runs without a record.
        excluded_runs: records that could not be judged.
        diverged_runs: judged runs that diverged.
        bad_runs: judged runs that diverged or ended above their initial loss.
        mean_sensitivity: mean over batch sizes of S against the own best loss.
        median_sensitivity: median of the same.
        sensitivity_interval: of ``mean_sensitivity``, over seeds.
        mean_sensitivity_to_best_of_any: mean over batch sizes of S against the best
            loss of any optimizer at that batch size. It ranks: an optimizer that is
            bad everywhere has a small S against its own best loss.
        sensitivity_to_best_of_any_interval: of that mean, over seeds, with the best
            losses of any optimizer held fixed.
        mean_good_decades: mean width of the good region; a batch size at which the
            optimizer learned nothing counts as 0.
        is_good_decades_lower_bound: a good region touches the edge of the grid.
        best_loss: least loss of any rate and batch size.
        best_loss_rate: its learning rate.
        best_loss_batch_size: its batch size.
        best_rate_drift: decades between the lowest and the highest of the batch
            sizes' best rates; ``None`` with fewer than two batch sizes at which the
            optimizer learned.
        worst_regret: greatest loss over planned rates and batch sizes, each less the
            best loss of any optimizer at that batch size.
        seconds_per_step: median over batch sizes.
        state_bytes: bytes of the optimizer's state.
        curves: by ascending batch size.
        heat_map: every rate x batch size that any optimizer was planned or run at.
    """

    name: str
    is_complete: bool
    runs: int
    missing_runs: int
    excluded_runs: int
    diverged_runs: int
    bad_runs: int
    mean_sensitivity: float | None
    median_sensitivity: float | None
    sensitivity_interval: Interval | None
    mean_sensitivity_to_best_of_any: float | None
    sensitivity_to_best_of_any_interval: Interval | None
    mean_good_decades: float | None
    is_good_decades_lower_bound: bool
    best_loss: float | None
    best_loss_rate: float | None
    best_loss_batch_size: int | None
    best_rate_drift: float | None
    worst_regret: float | None
    seconds_per_step: float | None
    state_bytes: int | None
    curves: tuple[Curve, ...]
    heat_map: HeatMap

    @property
    def diverged_share(self) -> float | None:
        """Share of the judged runs that diverged."""
        return self.diverged_runs / self.runs if self.runs else None

    @property
    def bad_share(self) -> float | None:
        """Share of the judged runs that diverged or ended above their start."""
        return self.bad_runs / self.runs if self.runs else None


class Axes(NamedTuple):
    """The names and values that every optimizer is held against."""

    optimizers: tuple[str, ...]
    learning_rates: tuple[float, ...]
    batch_sizes: tuple[int, ...]
    seeds: tuple[int, ...]


Groups = Mapping[tuple[str, int], Sequence[RunRecord]]


def summarize_optimizer(
    name: str,
    all_curves: Sequence[Curve],
    groups: Groups,
    axes: Axes,
    *,
    missing_runs: int,
    excluded_runs: int,
) -> OptimizerSummary:
    """Put the curves of one optimizer together and hold them against the others'.

    Args:
        name: of the optimizer.
        all_curves: of every optimizer, because some figures compare.
        groups: the judged records behind the curves, by optimizer and batch size.
        axes: what the sweep covers.
        missing_runs: planned runs of this optimizer without a record.
        excluded_runs: records of this optimizer that could not be judged.
    """
    curves = [curve for curve in all_curves if curve.optimizer == name]
    records = [r for c in curves for r in groups[name, c.batch_size]]
    best_of_any = best_of_any_optimizer(all_curves)
    own, against_any = _intervals(curves, groups, axes, best_of_any)
    best = min(curves, key=lambda curve: curve.best_loss, default=None)
    sensitivities = [curve.sensitivity for curve in curves]
    regrets = [
        point.loss - best_of_any[curve.batch_size]
        for curve in curves
        for point in curve.points
        if point.learning_rate in axes.learning_rates
    ]
    return OptimizerSummary(
        name=name,
        is_complete=_is_complete(curves, axes),
        runs=len(records),
        missing_runs=missing_runs,
        excluded_runs=excluded_runs,
        diverged_runs=sum(record.status == "diverged" for record in records),
        bad_runs=sum(is_bad(record) for record in records),
        mean_sensitivity=mean_or_none(sensitivities),
        median_sensitivity=median_or_none(sensitivities),
        sensitivity_interval=own,
        mean_sensitivity_to_best_of_any=mean_or_none(
            [curve.sensitivity_to_best_of_any for curve in curves]
        ),
        sensitivity_to_best_of_any_interval=against_any,
        mean_good_decades=mean_or_none(
            [c.good_region.decades if c.good_region else 0.0 for c in curves]
        ),
        is_good_decades_lower_bound=any(
            c.good_region is not None and c.good_region.is_lower_bound for c in curves
        ),
        best_loss=best.best_loss if best else None,
        best_loss_rate=best.best_rate if best else None,
        best_loss_batch_size=best.batch_size if best else None,
        best_rate_drift=_drift([c.best_rate for c in curves if c.good_region]),
        worst_regret=max(regrets, default=None),
        seconds_per_step=median_or_none([c.seconds_per_step for c in curves]),
        state_bytes=max(
            (c.state_bytes for c in curves if c.state_bytes is not None), default=None
        ),
        curves=tuple(curves),
        heat_map=_heat_map(curves, all_curves, axes),
    )


def _is_complete(curves: Sequence[Curve], axes: Axes) -> bool:
    done = {(p.learning_rate, c.batch_size) for c in curves for p in c.points}
    return all(
        (rate, size) in done
        for rate in axes.learning_rates
        for size in axes.batch_sizes
    )


def _intervals(
    curves: Sequence[Curve],
    groups: Groups,
    axes: Axes,
    best_of_any: Mapping[int, float],
) -> tuple[Interval | None, Interval | None]:
    """Of the mean S over batch sizes: against the own best loss, and of any."""
    tables = [
        tabulate(groups[curve.optimizer, curve.batch_size], axes.learning_rates)
        for curve in curves
    ]
    fixed = [best_of_any[curve.batch_size] for curve in curves]
    return sensitivity_interval(tables), sensitivity_interval(tables, fixed)


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


def _drift(rates: Sequence[float]) -> float | None:
    if len(rates) < 2:
        return None
    return math.log10(max(rates)) - math.log10(min(rates))


def best_of_any_optimizer(curves: Sequence[Curve]) -> dict[int, float]:
    """The least loss of any curve, by batch size."""
    best: dict[int, float] = {}
    for curve in curves:
        known = best.get(curve.batch_size, math.inf)
        best[curve.batch_size] = min(known, curve.best_loss)
    return best

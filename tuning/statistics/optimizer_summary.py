"""One optimizer over all batch sizes of a sweep: its curves put together."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

from tuning.records import RunRecord
from tuning.statistics.curves import Curve
from tuning.statistics.means import mean_or_none, median_or_none
from tuning.statistics.seed_losses import (
    Interval,
    SeedLosses,
    difference_interval,
    is_bad,
    sensitivity_interval,
)
from tuning.statistics.shared_seeds import Axes


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

    Means and medians over batch sizes take those that have a figure; S and regret
    only planned ones.

    Attributes:
        name: in the grid.
        is_complete: a judged run exists at every planned rate and batch size, with
            a seed that the other complete optimizers have there too.
        runs: judged runs.
        unshared_runs: judged runs that no mean over seeds includes, because another
            complete optimizer has none with their seed there.
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
        sensitivity_to_best_of_any_interval: of that mean, over seeds; the best loss
            of any optimizer is taken from the same seeds.
        behind_first_interval: of that mean less the one of the first-ranked
            optimizer, over the seeds of both; ``None`` for the first itself and for
            optimizers that are not ranked.
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
    unshared_runs: int
    missing_runs: int
    excluded_runs: int
    diverged_runs: int
    bad_runs: int
    mean_sensitivity: float | None
    median_sensitivity: float | None
    sensitivity_interval: Interval | None
    mean_sensitivity_to_best_of_any: float | None
    sensitivity_to_best_of_any_interval: Interval | None
    behind_first_interval: Interval | None
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
    def has_learned(self) -> bool:
        """Whether some rate improved on the initial loss, at some batch size."""
        return any(curve.good_region is not None for curve in self.curves)

    @property
    def is_ranked(self) -> bool:
        """Whether it can be held against others: it is complete and has learned."""
        has_figure = self.mean_sensitivity_to_best_of_any is not None
        return self.is_complete and has_figure and self.has_learned

    @property
    def diverged_share(self) -> float | None:
        """Share of the judged runs that diverged."""
        return self.diverged_runs / self.runs if self.runs else None

    @property
    def bad_share(self) -> float | None:
        """Share of the judged runs that diverged or ended above their start."""
        return self.bad_runs / self.runs if self.runs else None


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
    """Put the curves of one optimizer together and hold them against the others'.

    Args:
        name: of the optimizer.
        judged: its records that can be judged, shared seeds or not.
        all_curves: of every optimizer, because some figures compare.
        tables: of every optimizer.
        axes: what the sweep covers.
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
        best_rate_drift=_drift([c.best_rate for c in curves if c.good_region]),
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
    """Ranked ones first, by S against the best of any; then the others, as given.

    Each gets its distance to the first; equally robust ones keep their order.
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

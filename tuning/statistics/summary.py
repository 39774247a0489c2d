"""How robust each optimizer of a sweep is: pure statistics over its records.

Robust here means: a learning rate or batch size that nobody tuned still trains
well. :func:`summarize` turns records into a :class:`Summary`, a plain value that
can be written as JSON. Unfinished sweeps can be summarized, too: figures are taken from
the runs that exist, and missing runs are counted. Only optimizers with a result at
every learning rate and batch size are ranked, over the seeds that they share.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from tuning.grid import Grid
from tuning.records import RunRecord
from tuning.statistics.curves import describe_curve, sensitivity_against
from tuning.statistics.limits import GOOD_TOLERANCE, LARGEST_LOSS
from tuning.statistics.means import mean_or_none
from tuning.statistics.optimizer_summary import (
    best_of_any_optimizer,
    rank,
    summarize_optimizer,
)
from tuning.statistics.seed_losses import judged_loss, objective_of, tabulate
from tuning.statistics.shared_seeds import Axes, share_seeds
from tuning.statistics.values import Curve, ExcludedRun, Summary


def summarize(
    records: Sequence[RunRecord],
    *,
    grid: Grid | None = None,
    workload: str | None = None,
    good_tolerance: float = GOOD_TOLERANCE,
    strategy: str = "grid",
) -> Summary:
    """Judge every optimizer of a sweep by its records.

    Args:
        records: in any order; of two with the same ``run_id`` the later counts.
        grid: the plan. It decides which runs are missing, and over which learning
            rates S is a mean: one outside the plan can be a curve's best but does not
            enter S. By default the plan is every value that occurs in the records.
        workload: judge only the records of this workload.
        good_tolerance: share of the improvement that a good learning rate may miss.
        strategy: which runs of the grid were chosen; see `Summary`.

    Raises:
        ValueError: there is no record to judge, records of several workloads are
            mixed, or ``good_tolerance`` is not within [0, 1].
    """
    if not 0 <= good_tolerance <= 1:
        raise ValueError(
            "good_tolerance is a share of the improvement, from 0 to 1; received "
            f"{good_tolerance!r}."
        )
    every_record = _of_one_workload(records, workload)
    records = [r for r in every_record if grid is None or r.epochs >= grid.epochs]
    axes = _axes(every_record, grid)
    rates = axes.learning_rates if strategy == "grid" else ()
    judged = [record for record in records if judged_loss(record) is not None]
    comparison = share_seeds(judged, axes)
    groups: dict[tuple[str, int], list[RunRecord]] = {}
    for record in comparison.records:
        groups.setdefault((record.optimizer, record.batch_size), []).append(record)
    tables = {key: tabulate(group, rates) for key, group in sorted(groups.items())}
    curves = _compared(
        [
            describe_curve(group, rates, good_tolerance)
            for _, group in sorted(groups.items())
        ],
        rates,
    )
    objective, direction = objective_of(every_record)
    missing = _missing_runs(records, grid if strategy == "grid" else None)
    excluded = tuple(
        sorted((_exclude(r) for r in records if judged_loss(r) is None), key=str)
    )
    optimizers = [
        summarize_optimizer(
            name,
            [record for record in judged if record.optimizer == name],
            curves,
            tables,
            axes,
            is_complete=name in comparison.complete,
            unshared_runs=sum(r.optimizer == name for r in comparison.unshared),
            missing_runs=sum(optimizer == name for optimizer in missing.values()),
            excluded_runs=sum(run.optimizer == name for run in excluded),
        )
        for name in axes.optimizers
    ]
    ordered = rank(optimizers, tables, axes)
    if strategy == "edges":
        ordered = tuple(sorted(ordered, key=lambda o: -(o.mean_good_decades or 0.0)))
    return Summary(
        workload=every_record[0].workload,
        learning_rates=axes.learning_rates,
        batch_sizes=axes.batch_sizes,
        seeds=axes.seeds,
        runs=len(every_record),
        planned_runs=None if grid is None else len(grid),
        missing_runs=tuple(missing),
        excluded=excluded,
        good_tolerance=good_tolerance,
        initial_loss=mean_or_none([record.initial_loss for record in judged]),
        seconds=math.fsum(record.seconds for record in every_record),
        optimizers=ordered,
        strategy=strategy,
        short_runs=len(every_record) - len(records),
        objective=objective,
        direction=direction,
    )


def _of_one_workload(
    records: Sequence[RunRecord], workload: str | None
) -> list[RunRecord]:
    latest = {record.run_id: record for record in records}.values()
    chosen = [r for r in latest if workload is None or r.workload == workload]
    if not chosen:
        wanted = "" if workload is None else f" of workload {workload!r}"
        raise ValueError(
            f"there is no record{wanted} to judge; received {len(records)} records."
        )
    names = sorted({record.workload for record in chosen})
    if len(names) > 1:
        raise ValueError(
            f"losses of different workloads cannot be compared; received {names}: "
            "name one of them as `workload`."
        )
    return chosen


def _axes(records: Sequence[RunRecord], grid: Grid | None) -> Axes:
    seen = sorted({record.optimizer for record in records})
    if grid is None:
        return Axes(
            optimizers=tuple(seen),
            learning_rates=tuple(sorted({r.learning_rate for r in records})),
            batch_sizes=tuple(sorted({r.batch_size for r in records})),
            seeds=tuple(sorted({r.seed for r in records})),
        )
    return Axes(
        optimizers=tuple(dict.fromkeys([*grid.optimizers, *seen])),
        learning_rates=tuple(sorted(grid.learning_rates)),
        batch_sizes=tuple(sorted(grid.batch_sizes)),
        seeds=tuple(sorted(grid.seeds)),
    )


def _missing_runs(records: Sequence[RunRecord], grid: Grid | None) -> dict[str, str]:
    """The optimizer of each planned run that has no record, by the run's key."""
    done = {record.run_id for record in records}
    runs = () if grid is None else grid.runs()
    return {run.run_id: run.optimizer for run in runs if run.run_id not in done}


def _exclude(record: RunRecord) -> ExcludedRun:
    reason = record.message or "failed without a message"
    initial = record.initial_loss
    if record.status != "failed":
        reason = f"a validation loss beyond {LARGEST_LOSS:g}"
        if initial is None or not math.isfinite(initial):
            reason = "no finite validation loss before the first step"
    return ExcludedRun(record.run_id, record.optimizer, reason)


def _compared(curves: Sequence[Curve], rates: Sequence[float]) -> list[Curve]:
    """The curves with S against the best loss of any optimizer at their batch size."""
    best = best_of_any_optimizer(curves)
    return [
        dataclasses.replace(
            curve,
            sensitivity_to_best_of_any=sensitivity_against(
                curve.points, rates, best[curve.batch_size]
            ),
        )
        for curve in curves
    ]

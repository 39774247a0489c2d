"""Compares two optimizers, on one workload and over all workloads.

Both sides of a comparison use the same drawn seeds, because a seed decides initial
weights and data order for both. Over workloads, the workloads are drawn as well, so
that an interval also covers what other tasks might have shown.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from tuning.statistics.limits import LEAST_DIFFERENCE
from tuning.statistics.seed_losses import percentiles, resamples
from tuning.statistics.task_runs import Measure, Seeds, TaskRuns
from tuning.statistics.values import Interval

Outcome = Literal["better", "even", "worse"]


class Bar(NamedTuple):
    """The limit by which a comparison is judged.

    Attributes:
        value: limit of the ratio, difference or figure.
        is_good: whether a number equal to the limit passes; else it must be below.
    """

    value: float
    is_good: bool = False

    def is_passed(self, number: float) -> bool:
        """Whether a number lies on the better side of the limit."""
        return number <= self.value if self.is_good else number < self.value


RESAMPLED_TASKS = 4000
"""Resamples of workloads; twice as many as of seeds, because two things are drawn."""


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A value and its uncertainty over seeds, or over seeds and workloads.

    Attributes:
        value: taken with every seed once.
        interval: 95 % bootstrap interval; ``None`` with fewer than two seeds.
    """

    value: float
    interval: Interval | None


@dataclasses.dataclass(frozen=True)
class TaskComparison:
    """Two optimizers on one workload.

    Attributes:
        workload: its name.
        subject: figure of the optimizer that the claim is about.
        rival: figure of the other optimizer; ``None`` if there is no other.
        compared: ratio or difference of the two, or the subject's figure itself.
        outcome: ``"better"`` or ``"worse"`` if the whole interval lies on one side of
            the bar. ``"even"`` otherwise, without an interval, and for a ratio that
            differs from 1 by less than `LEAST_DIFFERENCE` (unless ``bar.is_good``).
    """

    workload: str
    subject: Estimate
    rival: Estimate | None
    compared: Estimate
    outcome: Outcome


@dataclasses.dataclass(frozen=True)
class RivalComparison:
    """Two optimizers over all workloads that have figures of both.

    Attributes:
        measure: name of the measure that is compared.
        subject: the optimizer that a claim is about.
        rival: the other; ``None`` if the subject's figures are judged by themselves.
        bar: the limit by which they are judged.
        tasks: the comparisons on single workloads.
        pooled: geometric mean of the ratios, or mean of the differences or figures,
            with its interval over workloads and seeds; ``None`` without workloads.
    """

    measure: str
    subject: str
    rival: str | None
    bar: Bar
    tasks: tuple[TaskComparison, ...]
    pooled: Estimate | None

    def count(self, outcome: Outcome) -> int:
        """Number of workloads with this outcome."""
        return sum(task.outcome == outcome for task in self.tasks)


def figure_of(measure: Measure, task: TaskRuns, optimizer: str) -> Estimate | None:
    """An optimizer's figure on a workload; ``None`` where it has no data."""
    value = measure.figure(task, optimizer, task.seeds)
    if value is None:
        return None
    drawn = _over_draws(
        task.seeds, lambda seeds: measure.figure(task, optimizer, seeds)
    )
    return Estimate(value, _interval(drawn, task.seeds))


def compare_rivals(
    measure: Measure,
    tasks: Sequence[TaskRuns],
    subject: str,
    rival: str | None,
    bar: Bar | None = None,
) -> RivalComparison:
    """Compare an optimizer with another one, or its figures with a fixed limit.

    Args:
        measure: what is compared.
        tasks: one per workload; those without figures of both are left out.
        subject: the optimizer that a claim is about.
        rival: the other; ``None`` to judge the subject's figures by themselves.
        bar: the limit; by default 1 for a ratio and 0 for a difference.
    """
    bar = Bar(measure.neutral) if bar is None else bar
    is_ratio = rival is not None and measure.compared_by == "ratio"
    found, drawn_by_task = [], []
    for task in tasks:
        value = _compared(measure, task, subject, rival, task.seeds)
        own = figure_of(measure, task, subject)
        if value is None or own is None:
            continue
        drawn = _over_draws(
            task.seeds,
            lambda seeds, task=task: _compared(measure, task, subject, rival, seeds),
        )
        interval = _interval(drawn, task.seeds)
        found.append(
            TaskComparison(
                task.workload,
                own,
                None if rival is None else figure_of(measure, task, rival),
                Estimate(value, interval),
                _outcome(value, interval, bar, is_ratio=is_ratio),
            )
        )
        drawn_by_task.append([value] if interval is None else drawn)
    values = [task.compared.value for task in found]
    pooled = pool(values, drawn_by_task, is_ratio=is_ratio) if found else None
    return RivalComparison(measure.name, subject, rival, bar, tuple(found), pooled)


def pool(
    values: Sequence[float],
    drawn: Sequence[Sequence[float | None]],
    *,
    is_ratio: bool,
) -> Estimate:
    """The mean over workloads, geometric for ratios, and its interval.

    A resample draws as many workloads as there are and, for each of them, one of its
    resamples over seeds. With a single workload, the interval is that over its seeds.

    Args:
        values: of the workloads.
        drawn: per workload, the values of its resamples.
        is_ratio: whether the mean is geometric.
    """
    usable = [
        np.array([v for v in row if v is not None and math.isfinite(v)], float)
        for row in drawn
    ]
    if is_ratio:
        # A ratio of 0 (nothing lost at all) has no logarithm; 1e-6 stands in for it.
        usable = [np.log(np.maximum(row, 1e-6)) for row in usable]
        value = math.exp(np.mean(np.log(np.maximum(values, 1e-6))))
    else:
        value = float(np.mean(values))
    count = len(values)
    has_no_seeds = count == 1 and len(drawn[0]) == 1
    if has_no_seeds or any(row.size == 0 for row in usable):
        return Estimate(value, None)
    generator = np.random.default_rng(0)
    columns = np.stack([generator.choice(row, RESAMPLED_TASKS) for row in usable])
    picked = generator.integers(count, size=(count, RESAMPLED_TASKS))
    means = np.take_along_axis(columns, picked, axis=0).mean(axis=0)
    seeds = min(len(row) for row in drawn)
    interval = percentiles(np.exp(means) if is_ratio else means, seeds)
    return Estimate(value, interval)


def _compared(
    measure: Measure, task: TaskRuns, subject: str, rival: str | None, seeds: Seeds
) -> float | None:
    own = measure.figure(task, subject, seeds)
    if rival is None or own is None:
        return own
    other = measure.figure(task, rival, seeds)
    if other is None:
        return None
    if measure.compared_by == "difference":
        return own - other
    return own / other if other > 0 else None


def _over_draws(
    seeds: Seeds, value: Callable[[Seeds], float | None]
) -> list[float | None]:
    """A value for each resample of the seeds; empty with fewer than two seeds."""
    if len(seeds) < 2:
        return []
    rows = np.sort(resamples(len(seeds)), axis=1).tolist()
    # The same seeds in another order have the same value.
    known = {row: value(tuple(seeds[i] for i in row)) for row in set(map(tuple, rows))}
    return [known[tuple(row)] for row in rows]


def _interval(drawn: Sequence[float | None], seeds: Seeds) -> Interval | None:
    if not drawn:
        return None
    values = np.array([math.nan if v is None else v for v in drawn], float)
    return percentiles(values, len(seeds))


def _outcome(
    value: float, interval: Interval | None, bar: Bar, *, is_ratio: bool
) -> Outcome:
    is_small = is_ratio and not bar.is_good and abs(value - 1.0) < LEAST_DIFFERENCE
    if interval is None or is_small:
        return "even"
    if bar.is_passed(interval.high):
        return "better"
    return "worse" if interval.low > bar.value else "even"

"""One optimizer held against another: on one workload, and over all of them.

Both sides of a comparison are taken from the same drawn seeds, because a seed decides
initial weights and data order for both. Over workloads there is a second draw: which of
them take part, so that an interval also tells what other tasks might have said.
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
    """What a comparison is held against.

    Attributes:
        value: of the ratio, difference or figure.
        is_good: whether reaching it is good enough; else it must be gone below.
    """

    value: float
    is_good: bool = False

    def is_passed(self, number: float) -> bool:
        """Whether a number lies on the better side."""
        return number <= self.value if self.is_good else number < self.value


RESAMPLED_TASKS = 4000
"""Draws of workloads; twice as many as of seeds, because two things are drawn."""


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A value and what seeds, or seeds and workloads, leave open.

    Attributes:
        value: with every seed once.
        interval: 95 % bootstrap interval; ``None`` with fewer than two seeds.
    """

    value: float
    interval: Interval | None


@dataclasses.dataclass(frozen=True)
class TaskComparison:
    """Two optimizers on one workload.

    Attributes:
        workload: its name.
        subject: figure of the one that the claim is made of.
        rival: figure of the other; ``None`` if there is no other.
        compared: ratio or difference of the two, or the subject's figure itself.
        outcome: ``"better"`` or ``"worse"`` if all of the interval lies on one side of
            the bar; else, and without an interval, ``"even"``.
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
        measure: name of what is compared.
        subject: the optimizer that a claim is made of.
        rival: the other; ``None`` if the subject's figures stand for themselves.
        bar: what they are held against.
        tasks: the workloads.
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
        """Workloads with that outcome."""
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
        subject: the optimizer that a claim is made of.
        rival: the other; ``None`` to judge the subject's figures by themselves.
        bar: 1 or 0, as the measure is compared, if none is given.
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

    A resample draws as many workloads as there are, and of each one of its resamples
    over seeds. A single workload is drawn every time: its interval is its seeds'.

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
        # A ratio of 0 (nothing lost at all) has no logarithm; 1e-6 is as good as it.
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
    """A value for each resample of the seeds; none with fewer than two of them."""
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

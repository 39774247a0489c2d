"""Compares two sweeps of one workload, run by run.

Only runs that both sweeps have are compared: with the same learning rate, batch size
and seed. A seed decides initial weights and the order of the data, so a hard seed is
hard for both sweeps. Intervals are therefore taken from differences over the same drawn
seeds.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence

import numpy as np

from tuning.objectives import turned
from tuning.records import RunRecord
from tuning.statistics.curves import find_good_region
from tuning.statistics.means import median_or_none
from tuning.statistics.seed_losses import (
    SeedLosses,
    judged_loss,
    means_over_seeds,
    objective_of,
    percentiles,
    resamples,
    tabulate,
    well_covered_seeds,
)
from tuning.statistics.values import Interval


@dataclasses.dataclass(frozen=True)
class Difference:
    """A figure of both sweeps.

    Attributes:
        first: figure of the first sweep.
        second: figure of the second sweep.
        interval: 95 % bootstrap interval over seeds of ``second - first``; ``None``
            with fewer than two shared seeds.
    """

    first: float
    second: float
    interval: Interval | None

    @property
    def value(self) -> float:
        """``second - first``."""
        return self.second - self.first

    def turned(self, direction: str) -> Difference:
        """The difference of an objective with this direction, from that of losses."""
        if direction == "min":
            return self
        interval = self.interval
        if interval is not None:
            low, high = (
                turned(interval.high, direction),
                turned(interval.low, direction),
            )
            interval = dataclasses.replace(interval, low=low, high=high)
        first, second = turned(self.first, direction), turned(self.second, direction)
        return Difference(first, second, interval)

    @property
    def is_clear(self) -> bool:
        """Whether the whole interval lies on one side of 0."""
        if self.interval is None:
            return False
        return self.interval.low > 0 or self.interval.high < 0


@dataclasses.dataclass(frozen=True)
class ComparedOptimizer:
    """One optimizer of each sweep.

    Attributes:
        first_name: of the optimizer in the first sweep.
        second_name: of the optimizer in the second sweep; differs from ``first_name``
            only if each sweep has a single optimizer.
        batch_size: that is compared; ``None`` for the mean over all shared ones.
        shared_runs: runs of each sweep with a counterpart in the other.
        mean_loss: mean judged loss over the shared learning rates, so the expected
            loss of a random one. Its difference equals that of the learning-rate
            sensitivities, if these refer to the same best loss.
        best_loss: lowest mean loss over seeds of any shared learning rate.
        good_decades: width of the good region over the shared learning rates; 0 where
            nothing was learned.
        diverged_shares: of the shared runs, in the first and in the second sweep.
        step_time_ratio: seconds per step of the second over the first, median of
            pairs of runs; ``None`` where not measured.
    """

    first_name: str
    second_name: str
    batch_size: int | None
    shared_runs: int
    mean_loss: Difference
    best_loss: Difference
    good_decades: Difference
    diverged_shares: tuple[float, float]
    step_time_ratio: float | None


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What two sweeps have in common, and how they differ.

    Attributes:
        workload: of both.
        objective: the logged quantity by which the runs of both were judged.
        direction: of the objective; with ``"max"``, losses here are its negative.
        optimizers: over all shared batch sizes.
        curves: at each shared batch size.
        only_first: optimizers without a counterpart in the second sweep.
        only_second: optimizers without a counterpart in the first sweep.
    """

    workload: str
    objective: str
    direction: str
    optimizers: tuple[ComparedOptimizer, ...]
    curves: tuple[ComparedOptimizer, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]


def compare(first: Sequence[RunRecord], second: Sequence[RunRecord]) -> Comparison:
    """Compare the runs of two sweeps.

    Optimizers of the same name are compared. If each sweep has only one optimizer,
    these two are compared, whatever their names.

    Args:
        first: records of the baseline sweep.
        second: records of the other sweep.

    Raises:
        ValueError: the sweeps train different workloads, are judged by different
            objectives, or have no run in common.
    """
    workloads = sorted({record.workload for record in (*first, *second)})
    if len(workloads) != 1:
        raise ValueError(
            f"sweeps of different workloads cannot be compared; received {workloads}."
        )
    objectives = objective_of(first), objective_of(second)
    if objectives[0] != objectives[1]:
        raise ValueError(
            "sweeps with different objectives cannot be compared; received "
            f"{objectives[0][0]!r} and {objectives[1][0]!r}."
        )
    names = _names(first), _names(second)
    if len(names[0]) == len(names[1]) == 1:
        pairs = [(names[0][0], names[1][0])]
    else:
        pairs = [(name, name) for name in names[0] if name in names[1]]
    optimizers, curves = [], []
    for pair in pairs:
        matches = _matches(first, second, pair)
        if not matches:
            continue
        optimizers.append(_compare(pair, None, list(matches.values())))
        if len(matches) > 1:
            curves += [_compare(pair, size, [m]) for size, m in matches.items()]
    if not optimizers:
        raise ValueError(
            "the sweeps have no run in common (optimizer, learning rate, batch size "
            f"and seed); their optimizers are {names[0]} and {names[1]}."
        )
    compared = [o.first_name for o in optimizers], [o.second_name for o in optimizers]
    return Comparison(
        workload=workloads[0],
        objective=objectives[0][0],
        direction=objectives[0][1],
        optimizers=tuple(optimizers),
        curves=tuple(curves),
        only_first=tuple(name for name in names[0] if name not in compared[0]),
        only_second=tuple(name for name in names[1] if name not in compared[1]),
    )


@dataclasses.dataclass(frozen=True)
class _Match:
    """The shared runs of one optimizer and batch size, in the same order."""

    first: list[RunRecord]
    second: list[RunRecord]
    tables: tuple[SeedLosses, SeedLosses]


def _matches(
    first: Sequence[RunRecord], second: Sequence[RunRecord], pair: tuple[str, str]
) -> dict[int, _Match]:
    """Shared judged runs by batch size, ascending."""
    ours, theirs = _judged(first, pair[0]), _judged(second, pair[1])
    shared = sorted(ours.keys() & theirs.keys())
    matches = {}
    for size in sorted({size for size, _, _ in shared}):
        keys = [key for key in shared if key[0] == size]
        sides = [ours[key] for key in keys], [theirs[key] for key in keys]
        rates = sorted({rate for _, rate, _ in keys})
        tables = tabulate(sides[0], rates), tabulate(sides[1], rates)
        matches[size] = _Match(sides[0], sides[1], tables)
    return matches


def _judged(
    records: Sequence[RunRecord], optimizer: str
) -> dict[tuple[int, float, int], RunRecord]:
    return {
        (record.batch_size, record.learning_rate, record.seed): record
        for record in records
        if record.optimizer == optimizer and judged_loss(record) is not None
    }


def _compare(
    pair: tuple[str, str], batch_size: int | None, matches: Sequence[_Match]
) -> ComparedOptimizer:
    first = [record for match in matches for record in match.first]
    second = [record for match in matches for record in match.second]
    seeds = well_covered_seeds([table for match in matches for table in match.tables])
    # Sorted: resamples of the same seeds have the same means to the last bit.
    draws = np.sort(resamples(len(seeds)), axis=1) if len(seeds) > 1 else None
    every = sorted({record.seed for record in first})
    once = np.arange(len(every))[None, :]
    point = _figures(matches, every, once)
    drawn = None if draws is None else _figures(matches, seeds, draws)

    def difference(figure: int) -> Difference:
        interval = None
        if drawn is not None:
            interval = percentiles(drawn[1][figure] - drawn[0][figure], len(seeds))
        return Difference(
            float(point[0][figure][0]), float(point[1][figure][0]), interval
        )

    return ComparedOptimizer(
        first_name=pair[0],
        second_name=pair[1],
        batch_size=batch_size,
        shared_runs=len(first),
        mean_loss=difference(0),
        best_loss=difference(1),
        good_decades=difference(2),
        diverged_shares=(_diverged_share(first), _diverged_share(second)),
        step_time_ratio=_step_time_ratio(first, second),
    )


def _figures(
    matches: Sequence[_Match], seeds: Sequence[int], draws: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean loss, best loss and good decades of both sides, per resample.

    Shapes:
        draws: ``(resamples, seeds)``. Returns ``(3, resamples)`` each, means over the
        batch sizes.
    """
    sides = []
    for side in (0, 1):
        of_sizes = []
        for match in matches:
            records = (match.first, match.second)[side]
            initial = statistics.fmean(
                r.initial_loss for r in records if r.initial_loss is not None
            )
            table = match.tables[side]
            means = means_over_seeds(table, seeds, draws)
            decades = _good_decades(table.rates, means, initial)
            of_sizes.append([means.mean(axis=0), means.min(axis=0), decades])
        sides.append(np.mean(np.array(of_sizes), axis=0))
    return sides[0], sides[1]


def _good_decades(rates: np.ndarray, means: np.ndarray, initial: float) -> np.ndarray:
    """Width of the good region per resample.

    Shapes:
        rates: ``(rates,)``; means: ``(rates, resamples)``. Returns ``(resamples,)``.
    """
    known: dict[bytes, float] = {}
    widths = np.full(means.shape[1], np.nan)
    for index, losses in enumerate(means.T):
        if not np.isfinite(losses).all():
            continue
        key = losses.tobytes()
        if key not in known:
            region = find_good_region(rates.tolist(), losses.tolist(), initial)
            known[key] = region.decades if region else 0.0
        widths[index] = known[key]
    return widths


def _diverged_share(records: Sequence[RunRecord]) -> float:
    return statistics.fmean(record.status == "diverged" for record in records)


def _step_time_ratio(
    first: Sequence[RunRecord], second: Sequence[RunRecord]
) -> float | None:
    ratios = [
        b.seconds_per_step / a.seconds_per_step
        for a, b in zip(first, second, strict=True)
        if a.seconds_per_step and b.seconds_per_step
    ]
    return median_or_none([ratio for ratio in ratios if math.isfinite(ratio)])


def _names(records: Sequence[RunRecord]) -> list[str]:
    return list(dict.fromkeys(record.optimizer for record in records))

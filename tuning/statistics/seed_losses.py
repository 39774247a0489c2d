"""Judged losses by learning rate and seed, and bootstrap intervals over seeds.

The judged loss of a run is its final validation loss, but never more than the loss
before the first step. So a run that diverged or made things worse counts as one that
learned nothing, and a single loss of 1e30 does not dominate all other figures.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import statistics
from collections.abc import Sequence

import numpy as np

from tuning.records import RunRecord
from tuning.statistics.limits import LARGEST_LOSS
from tuning.statistics.values import Interval

CONFIDENCE = 0.95
"""Coverage that the bootstrap intervals aim at."""

_MOST_SEEDS_ENUMERATED = 5
_RANDOM_RESAMPLES = 2000
_LEAST_USABLE_SHARE = 0.75


@dataclasses.dataclass(frozen=True)
class SeedLosses:
    """Judged losses of one curve, before the mean over seeds.

    Attributes:
        rates: shape ``(rates,)``, ascending.
        seeds: shape ``(seeds,)``, ascending.
        losses: shape ``(rates, seeds)``; NaN where there is no judged run.
        is_planned: shape ``(rates,)``: whether every curve of the sweep has this
            learning rate. S is a mean over these alone, so that it stays comparable
            if a curve has additional learning rates.
    """

    rates: np.ndarray
    seeds: np.ndarray
    losses: np.ndarray
    is_planned: np.ndarray


def judged_loss(record: RunRecord) -> float | None:
    """The loss by which a run is judged: ``min(final, initial)``.

    A diverged run counts with its initial loss. ``None`` if the run cannot be judged:
    it failed, has no initial loss, or has a loss beyond `LARGEST_LOSS`.
    """
    initial, final = record.initial_loss, record.final_val_loss
    if record.status == "failed" or initial is None or not math.isfinite(initial):
        return None
    loss = initial if final is None or is_bad(record) else final
    return loss if max(abs(initial), abs(loss)) <= LARGEST_LOSS else None


def is_bad(record: RunRecord) -> bool:
    """Whether training did harm: final loss not finite, or above the initial one."""
    final, initial = record.final_val_loss, record.initial_loss
    if record.status == "diverged" or final is None or initial is None:
        return True
    return not (math.isfinite(final) and final <= initial)


def objective_of(records: Sequence[RunRecord]) -> tuple[str, str]:
    """By which quantity runs were judged, and its direction.

    Those of the most runs that were trained: a run that failed early may not know.
    """
    trained = [r for r in records if r.status != "failed"] or records
    return statistics.mode((r.objective, r.direction) for r in trained)


def tabulate(
    records: Sequence[RunRecord], planned_rates: Sequence[float]
) -> SeedLosses:
    """Arrange the judged losses of one curve by learning rate and seed."""
    judged = {
        (record.learning_rate, record.seed): judged_loss(record) for record in records
    }
    rates = sorted({rate for rate, _ in judged})
    seeds = sorted({seed for _, seed in judged})
    losses = [[judged.get((rate, seed)) for seed in seeds] for rate in rates]
    return SeedLosses(
        rates=np.array(rates, dtype=float),
        seeds=np.array(seeds, dtype=int),
        losses=np.array(losses, dtype=float),
        is_planned=np.isin(rates, list(planned_rates)),
    )


def learning_rate_sensitivity(
    losses: np.ndarray, best_loss: float | np.ndarray
) -> np.ndarray:
    """How much a randomly chosen learning rate of the grid costs, on average.

    ``S = mean over rates of (loss - best loss)``. Written as the mean of
    differences, so that equal losses give exactly 0.

    Shapes:
        losses: ``(rates, ...)``, judged. ``best_loss``: ``(...)``. Returns ``(...)``.

    Source:
        Wortsman et al. 2023, arXiv:2309.14322, section 2.2.
    """
    return np.mean(losses - best_loss, axis=0)


def sensitivity_interval(
    tables: Sequence[SeedLosses],
    rivals: Sequence[Sequence[SeedLosses]] | None = None,
) -> Interval | None:
    """Percentile bootstrap over seeds of S, or of its mean over several curves.

    A resample draws seeds, the same ones for every rate, curve and optimizer,
    because runs of one seed share initial weights and data order. The best loss is
    taken from the drawn runs, so no resample has an S below 0. With up to five seeds,
    all resamples are enumerated and the result is exact; with more, 2,000 are drawn
    with a fixed generator. Two seeds have three different resamples: either alone, or
    both.

    Only seeds take part that were run at more than half of the learning rates of every
    curve. A resample is left out if it has no run at a planned learning rate. So one
    failed run does not remove the interval, and a second seed that has only begun does
    not create one.

    Args:
        tables: the curves; S is averaged over them.
        rivals: per curve, all curves from which the best loss is taken; ``None``
            takes it from each curve itself.

    Returns:
        ``None`` with fewer than two such seeds or two planned rates, or if more than
        a quarter of the resamples had to be left out.
    """
    seeds = well_covered_seeds(tables)
    if len(seeds) < 2 or any(table.is_planned.sum() < 2 for table in tables):
        return None
    draws = resamples(len(seeds))
    sensitivities = []
    for index, table in enumerate(tables):
        means = means_over_seeds(table, seeds, draws)
        among = [means]
        if rivals is not None:
            among += [means_over_seeds(r, seeds, draws) for r in rivals[index]]
        best = np.fmin.reduce(np.concatenate(among), axis=0)
        sensitivities.append(learning_rate_sensitivity(means[table.is_planned], best))
    return percentiles(np.mean(sensitivities, axis=0), len(seeds))


def difference_interval(
    tables: Sequence[SeedLosses], others: Sequence[SeedLosses]
) -> Interval | None:
    """Percentile bootstrap over seeds of the difference between two mean values of S.

    Both use the same drawn seeds, as in :func:`sensitivity_interval`, so a seed that is
    hard for both does not hide which optimizer is better. Both S refer to the best loss
    of any optimizer, which cancels out: the difference is the mean of
    ``loss - other loss`` over curves and planned learning rates.

    Args:
        tables: curves of one optimizer.
        others: those of the other at the same batch sizes, with the same planned
            rates.

    Returns:
        ``None`` as in :func:`sensitivity_interval`.
    """
    seeds = well_covered_seeds([*tables, *others])
    if len(seeds) < 2:
        return None
    draws = resamples(len(seeds))
    differences = []
    for table, other in zip(tables, others, strict=True):
        losses = means_over_seeds(table, seeds, draws)[table.is_planned]
        other_losses = means_over_seeds(other, seeds, draws)[other.is_planned]
        differences.append(np.mean(losses - other_losses, axis=0))
    return percentiles(np.mean(differences, axis=0), len(seeds))


def percentiles(resampled: np.ndarray, seeds: int) -> Interval | None:
    """The interval of a figure over its resamples, shape ``(resamples,)``."""
    usable = resampled[np.isfinite(resampled)]
    if usable.size < _LEAST_USABLE_SHARE * resampled.size:
        return None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(usable, [tail, 1 - tail], method="inverted_cdf")
    return Interval(low=float(low), high=float(high), seeds=seeds)


def well_covered_seeds(tables: Sequence[SeedLosses]) -> list[int]:
    """Seeds with a loss at more than half of the rates of every table, ascending."""
    covered = []
    for table in tables:
        share = np.mean(np.isfinite(table.losses), axis=0)
        covered.append(set(table.seeds[share > 0.5].tolist()))
    return sorted(set.intersection(*covered)) if covered else []


def means_over_seeds(
    table: SeedLosses, seeds: Sequence[int], draws: np.ndarray
) -> np.ndarray:
    """Mean loss per rate and resample, NaN where a resample has no run at the rate.

    Shapes:
        draws: ``(resamples, seeds)``. Returns ``(rates, resamples)``.
    """
    known = dict(zip(table.seeds.tolist(), table.losses.T, strict=True))
    never_run = np.full(len(table.rates), np.nan)
    columns = np.stack([known.get(seed, never_run) for seed in seeds], axis=1)
    drawn = columns[:, draws]
    is_there = np.isfinite(drawn)
    totals = np.where(is_there, drawn, 0.0).sum(axis=-1)
    counts = is_there.sum(axis=-1)
    return np.where(counts > 0, totals / np.maximum(counts, 1), np.nan)


def resamples(count: int) -> np.ndarray:
    """Indices of resampled seeds, shape ``(resamples, count)``."""
    if count <= _MOST_SEEDS_ENUMERATED:
        return np.array(list(itertools.product(range(count), repeat=count)))
    generator = np.random.default_rng(0)
    return generator.integers(count, size=(_RANDOM_RESAMPLES, count))

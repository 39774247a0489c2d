"""Losses as they are judged, by learning rate and seed, and what seeds leave open.

The judged loss of a run is its final validation loss, but never more than the loss
before the first step: a run that diverged or made things worse counts as one that
learned nothing, so that a single loss of 1e30 does not drown every other figure.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
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
        is_planned: shape ``(rates,)``: whether the rate is one of those that every
            curve of the sweep has; S is a mean over these alone, so that it
            compares like with like where a curve was extended.
    """

    rates: np.ndarray
    seeds: np.ndarray
    losses: np.ndarray
    is_planned: np.ndarray


def judged_loss(record: RunRecord) -> float | None:
    """The loss by which a run is judged: ``min(final, initial)``.

    A diverged run counts as its initial loss. A failed run, one without an initial
    loss and one with a loss beyond `LARGEST_LOSS` cannot be judged: ``None``.
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
    """How much a rate chosen blindly from the grid costs, on average.

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
    the one among the drawn runs, so no resample has an S below 0. Up to five seeds,
    all resamples are listed and the result is exact; above, 2,000 are drawn with a
    fixed generator. Two seeds have three different resamples: either alone, or both.

    Seeds take part that were run at more than half of the rates of every curve, and
    a resample that leaves a planned rate without any run is left out: a failed run
    does not cost the interval, a second seed that has only begun does not make one.

    Args:
        tables: the curves; S is averaged over them.
        rivals: per curve, all curves among which the best loss is looked for;
            ``None`` takes each curve's own.

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
    """Percentile bootstrap over seeds of how far the mean S lies above another's.

    Both are taken from the same drawn seeds, as in :func:`sensitivity_interval`: a
    seed that is hard for both does not blur which is better. With the best loss of
    any optimizer in both, it cancels out: what is left is the mean over curves and
    planned rates of ``loss - other loss``.

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

"""Figures of how losses depend on learning rate and batch size, as pure functions.

Losses are judged as in the lab (`tuning.statistics`): the final loss, but never more
than the loss before the first step. Every figure is computed for many draws of seeds at
once, so that the same code computes figures and intervals.

Shapes:
    draws: ``(draws, seeds)`` numbers of seeds; figures are ``(draws,)``.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tuning import RunRecord
from tuning.statistics.curves import find_good_region
from tuning.statistics.seed_losses import (
    is_bad,
    judged_loss,
    learning_rate_sensitivity,
    resamples,
)

NARROW = (3e-4, 3.2e-1)
"""A narrower range of rates for the sensitivity; the grid has 0.316, not 0.3."""

LOW = (0.9e-5, 1.1e-4)
"""The range of learning rates for fine-tuning pretrained weights."""

GOOD_TOLERANCE = 0.05
"""Share of the improvement that a good learning rate, or the target, may miss."""


@dataclasses.dataclass(frozen=True)
class Runs:
    """All runs of one contender in one setting.

    Attributes:
        rates: ``(rates,)``, ascending.
        losses: ``(rates, seeds)`` judged validation losses.
        training: the same for the mean training loss of the last epoch.
        is_bad: ``(rates, seeds)``: whether the final loss was not finite, or above the
            loss before the first step.
        courses: ``(rates, seeds, epochs + 1)`` validation losses, from before the first
            step on; later ones are cut at the first.
        initial: ``(seeds,)`` validation loss before the first step.
    """

    rates: np.ndarray
    losses: np.ndarray
    training: np.ndarray
    is_bad: np.ndarray
    courses: np.ndarray
    initial: np.ndarray


def complete_seeds(
    records: Sequence[RunRecord], rates: Sequence[float]
) -> frozenset[int]:
    """Seeds with a judged run at every learning rate."""
    judged = {
        (record.learning_rate, record.seed)
        for record in records
        if judged_loss(record) is not None
    }
    seeds = {seed for _, seed in judged}
    return frozenset(s for s in seeds if all((rate, s) in judged for rate in rates))


def gather(
    records: Sequence[RunRecord], rates: Sequence[float], seeds: Sequence[int]
) -> Runs:
    """Arrange the records of one contender, which has all these rates and seeds."""
    found = {(record.learning_rate, record.seed): record for record in records}
    table = [[found[rate, seed] for seed in seeds] for rate in rates]

    def each(figure: Callable[[RunRecord], Any]) -> np.ndarray:
        return np.array([[figure(record) for record in row] for row in table])

    courses = [[_course(record) for record in row] for row in table]
    longest = max(len(course) for row in courses for course in row)
    padded = [
        [course + [course[0]] * (longest - len(course)) for course in row]
        for row in courses
    ]
    return Runs(
        rates=np.array(rates),
        losses=each(judged_loss).astype(float),
        training=each(_training_loss).astype(float),
        is_bad=each(is_bad),
        courses=np.array(padded, float),
        initial=np.array([record.initial_loss for record in table[0]], float),
    )


def _training_loss(record: RunRecord) -> float:
    """Mean training loss of the last epoch, at most the loss before the first step.

    A run without such a training loss gets the loss before the first step. That is the
    validation loss: for untrained weights both are about the same.
    """
    initial = record.initial_loss or 0.0
    last = (record.history.get("loss") or [None])[-1]
    if record.status != "ok" or last is None or not math.isfinite(last):
        return initial
    return min(last, initial)


def _course(record: RunRecord) -> list[float]:
    initial = record.initial_loss or 0.0
    later = [
        initial if loss is None else min(loss, initial)
        for loss in record.history.get("val_loss", [])
    ]
    return [initial, *later]


def once(seeds: int) -> np.ndarray:
    """The draw that has every seed once."""
    return np.arange(seeds)[None, :]


def draws_of(seeds: int) -> np.ndarray:
    """The draw that has every seed once, and all resamples of the bootstrap."""
    return np.concatenate([once(seeds), resamples(seeds)])


def mean_losses(losses: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Means over the drawn seeds: ``(rates, draws)``."""
    return losses[:, draws].mean(axis=-1)


def best_losses(runs: Runs, draws: np.ndarray) -> np.ndarray:
    """Lowest mean loss of any learning rate."""
    return mean_losses(runs.losses, draws).min(axis=0)


def figures(
    runs: Runs,
    draws: np.ndarray,
    *,
    shared_best: np.ndarray,
    target: np.ndarray,
    default_rate: float,
    steps_per_epoch: float,
) -> dict[str, np.ndarray]:
    """All figures of one contender in one setting, except those over batch sizes.

    Args:
        runs: of the contender.
        draws: of seeds.
        shared_best: ``(draws,)``, the best loss of any contender.
        target: ``(draws,)``, the loss that steps are counted to.
        default_rate: of the contender.
        steps_per_epoch: optimizer steps.
    """
    losses = mean_losses(runs.losses, draws)
    training = mean_losses(runs.training, draws)
    best = losses.min(axis=0)
    is_narrow = (runs.rates >= NARROW[0]) & (runs.rates <= NARROW[1])
    is_low = (runs.rates >= LOW[0]) & (runs.rates <= LOW[1])
    initial = runs.initial[draws].mean(axis=-1)
    courses = runs.courses[:, draws].mean(axis=2)  # (rates, draws, epochs + 1)
    at_best = courses[losses.argmin(axis=0), np.arange(len(draws))]
    return {
        "s_wide": learning_rate_sensitivity(losses, best),
        "s_narrow": learning_rate_sensitivity(losses[is_narrow], best),
        "s_wide_shared": learning_rate_sensitivity(losses, shared_best),
        "s_narrow_shared": learning_rate_sensitivity(losses[is_narrow], shared_best),
        "best_loss": best,
        "loss_at_1e-3": losses[_nearest(runs.rates, 1e-3)],
        "loss_at_default": losses[_nearest(runs.rates, default_rate)],
        "decades": _good_decades(runs.rates, losses, initial),
        "bad_share": runs.is_bad[:, draws].mean(axis=(0, 2)),
        "steps_to_target": steps_to(at_best, target) * steps_per_epoch,
        "early_loss_at_low_rates": courses[is_low, :, 1].mean(axis=0),
        "s_wide_training": learning_rate_sensitivity(training, training.min(axis=0)),
        "best_training_loss": training.min(axis=0),
        "best_rate": runs.rates[losses.argmin(axis=0)],
        "initial_loss": initial,
    }


def target_of(baseline: Runs, draws: np.ndarray) -> np.ndarray:
    """The baseline's best loss plus 5 % of its improvement."""
    best = best_losses(baseline, draws)
    initial = baseline.initial[draws].mean(axis=-1)
    return best + GOOD_TOLERANCE * (initial - best)


def steps_to(courses: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Epochs until each course meets its target, interpolated linearly; or infinity.

    Shapes:
        courses: ``(draws, epochs + 1)``; target and returned: ``(draws,)``.
    """
    found = np.full(len(courses), np.inf)
    for row, (course, wanted) in enumerate(zip(courses, target, strict=True)):
        reached = np.nonzero(course <= wanted)[0]
        if reached.size:
            last = int(reached[0])
            if last == 0:
                found[row] = 0.0
                continue
            above, below = course[last - 1], course[last]
            found[row] = last - 1 + (above - wanted) / (above - below)
    return found


def batch_figures(
    of_sizes: Mapping[int, Runs], draws: np.ndarray, shared_best: np.ndarray
) -> dict[str, np.ndarray]:
    """Figures over the grid of rates and batch sizes; see `figures`.

    ``drift`` is the distance in decades between the lowest and the highest of the batch
    sizes' best learning rates. ``worst_regret`` and ``mean_regret`` are over the cells
    of the grid. A cell's regret is its loss minus the best loss of any contender at any
    batch size, as a share of the improvement to that best loss.

    Args:
        of_sizes: runs by batch size.
        draws: of seeds.
        shared_best: ``(draws,)``, the best loss of any contender at any batch size.
    """
    rates = next(iter(of_sizes.values())).rates
    grids = np.stack([mean_losses(runs.losses, draws) for runs in of_sizes.values()])
    initial = np.mean(
        [runs.initial[draws].mean(axis=-1) for runs in of_sizes.values()], axis=0
    )
    exponents = np.log10(rates)[grids.argmin(axis=1)]
    regrets = (grids - shared_best) / (initial - shared_best)
    return {
        "drift": exponents.max(axis=0) - exponents.min(axis=0),
        "worst_regret": regrets.max(axis=(0, 1)),
        "mean_regret": regrets.mean(axis=(0, 1)),
    }


def geometric_mean_ratio(
    ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray]
) -> np.ndarray:
    """Geometric mean over tasks of the ratios, per draw."""
    ratios = [
        np.maximum(a, 1e-12) / np.maximum(b, 1e-12)
        for a, b in zip(ours, theirs, strict=True)
    ]
    return np.exp(np.mean(np.log(ratios), axis=0))


def _nearest(rates: np.ndarray, wanted: float) -> int:
    return int(np.argmin(np.abs(np.log(rates) - math.log(wanted))))


def _good_decades(
    rates: np.ndarray, losses: np.ndarray, initial: np.ndarray
) -> np.ndarray:
    widths = []
    for column, start in zip(losses.T.tolist(), initial.tolist(), strict=True):
        region = find_good_region(rates.tolist(), column, start, GOOD_TOLERANCE)
        widths.append(region.decades if region else 0.0)
    return np.array(widths)

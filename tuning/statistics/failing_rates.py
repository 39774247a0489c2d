"""The learning rate nearest to a given one at which training fails, on each side.

The losses of one optimizer at one batch size lie on a grid of learning rates, not all
of which have been tried, and not with every seed. The *missed share* of a loss is

    (loss - best loss) / (initial loss - best loss),

where the best loss is the lowest mean over seeds: 0 at the best learning rate, 1 where
nothing was learned. A learning rate fails if its mean missed share exceeds a limit; a
seed fails there if its own does. Indices count the learning rates, ascending.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import statistics
from collections.abc import Mapping, Sequence

from tuning.records import RunRecord
from tuning.statistics.seed_losses import is_bad, judged_loss

SAME_DECADES = 0.01
"""Learning rates this close are one: the grid's are rounded to three or four digits."""

Point = tuple[int, int]
"""Index of a learning rate, index of a seed."""


@dataclasses.dataclass(frozen=True)
class TriedRates:
    """The results so far of one optimizer at one batch size.

    Attributes:
        rates: of the grid, ascending.
        losses: judged loss by point; ``None`` where a run raised an error.
        initial_loss: mean before the first step; ``None`` while nothing is known.
        outright: points at which training diverged or ended above its initial loss.
    """

    rates: Sequence[float]
    losses: Mapping[Point, float | None]
    initial_loss: float | None
    outright: frozenset[Point] = frozenset()

    @functools.cached_property
    def means(self) -> dict[int, float]:
        """Mean loss over the seeds that were run, by index, ascending."""
        by_rate: dict[int, list[float]] = {}
        for (i, _), loss in sorted(self.losses.items()):
            if loss is not None:
                by_rate.setdefault(i, []).append(loss)
        return {i: statistics.fmean(losses) for i, losses in by_rate.items()}

    @functools.cached_property
    def best(self) -> int | None:
        """Index of the lowest mean; the lower one of two."""
        return min(self.means, key=lambda i: (self.means[i], i), default=None)

    @property
    def improvement(self) -> float:
        """Initial less best loss; 0 if nothing was learned."""
        if self.best is None or self.initial_loss is None:
            return 0.0
        return max(0.0, self.initial_loss - self.means[self.best])

    def of_seed(self, seed: int) -> dict[int, float]:
        """The losses of one seed by index, ascending."""
        return {
            i: loss
            for (i, s), loss in sorted(self.losses.items())
            if s == seed and loss is not None
        }

    def missed_share(self, loss: float) -> float:
        """The share of the improvement that a loss misses; 1 if there is none."""
        if self.best is None or not self.improvement:
            return 1.0
        return (loss - self.means[self.best]) / self.improvement

    def limit(self, share: float) -> float:
        """The largest loss that misses at most this share."""
        if self.best is None or not self.improvement:
            return -math.inf
        return self.means[self.best] + share * self.improvement

    def decades(self, one: int, other: int) -> float:
        """Distance of two learning rates on the log axis."""
        return abs(math.log10(self.rates[other] / self.rates[one]))


@dataclasses.dataclass(frozen=True)
class Bracket:
    """Where losses exceed a limit for the first time on one side of a learning rate.

    Attributes:
        inside: index of the last tried learning rate below the limit.
        outside: index of the first above it; ``None`` if none was found.
        decades: from the start to the limit, interpolated linearly on the log axis
            between the two; to ``inside`` if ``outside`` is ``None``. 0 if the start
            itself is above the limit.
        width: decades between the two; 0 without ``outside``.
    """

    inside: int
    outside: int | None
    decades: float
    width: float


def find_bracket(
    tried: TriedRates, losses: Mapping[int, float], start: int, step: int, share: float
) -> Bracket:
    """Walk outward from a learning rate to the first that fails.

    Args:
        tried: gives the limit and the distances.
        losses: of the mean or of one seed, by index; with ``start`` in them.
        start: index of a learning rate.
        step: -1 for lower learning rates, 1 for higher ones.
        share: the missed share beyond which a learning rate fails.
    """
    limit = tried.limit(share)
    if losses[start] > limit:
        return Bracket(start, start, 0.0, 0.0)
    inside = start
    for i in sorted(
        (i for i in losses if (i - start) * step > 0), key=lambda i: i * step
    ):
        if losses[i] > limit:
            width = tried.decades(inside, i)
            part = (limit - losses[inside]) / (losses[i] - losses[inside])
            distance = tried.decades(start, inside) + part * width
            return Bracket(inside, i, distance, width)
        inside = i
    return Bracket(inside, None, tried.decades(start, inside), 0.0)


def interpolate(
    rates: Sequence[float], values: Mapping[int, float], rate: float
) -> tuple[float, bool] | None:
    """A value at a learning rate, and whether it was interpolated.

    Linear on the log axis between the nearest indices that have a value.

    Returns:
        ``None`` beyond the outermost values.
    """
    at = math.log10(rate)
    positions = {i: math.log10(rates[i]) for i in values}
    nearest = min(positions, key=lambda i: abs(positions[i] - at), default=None)
    if nearest is None:
        return None
    if abs(positions[nearest] - at) < SAME_DECADES:
        return values[nearest], False
    below = [i for i in positions if positions[i] < at]
    above = [i for i in positions if positions[i] > at]
    if not below or not above:
        return None
    low, high = max(below), min(above)
    part = (at - positions[low]) / (positions[high] - positions[low])
    return values[low] + part * (values[high] - values[low]), True


def collect(
    records: Sequence[RunRecord], rates: Sequence[float], seeds: Sequence[int]
) -> TriedRates:
    """The results of one optimizer at one batch size, from its records.

    Args:
        records: of this optimizer and batch size.
        rates: of the grid, ascending.
        seeds: of the grid; a point counts them by their place.
    """
    losses: dict[Point, float | None] = {}
    outright: set[Point] = set()
    initial: list[float] = []
    diverged: list[Point] = []
    for record in records:
        point = (rates.index(record.learning_rate), seeds.index(record.seed))
        losses[point] = judged_loss(record)
        if losses[point] is not None and record.initial_loss is not None:
            initial.append(record.initial_loss)
            if is_bad(record):
                outright.add(point)
        elif record.status == "diverged":
            diverged.append(point)
    mean = statistics.fmean(initial) if initial else None
    if mean is not None:
        # A loop may diverge before it has reported a loss. It has failed all the same.
        losses.update(dict.fromkeys(diverged, mean))
        outright.update(diverged)
    return TriedRates(
        rates=rates,
        losses=losses,
        initial_loss=mean,
        outright=frozenset(outright),
    )

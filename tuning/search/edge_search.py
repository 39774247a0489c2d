"""Finds the ends of a good region with few runs, by bisection on a grid.

For one optimizer and batch size, the loss over the log of the learning rate falls, has
a valley and rises. A grid is run to see how wide the valley is and where it ends, but
most of its points lie far from both edges and say little. So a few spread points are
run first, with one seed. Then each edge is narrowed down between a good and a bad
learning rate until these are neighbours in the grid. Last, the points that decide are
run with the other seeds.

Everything here is a pure function of the observed losses, so a search can continue from
its records. `tuning.statistics.curves.find_good_region` defines which learning rates
are good. The search assumes a single valley: it misses a bad learning rate between two
good ones, unless it happens to try it.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import math
import statistics
from collections.abc import Mapping, Sequence

from tuning.statistics.limits import GOOD_TOLERANCE

DECADES_BETWEEN_FIRST_RATES = 1.0

WIDEST_UNSEEN_DECADES = 0.5
"""Widest gap next to the best learning rate that stays untried if its ends are good."""

CLEARLY_BAD = 4 * GOOD_TOLERANCE
"""A learning rate that misses this share of the improvement is bad with any seed."""

LEAST_IMPROVEMENT = 0.02
"""Share of the initial loss. A best run that gained less may be noise, and the valley
may lie between the learning rates tried so far."""

Point = tuple[int, int]
"""Index of a learning rate, index of a seed."""


@dataclasses.dataclass(frozen=True)
class Observed:
    """The results so far of one optimizer at one batch size.

    Attributes:
        rates: learning rates of the grid, ascending.
        seeds: number of seeds in the grid.
        losses: judged loss by point; ``None`` where a run failed.
        initial_loss: mean before the first step; ``None`` while nothing is known.
    """

    rates: Sequence[float]
    seeds: int
    losses: Mapping[Point, float | None]
    initial_loss: float | None


def wanted_points(observed: Observed) -> list[Point]:
    """The points to run next, together or one by one; empty if the search is done.

    They do not depend on the order in which earlier points were run.
    """
    first = [(i, 0) for i in first_indices(observed.rates)]
    untried = [point for point in first if point not in observed.losses]
    if untried:
        return untried
    means = _means(observed)
    if observed.initial_loss is None or not means:
        return _rest(observed)  # every run failed: nothing can be compared
    best = _best(observed, means)
    improvement = observed.initial_loss - means[best]
    if not improvement > 0:
        return _halve_gaps(observed)
    if improvement < LEAST_IMPROVEMENT * abs(observed.initial_loss):
        gaps = _halve_gaps(observed)
        if gaps:
            return gaps
    limit = means[best] + GOOD_TOLERANCE * improvement
    edges = [_close_in(observed, means, limit, best, step) for step in (-1, 1)]
    middles = {edge.middle for edge in edges} | {_beside_best(observed, means, best)}
    if middles - {None}:
        return [(i, 0) for i in sorted(i for i in middles if i is not None)]
    clearly_bad = means[best] + CLEARLY_BAD * improvement
    deciding = {best, *(i for e in edges for i in (e.inside, e.outside) if i in means)}
    return [
        (i, seed)
        for i in sorted(deciding)
        if means[i] <= clearly_bad
        for seed in range(1, observed.seeds)
        if (i, seed) not in observed.losses
    ]


def _best(observed: Observed, means: Mapping[int, float]) -> int:
    """Index of the rate with the lowest mean loss; among equals, with most seeds.

    Means are equal if they differ only by rounding error. Otherwise each of many equal
    learning rates would be the best at some point, and be run with every seed.
    """
    lowest = min(means.values())
    equal = [i for i in means if math.isclose(means[i], lowest, rel_tol=1e-9)]
    tried = collections.Counter(i for i, _ in observed.losses)
    return min(equal, key=lambda i: (-tried[i], i))


def first_indices(rates: Sequence[float]) -> list[int]:
    """Indices of the rates to run first: about a decade apart, away from the ends."""
    positions = [math.log10(rate) for rate in rates]
    span = positions[-1] - positions[0]
    count = min(len(rates), max(1, round(span / DECADES_BETWEEN_FIRST_RATES)))
    centres = [positions[0] + span * (k + 0.5) / count for k in range(count)]
    return sorted({_nearest(positions, range(len(rates)), at) for at in centres})


@dataclasses.dataclass(frozen=True)
class _Edge:
    """The edge between good and bad learning rates on one side of the best.

    Attributes:
        inside: index of the last good learning rate before the edge.
        outside: index of the first bad one after it; ``None`` if none was bad.
        middle: index to try next between them; ``None`` if all have been tried.
    """

    inside: int
    outside: int | None
    middle: int | None


def _close_in(
    observed: Observed, means: Mapping[int, float], limit: float, best: int, step: int
) -> _Edge:
    """The edge on one side of ``best``, as far as known."""
    known = sorted((i for i in means if (i - best) * step > 0), key=lambda i: i * step)
    inside, outside = best, None
    for i in known:
        if means[i] > limit:
            outside = i
            break
        inside = i
    if outside is not None:
        return _Edge(inside, outside, _middle(observed, inside, outside))
    # Nothing bad so far: the end of the grid shows whether there is an edge at all.
    end = 0 if step < 0 else len(observed.rates) - 1
    is_tried = (end, 0) in observed.losses
    return _Edge(inside, None, _middle(observed, inside, end) if is_tried else end)


def _beside_best(
    observed: Observed, means: Mapping[int, float], best: int
) -> int | None:
    """An untried index in a too wide gap next to the best, on the better side first.

    The limit of good losses depends on the best loss. Narrowing down the edges does not
    look between the best and good neighbours that are far away; this function does.
    """
    sides = []
    for step in (-1, 1):
        known = [i for i in means if (i - best) * step > 0]
        if known:
            sides.append(min(known, key=lambda i: abs(i - best)))
    for neighbour in sorted(sides, key=lambda i: means[i]):
        gap = abs(math.log10(observed.rates[neighbour] / observed.rates[best]))
        if gap > WIDEST_UNSEEN_DECADES * (1 + 1e-6):
            middle = _middle(observed, best, neighbour)
            if middle is not None:
                return middle
    return None


def _halve_gaps(observed: Observed) -> list[Point]:
    """The middle of every gap, to try when no run has clearly learned yet."""
    tried = sorted({i for i, _ in observed.losses})
    ends = [-1, *tried, len(observed.rates)]
    middles = []
    for low, high in itertools.pairwise(ends):
        between = range(low + 1, high)
        if between:
            middles.append((between[len(between) // 2], 0))
    return middles


def _rest(observed: Observed) -> list[Point]:
    return [(i, 0) for i in range(len(observed.rates)) if (i, 0) not in observed.losses]


def _middle(observed: Observed, one: int, other: int) -> int | None:
    """The untried index nearest to the middle of two, on the log axis."""
    low, high = sorted((one, other))
    untried = [i for i in range(low + 1, high) if (i, 0) not in observed.losses]
    if not untried:
        return None
    positions = [math.log10(rate) for rate in observed.rates]
    return _nearest(positions, untried, (positions[low] + positions[high]) / 2)


def _nearest(positions: Sequence[float], among: Sequence[int], wanted: float) -> int:
    return min(among, key=lambda i: (abs(positions[i] - wanted), i))


def _means(observed: Observed) -> dict[int, float]:
    """Mean loss over the seeds that were run, by index of the rate."""
    by_rate: dict[int, list[float]] = {}
    for (i, _), loss in observed.losses.items():
        if loss is not None:
            by_rate.setdefault(i, []).append(loss)
    return {i: statistics.fmean(losses) for i, losses in by_rate.items()}

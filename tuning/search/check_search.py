"""Which runs a check needs next: few, and the most important first.

A check asks whether a setting is safe. Its runs are spent in stages. Each stage is a
pure function of the losses so far, so a check continues from its records. A stage that
is cut off by the budget is the least important one that is left; the card names it.

Every run is trained to its end: a run that diverges ends itself, and one that learns
slowly in its first epochs may still end well, so no run is cut short.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from tuning.grid import Grid
from tuning.search.edge_search import Observed, wanted_points
from tuning.setting import CheckPlan, Rule
from tuning.statistics.failing_rates import (
    SAME_DECADES,
    Point,
    TriedRates,
    find_bracket,
)
from tuning.statistics.scaled_rates import scaled_rate
from tuning.statistics.setting_figures import COARSE, FACTORS

Group = tuple[str, int]
"""Optimizer and batch size."""

SEEDS_OF_COSTS = 2
"""Seeds at the learning rates that show what a wrong one costs, and at those that
decide with another batch size or optimizer."""

SEEDS_HERE = "seeds at the setting"
BEST = "best learning rate"
NEAR = "learning rates near the setting"
FAILING = (
    "nearest learning rate that fails above the setting",
    "nearest learning rate that fails below the setting",
)
SEEDS_AT_BEST = "seeds at the best learning rate"

DECIDING = frozenset({SEEDS_HERE, BEST, NEAR, *FAILING, SEEDS_AT_BEST})
"""Stages that the verdict needs. A check that leaves one out cannot say safe."""


@dataclasses.dataclass(frozen=True)
class CheckSpace:
    """What a check can run.

    Attributes:
        rates: of the grid, ascending.
        start: index of the setting's learning rate.
        seeds: how many.
        own: the setting's optimizer and batch size.
        others: further optimizers and batch sizes, and the learning rates that matter
            there; in order of importance.
        factors: by which the learning rate may be wrong.
        rule: of the verdict.
    """

    rates: Sequence[float]
    start: int
    seeds: int
    own: Group
    others: Mapping[Group, Sequence[float]]
    rule: Rule
    factors: Sequence[float] = FACTORS


def space_of(grid: Grid, check: CheckPlan) -> CheckSpace:
    """What a check's grid can run.

    Args:
        grid: holds the setting.
        check: the setting and the rule.
    """
    setting = check.setting
    rates = sorted(grid.learning_rates)
    others: dict[Group, Sequence[float]] = {}
    for size in sorted(grid.batch_sizes):
        if size != setting.batch_size:
            both = (setting.learning_rate, scaled_rate(setting, size))
            others[setting.optimizer, size] = both
    for name in grid.optimizers:
        if name != setting.optimizer:
            others[name, setting.batch_size] = (setting.learning_rate,)
    return CheckSpace(
        rates=rates,
        start=rates.index(setting.learning_rate),
        seeds=len(grid.seeds),
        own=(setting.optimizer, setting.batch_size),
        others=others,
        rule=check.rule,
    )


def wanted_runs(
    space: CheckSpace, results: Mapping[Group, TriedRates]
) -> Iterator[tuple[str, Group, Point]]:
    """The runs to train next, the most important first: stage, group and point.

    With results that stay the same it names each run once. The first one is always
    needed; those after it may turn out not to be, once it has ended.
    """
    named: set[tuple[Group, Point]] = set()
    for stage, group, points in _stages(space, results):
        for point in points:
            if point not in results[group].losses and (group, point) not in named:
                named.add((group, point))
                yield stage, group, point


def _stages(
    space: CheckSpace, results: Mapping[Group, TriedRates]
) -> Iterator[tuple[str, Group, list[Point]]]:
    own = space.own
    tried = results[own]
    every = range(space.seeds)
    yield SEEDS_HERE, own, [(space.start, seed) for seed in every]
    yield BEST, own, _edges(tried, 1)
    near = _near(space, space.rule.min_decades)
    yield NEAR, own, [(i, 0) for i in near]
    for step, name in zip((1, -1), FAILING, strict=True):
        yield name, own, _failing(space, tried, step, 1, space.seeds)
    yield SEEDS_AT_BEST, own, _edges(tried, space.seeds)
    seeds = range(min(SEEDS_OF_COSTS, space.seeds))
    wrong = [space.rates[space.start] * factor for factor in space.factors]
    costs = [i for rate in wrong for i in _around(space.rates, rate)]
    yield "cost of a wrong learning rate", own, [(i, s) for i in costs for s in seeds]
    for group, rates in space.others.items():
        name = f"{group[0]} at batch size {group[1]}"
        here = [i for rate in rates for i in _around(space.rates, rate)]
        yield name, group, [(i, s) for i in here for s in seeds]
        other = results[group]
        yield name, group, _edges(other, 1, COARSE)
        for step in (1, -1):
            yield name, group, _failing(space, other, step, COARSE, len(seeds))
    for step, side in ((1, "above"), (-1, "below")):
        name = f"nearest learning rate {side} the setting that diverges"
        yield name, own, _diverging(space, tried, step)


def _edges(tried: TriedRates, seeds: int, stride: int = 1) -> list[Point]:
    """What the search for the best learning rate and the stable range wants."""
    last = len(tried.rates) - 1
    kept = sorted({*range(0, last + 1, stride), last})
    place = {index: at for at, index in enumerate(kept)}
    observed = Observed(
        rates=[tried.rates[index] for index in kept],
        seeds=seeds,
        losses={
            (place[i], seed): loss
            for (i, seed), loss in tried.losses.items()
            if i in place and seed < seeds
        },
        initial_loss=tried.initial_loss,
    )
    return [(kept[at], seed) for at, seed in wanted_points(observed)]


def _failing(
    space: CheckSpace, tried: TriedRates, step: int, stride: int, seeds: int
) -> list[Point]:
    """Bisect to the nearest learning rate that fails, then try it with every seed."""
    share = space.rule.max_loss_gap
    if space.start not in tried.means or not tried.improvement:
        return []
    bracket = find_bracket(tried, tried.means, space.start, step, share)
    if bracket.outside is None:
        return [(0 if step < 0 else len(space.rates) - 1, 0)]
    between = _middle(tried, bracket.inside, bracket.outside, stride, 0)
    if between or not bracket.width:
        return between
    both = (bracket.inside, bracket.outside)
    wanted = [(i, seed) for i in both for seed in range(seeds)]
    if any(point not in tried.losses for point in wanted):
        return wanted
    for seed in range(seeds):
        wanted += _failing_of_seed(space, tried, step, stride, seed)
    return wanted


def _failing_of_seed(
    space: CheckSpace, tried: TriedRates, step: int, stride: int, seed: int
) -> list[Point]:
    """The same for one seed, which may fail earlier or later than the mean."""
    losses = tried.of_seed(seed)
    if space.start not in losses:
        return []
    share = space.rule.max_loss_gap
    bracket = find_bracket(tried, losses, space.start, step, share)
    if bracket.outside is not None:
        return _middle(tried, bracket.inside, bracket.outside, stride, seed)
    following = bracket.inside + step * stride
    return [(following, seed)] if 0 <= following < len(space.rates) else []


def _diverging(space: CheckSpace, tried: TriedRates, step: int) -> list[Point]:
    """Bisect to the nearest learning rate that fails outright, with one seed."""
    indices = sorted({i for i, _ in tried.losses}, key=lambda i: i * step)
    beyond = [i for i in indices if (i - space.start) * step >= 0]
    bad = {i for i, _ in tried.outright}
    first = next((i for i in beyond if i in bad), None)
    if first is None:
        return [(0 if step < 0 else len(space.rates) - 1, 0)]
    before = beyond[: beyond.index(first)]
    return _middle(tried, before[-1], first, 1, 0) if before else []


def _middle(
    tried: TriedRates, one: int, other: int, stride: int, seed: int
) -> list[Point]:
    """The untried index nearest to the middle of two that are not neighbours."""
    low, high = sorted((one, other))
    untried = [i for i in range(low + 1, high) if (i, seed) not in tried.losses]
    if high - low <= stride or not untried:
        return []
    return [(min(untried, key=lambda i: (abs(2 * i - low - high), i)), seed)]


def _near(space: CheckSpace, decades: float) -> list[int]:
    """Indices at most this far from the setting, the nearest first."""
    rates, start = space.rates, space.start
    at = TriedRates(rates, {}, None)
    near = [
        i for i in range(len(rates)) if at.decades(start, i) <= decades + SAME_DECADES
    ]
    return sorted(near, key=lambda i: (abs(i - start), i))


def _around(rates: Sequence[float], rate: float) -> list[int]:
    """The index of a learning rate, or those next to it; empty beyond the grid."""
    same = 10**SAME_DECADES
    equal = [i for i, other in enumerate(rates) if 1 / same < other / rate < same]
    if equal:
        return equal[:1]
    below = [i for i, other in enumerate(rates) if other < rate]
    above = [i for i, other in enumerate(rates) if other > rate]
    return [below[-1], above[0]] if below and above else []

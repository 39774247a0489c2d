"""How an optimizer does at one learning rate and batch size, and around it."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence

from tuning.setting import Rule, Setting
from tuning.statistics.curves import find_good_region
from tuning.statistics.exact_bounds import next_value_interval, upper_bound_of_share
from tuning.statistics.failing_rates import (
    Bracket,
    TriedRates,
    find_bracket,
    interpolate,
)
from tuning.system.json_values import Count, LearningRate, Number, Positive

FACTORS = (2.0, 0.5, 10.0, 0.1)
"""By how much a learning rate may be wrong, in the order in which it is tried."""

COARSE = 2
"""Steps of the grid between the learning rates that are tried for another batch size or
optimizer: half a decade. Ends of ranges are interpolated in between."""


@dataclasses.dataclass(frozen=True)
class DistanceInterval:
    """Where the nearest failing learning rate of one more seed is expected.

    Attributes:
        low: decades from the setting, at least 0.
        high: the same; ``None`` if some seed had no failing learning rate.
        seeds: from how many seeds; see `tuning.statistics.exact_bounds`.
    """

    low: Number
    high: Number | None
    seeds: Count


@dataclasses.dataclass(frozen=True)
class Side:
    """The learning rates below or above a setting.

    Attributes:
        decades: to the learning rate from which on the mean over seeds fails.
        is_lower_bound: whether no failing learning rate was found as far as the check
            has looked, or untried ones lie before it; then ``decades`` is the distance
            to the last one that does not fail.
        last_rate: the last tried learning rate that does not fail.
        failing_rate: the first tried one that does; ``None`` if there is none.
        interval: of the distance for one more seed; ``None`` with fewer than two seeds.
        stable_decades: to the end of the stable range; negative if the setting lies
            outside of it; ``None`` if nothing was learned.
        diverging_rate: the nearest tried learning rate at which a seed diverged or
            ended above its initial loss.
        is_stable_to_end: whether the stable range reaches the last learning rate that
            was tried, so that its own end is not known.
    """

    decades: Number
    is_lower_bound: bool
    last_rate: LearningRate
    failing_rate: LearningRate | None
    interval: DistanceInterval | None
    stable_decades: Number | None
    diverging_rate: LearningRate | None
    is_stable_to_end: bool = False


@dataclasses.dataclass(frozen=True)
class OtherRate:
    """The loss at a learning rate other than the setting's.

    Attributes:
        factor: times the setting's learning rate.
        loss: mean over seeds.
        missed_share: of the improvement that the best learning rate makes.
        cost: how much more of it is missed than at the setting, over shared seeds.
        is_interpolated: between the two tried learning rates next to it.
        seeds: over how many; the fewer of two.
    """

    factor: Number
    loss: Number
    missed_share: Number
    cost: Number
    is_interpolated: bool
    seeds: Count


@dataclasses.dataclass(frozen=True)
class SettingFigures:
    """One optimizer at one batch size, looked at from one learning rate.

    Attributes:
        setting: optimizer, learning rate and batch size.
        loss: mean judged loss over the seeds; see
            `tuning.statistics.seed_losses.judged_loss`.
        lowest_loss: of any seed.
        highest_loss: of any seed.
        initial_loss: before the first step.
        seeds: that were run at the setting.
        failed_seeds: how many of them failed; see `tuning.setting.Rule`.
        failed_bound: the largest share of failing seeds that is compatible with this,
            with 95 % confidence.
        missed_share: of the improvement that the best learning rate makes.
        best_rate: the tried learning rate with the lowest mean loss.
        best_loss: that loss.
        below: lower learning rates.
        above: higher ones.
        others: losses at other learning rates.
        runs: from which the figures are taken.
    """

    setting: Setting
    loss: Number
    lowest_loss: Number
    highest_loss: Number
    initial_loss: Number
    seeds: Positive
    failed_seeds: Count
    failed_bound: Number
    missed_share: Number
    best_rate: LearningRate
    best_loss: Number
    below: Side
    above: Side
    others: Sequence[OtherRate]
    runs: Positive

    @property
    def failed_share(self) -> float:
        """Share of the seeds that failed."""
        return self.failed_seeds / self.seeds


def describe_setting(
    tried: TriedRates,
    setting: Setting,
    rule: Rule,
    other_rates: Sequence[float],
    stride: int = 1,
) -> SettingFigures | None:
    """All figures of a setting.

    Args:
        tried: results of the setting's optimizer and batch size.
        setting: with one of the learning rates.
        rule: says what failing is.
        other_rates: learning rates whose losses are wanted.
        stride: steps of the grid up to which two tried learning rates are neighbours.

    Returns:
        ``None`` if the setting itself has no judged run.
    """
    start = list(tried.rates).index(setting.learning_rate)
    if start not in tried.means or tried.best is None or tried.initial_loss is None:
        return None
    here = {s: x for (i, s), x in tried.losses.items() if i == start and x is not None}
    limit = tried.limit(rule.max_loss_gap)
    failed = sum(
        loss > limit or (start, seed) in tried.outright for seed, loss in here.items()
    )
    others = [_at_other_rate(tried, start, here, rate) for rate in other_rates]
    return SettingFigures(
        setting=setting,
        loss=tried.means[start],
        lowest_loss=min(here.values()),
        highest_loss=max(here.values()),
        initial_loss=tried.initial_loss,
        seeds=len(here),
        failed_seeds=failed,
        failed_bound=upper_bound_of_share(failed, len(here)),
        missed_share=tried.missed_share(tried.means[start]),
        best_rate=tried.rates[tried.best],
        best_loss=tried.means[tried.best],
        below=_side(tried, start, -1, rule, stride),
        above=_side(tried, start, 1, rule, stride),
        others=tuple(other for other in others if other is not None),
        runs=sum(loss is not None for loss in tried.losses.values()),
    )


def _side(tried: TriedRates, start: int, step: int, rule: Rule, stride: int) -> Side:
    share = rule.max_loss_gap
    bracket = find_bracket(tried, tried.means, start, step, share)
    outside = bracket.outside
    is_coarse = outside is not None and abs(outside - bracket.inside) > stride
    decades = bracket.decades
    if is_coarse:
        decades = tried.decades(start, bracket.inside)
    bad = sorted({i for i, _ in tried.outright if (i - start) * step >= 0})
    stable = _to_end_of_stable_range(tried, start, step)
    nearest_bad = (bad[0] if step > 0 else bad[-1]) if bad else None
    return Side(
        decades=decades,
        is_lower_bound=outside is None or is_coarse,
        last_rate=tried.rates[bracket.inside],
        failing_rate=None if outside is None else tried.rates[outside],
        interval=_interval(tried, start, step, share, stride),
        stable_decades=stable[0],
        is_stable_to_end=stable[1],
        diverging_rate=None if nearest_bad is None else tried.rates[nearest_bad],
    )


def _interval(
    tried: TriedRates, start: int, step: int, share: float, stride: int
) -> DistanceInterval | None:
    """The interval from the seeds whose own first failing learning rate is known.

    ``None`` if some seed was tried up to the end of the grid and did not fail: where it
    would fail is not known, so nothing can be said of other seeds.
    """
    end = 0 if step < 0 else len(tried.rates) - 1
    brackets: list[Bracket] = []
    for seed in sorted({seed for i, seed in tried.losses if i == start}):
        losses = tried.of_seed(seed)
        if start not in losses:
            continue
        found = find_bracket(tried, losses, start, step, share)
        if found.outside is None:
            is_known = end in losses
        else:
            is_known = abs(found.outside - found.inside) <= stride
        if is_known:
            brackets.append(found)
    if any(bracket.outside is None for bracket in brackets):
        return None
    ends = next_value_interval(
        [bracket.decades for bracket in brackets],
        [bracket.width for bracket in brackets],
    )
    if ends is None:
        return None
    return DistanceInterval(
        low=max(0.0, ends[0]),
        high=max(0.0, ends[1]),
        seeds=len(brackets),
    )


def _to_end_of_stable_range(
    tried: TriedRates, start: int, step: int
) -> tuple[float | None, bool]:
    """Decades to the end of the stable range, and whether it may go on there."""
    indices = list(tried.means)
    region = find_good_region(
        [tried.rates[i] for i in indices],
        [tried.means[i] for i in indices],
        tried.initial_loss or 0.0,
    )
    if region is None:
        return None, False
    end, is_open = (
        (region.low_rate, region.touches_low_edge)
        if step < 0
        else (region.high_rate, region.touches_high_edge)
    )
    return step * math.log10(end / tried.rates[start]), is_open


def _at_other_rate(
    tried: TriedRates, start: int, here: Mapping[int, float], rate: float
) -> OtherRate | None:
    """The figures at another learning rate; ``None`` beyond those that were tried."""
    found = interpolate(tried.rates, tried.means, rate)
    if found is None:
        return None
    loss, is_interpolated = found
    costs, counts = {}, {}
    for i in tried.means:
        shared = [
            value - here[seed]
            for (j, seed), value in tried.losses.items()
            if j == i and value is not None and seed in here
        ]
        if shared:
            costs[i], counts[i] = statistics.fmean(shared), len(shared)
    difference = interpolate(tried.rates, costs, rate)
    if difference is None:
        return None
    near = sorted(costs, key=lambda i: abs(math.log10(tried.rates[i] / rate)))
    return OtherRate(
        factor=rate / tried.rates[start],
        loss=loss,
        missed_share=tried.missed_share(loss),
        cost=difference[0] / tried.improvement if tried.improvement else 0.0,
        is_interpolated=is_interpolated,
        seeds=min(counts[i] for i in near[: 1 + is_interpolated]),
    )

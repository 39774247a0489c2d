"""The search for the edges of a good region, on simulated losses."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuning.grid import log_spaced_rates
from tuning.search.edge_search import Observed, first_indices, wanted_points
from tuning.statistics.curves import find_good_region

INITIAL = 2.3
QUARTERS = log_spaced_rates(1e-5, 10, 25)  # a quarter of a decade apart


def valley(low, high, floor, left, right):
    """A loss that falls until ``low``, lies flat, rises from ``high``; in decades."""

    def loss(rate):
        x = math.log10(rate)
        outside = max(left * (low - x), right * (x - high), 0.0)
        return min(INITIAL, floor + outside)

    return loss


def search(loss, rates=QUARTERS, seeds=1, at_once=None):
    """Run what is wanted until nothing is; losses by point."""
    losses = {}
    while True:
        initial = INITIAL if losses else None
        wanted = wanted_points(Observed(rates, seeds, losses, initial))
        if not wanted:
            return losses
        assert len(set(wanted)) == len(wanted)
        assert not set(wanted) & set(losses)
        for i, seed in wanted[:at_once]:
            losses[i, seed] = loss(i, seed)


def region(losses, rates, initial=INITIAL):
    by_rate = {}
    for (i, _), value in losses.items():
        if value is not None:
            by_rate.setdefault(i, []).append(value)
    tried = sorted(by_rate)
    means = [float(np.mean(by_rate[i])) for i in tried]
    return find_good_region([rates[i] for i in tried], means, initial)


def edges_differ(one, other):
    return max(
        abs(math.log10(one.low_rate / other.low_rate)),
        abs(math.log10(one.high_rate / other.high_rate)),
    )


valleys = st.builds(
    lambda low, width, *rest: valley(low, low + width, *rest),
    st.floats(-4.5, 0.5),
    st.floats(0.0, 3.0),
    st.floats(0.0, 1.5),
    st.floats(0.3, 3.0),
    st.floats(0.5, 50.0),
)


@settings(max_examples=300)
@given(loss=valleys, at_once=st.integers(1, 3))
def test_the_edges_are_those_of_the_whole_grid(loss, at_once):
    def at(i, _):
        return loss(QUARTERS[i])

    every = {(i, 0): at(i, 0) for i in range(len(QUARTERS))}
    found = search(at, at_once=at_once)
    whole = region(every, QUARTERS)
    if whole is None or min(every.values()) > INITIAL - 0.05:
        return  # a valley beside the grid, or next to none: nothing to find
    assert edges_differ(region(found, QUARTERS), whole) <= 0.25


@settings(max_examples=100)
@given(loss=valleys, seed=st.integers(0, 2**31))
def test_noisy_seeds_shift_edges_by_a_grid_step_or_so(loss, seed):
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 0.01, (len(QUARTERS), 3))

    def at(i, k):
        return min(INITIAL, loss(QUARTERS[i]) + noise[i, k])

    every = {(i, k): at(i, k) for i in range(len(QUARTERS)) for k in range(3)}
    if min(every.values()) > INITIAL - 0.5:
        return
    found = search(at, seeds=3)
    whole = region(every, QUARTERS)
    # Where the loss is almost level, noise decides which rates count as good.
    slack = 0.25 + 0.06 / 0.3
    assert edges_differ(region(found, QUARTERS), whole) <= slack + 0.25
    assert len(found) <= 0.5 * len(every)


def test_noise_between_the_first_rates_does_not_hide_a_narrow_valley():
    """No rate of the first ones learns, but one is below the initial loss by chance."""
    loss = valley(0.0, 0.0, 1.0, 3.0, 3.0)

    def at(i, _):
        return min(INITIAL, loss(QUARTERS[i])) - (0.01 if i == 10 else 0.0)

    every = {(i, 0): at(i, 0) for i in range(len(QUARTERS))}
    found = region(search(at), QUARTERS)
    assert edges_differ(found, region(every, QUARTERS)) <= 0.25


@settings(max_examples=100)
@given(loss=valleys)
def test_at_most_two_fifths_of_a_grid_with_three_seeds_are_run(loss):
    found = search(lambda i, _: loss(QUARTERS[i]), seeds=3)
    learned = [value for value in found.values() if value < INITIAL]
    if learned:
        assert len(found) <= 0.4 * 3 * len(QUARTERS)


def test_a_loss_that_never_falls_is_looked_at_everywhere():
    assert len(search(lambda *_: INITIAL)) == len(QUARTERS)
    assert len(search(lambda *_: None)) == len(QUARTERS)


def test_rates_that_fail_are_passed_over():
    loss = valley(-3, -1, 0.1, 1.0, 5.0)

    def at(i, _):
        return None if i % 5 == 2 else loss(QUARTERS[i])

    found = search(at)
    every = {(i, 0): at(i, 0) for i in range(len(QUARTERS))}
    assert edges_differ(region(found, QUARTERS), region(every, QUARTERS)) <= 0.25


@pytest.mark.parametrize(
    ("rates", "first"),
    [
        ((0.1,), [0]),
        ((0.1, 0.2), [0]),
        (log_spaced_rates(1e-4, 1, 9), [1, 3, 5, 7]),
        (QUARTERS, [2, 6, 10, 14, 18, 22]),
    ],
    ids=len,
)
def test_the_first_rates_lie_about_a_decade_apart(rates, first):
    assert first_indices(rates) == first


def test_a_search_goes_on_from_what_is_known():
    loss = valley(-3, -1, 0.1, 1.0, 5.0)
    whole = search(lambda i, _: loss(QUARTERS[i]), seeds=2)
    for kept in range(0, len(whole), 3):
        losses = dict(list(whole.items())[:kept])
        initial = INITIAL if losses else None
        while wanted := wanted_points(Observed(QUARTERS, 2, losses, initial)):
            initial = INITIAL
            for i, seed in wanted:
                losses[i, seed] = loss(QUARTERS[i])
        assert losses == whole

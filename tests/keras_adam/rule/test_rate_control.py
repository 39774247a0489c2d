"""Laws of the controlled rate."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from keras_adam.rule import learning_rate as rate_control
from keras_adam.rule.learning_rate import Alignment, RateState

rates = st.floats(2.0**-20, 8.0, width=32)


def scalar(value):
    return ops.convert_to_tensor(np.float32(value))


def state(log_multiplier, peak):
    return RateState(scalar(log_multiplier), scalar(peak))


def alignment(gradient, first, second):
    return rate_control.alignment(
        [rate_control.along_last_step(gradient, first, second)]
    )


def adapted(before, aligned, total, rate=None, step=2, cap=None, limit=None, gain=0.3):
    peak = float(before.peak)
    return rate_control.adapted(
        before,
        [Alignment(scalar(aligned), scalar(total))],
        scalar(peak if rate is None else rate),
        scalar(step),
        gain,
        cap,
        limit,
    )


@given(rates, rates)
def test_the_first_rate_is_the_smaller_of_given_and_cap(rate, cap):
    after = rate_control.capped(state(0.0, 0.0), scalar(rate), cap)
    got = rate * np.exp(float(after.log_multiplier))
    assert got == pytest.approx(min(rate, cap), rel=1e-4)
    assert float(after.peak) == np.float32(rate)


@given(st.lists(rates, min_size=2, max_size=6), rates, st.floats(-3, 3, width=32))
def test_a_schedule_that_rises_lifts_the_rate_to_the_cap_and_no_further(
    schedule, cap, log_multiplier
):
    control = state(log_multiplier, schedule[0])
    highest = schedule[0] * np.exp(log_multiplier)
    for rate in schedule:
        control = rate_control.capped(control, scalar(rate), cap)
        now = rate * np.exp(float(control.log_multiplier))
        assert now <= max(cap, highest) * (1 + 1e-4)
        highest = max(highest, now)


shares = st.floats(0, 0.875, width=16)


@given(rates, rates, shares)
def test_above_a_soft_cap_a_power_of_the_rate_is_left(rate, cap, softness):
    after = rate_control.capped(state(0.0, 0.0), scalar(rate), cap, softness)
    got = rate * np.exp(float(after.log_multiplier))
    expected = rate if rate <= cap else cap * (rate / cap) ** softness
    assert got == pytest.approx(expected, rel=1e-4)


@given(st.lists(rates, min_size=2, max_size=6), rates, shares)
def test_under_a_soft_cap_a_warm_up_ends_where_its_peak_begins(schedule, cap, softness):
    control = state(0.0, 0.0)
    for rate in schedule:
        control = rate_control.capped(control, scalar(rate), cap, softness)
    at_once = rate_control.capped(state(0.0, 0.0), scalar(max(schedule)), cap, softness)
    np.testing.assert_allclose(
        float(control.log_multiplier), float(at_once.log_multiplier), atol=1e-4
    )


def test_a_schedule_that_falls_keeps_its_shape():
    before = state(-1.5, 0.1)
    after = rate_control.capped(before, scalar(0.02), 0.001)
    assert float(after.log_multiplier) == -1.5
    assert float(after.peak) == np.float32(0.1)


def test_a_rate_of_zero_before_any_other_changes_nothing():
    after = rate_control.capped(state(0.0, 0.0), scalar(0.0), 0.003)
    after = adapted(after, 1.0, 1.0, rate=0.0, cap=0.003)
    assert float(after.log_multiplier) == 0
    assert float(after.peak) == 0


def test_agreement_is_one_along_the_step_and_minus_one_against_it():
    g = np.float32([[0.5, -2.0], [1e-4, 30.0]])
    second = np.float32(g**2)
    along = alignment(*map(ops.convert_to_tensor, (g, g / 3, second)))
    against = alignment(*map(ops.convert_to_tensor, (g, -g / 3, second)))
    assert float(along.aligned) == pytest.approx(float(along.total))
    assert float(against.aligned) == pytest.approx(-float(along.total))
    # Each entry counts |g| · |m| / √v = |g| / 3.
    assert float(along.total) == pytest.approx(np.abs(g).sum() / 3, rel=1e-5)


def test_a_gradient_without_history_says_nothing():
    zeros = ops.zeros((3,))
    nothing = alignment(ops.ones((3,)), zeros, zeros)
    assert float(nothing.aligned) == float(nothing.total) == 0
    assert float(adapted(state(0.5, 1.0), 0.0, 0.0).log_multiplier) == 0.5


def test_the_first_step_says_nothing_whatever_rounding_made_of_its_moments():
    # Stored in fewer digits, a moment of zero before it is not found again.
    assert float(adapted(state(0.5, 1.0), 1.0, 1.0, step=1).log_multiplier) == 0.5


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_agreement_that_is_no_number_leaves_the_rate(bad):
    assert float(adapted(state(0.5, 1.0), bad, 1.0).log_multiplier) == 0.5
    assert float(adapted(state(0.5, 1.0), 1.0, bad).log_multiplier) == 0.5


def test_the_first_moment_before_is_found_again():
    rng = np.random.default_rng(0)
    before, g = rng.normal(size=(2, 50)).astype("float32")
    after = np.float32(before + (g - before) * 0.1)
    found = rate_control.first_moment_before(
        ops.convert_to_tensor(g), ops.convert_to_tensor(after), 0.9
    )
    np.testing.assert_allclose(ops.convert_to_numpy(found), before, atol=1e-6)


def test_one_move_by_hand():
    # A = 0.15: tanh(0.5) = 0.46212; the speed at step 50 is a quarter of the gain, and
    # the schedule stands at half of its peak.
    after = adapted(state(-1.0, 0.02), 0.15, 1.0, rate=0.01, step=50)
    expected = -1.0 + 0.3 / 4 * 0.5 * (0.46212 + rate_control.BIAS)
    assert float(after.log_multiplier) == pytest.approx(expected, abs=1e-5)


@given(st.floats(0.01, 1.0), st.sampled_from([1.0, -1.0]))
def test_all_moves_together_are_bounded(gain, sign):
    steps = np.arange(2, 5000)
    direction = np.tanh(sign / rate_control.SATURATION) + rate_control.BIAS
    moved = np.sum(gain / (1 + steps / rate_control.HORIZON) ** 2 * direction)
    bound = gain * rate_control.HORIZON * (1 + rate_control.BIAS)
    assert abs(moved) < bound


def test_growth_stops_at_the_limit_and_at_its_reach():
    grown = adapted(state(np.log(9.9), 1.0), 1.0, 1.0, limit=10.0)
    assert float(grown.log_multiplier) == pytest.approx(np.log(10.0))
    top = np.log(rate_control.REACH)
    grown = adapted(state(top - 0.01, 0.003), 1.0, 1.0, cap=0.003)
    assert float(grown.log_multiplier) == pytest.approx(top, abs=1e-5)
    # What is above already is not pulled down by the reach.
    above = adapted(state(top + 1, 0.003), 1.0, 1.0, cap=0.003)
    assert float(above.log_multiplier) == pytest.approx(top + 1)

"""Adam's mathematics against numbers worked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from keras_adam.rule import adam as update_rule
from keras_adam.rule import averaging
from keras_adam.rule.adam import Moments

finite = st.floats(-1e3, 1e3, width=32)


def scalar(value):
    return ops.convert_to_tensor(np.float32(value))


def number(tensor):
    return float(ops.convert_to_numpy(tensor))


def test_moments_by_hand():
    # m = 1 + (5 - 1)·0.1 = 1.4;  v = 4 + (25 - 4)·0.01 = 4.21
    moments = update_rule.update_moments(
        scalar(5), Moments(scalar(1), scalar(4)), beta_1=0.9, beta_2=0.99
    )
    assert number(moments.first) == pytest.approx(1.4)
    assert number(moments.second) == pytest.approx(4.21)
    assert moments.largest_second is None


def test_amsgrad_keeps_the_largest_second_moment():
    moments = update_rule.update_moments(
        scalar(0), Moments(scalar(1), scalar(4), scalar(9)), beta_1=0.9, beta_2=0.5
    )
    assert number(moments.second) == pytest.approx(2)
    assert number(moments.largest_second) == 9


def test_rate_is_corrected_by_hand():
    # t = 2, β₁ = 0.5, β₂ = 0.75: √(1 - 0.5625) / (1 - 0.25) = 0.661438 / 0.75
    rate = update_rule.bias_corrected_rate(scalar(3), scalar(2), 0.5, 0.75)
    assert number(rate) == pytest.approx(3 * 0.6614378 / 0.75, rel=1e-6)


@given(gradient=finite.filter(lambda g: abs(g) > 1e-3), rate=st.floats(1e-6, 1.0))
def test_first_step_has_the_size_of_the_rate(gradient, rate):
    """m̂ / √v̂ is the gradient's sign at t = 1, whatever its size."""
    zero = scalar(0)
    moments = update_rule.update_moments(
        scalar(gradient), Moments(zero, zero), 0.9, 0.999
    )
    corrected = update_rule.bias_corrected_rate(scalar(rate), scalar(1), 0.9, 0.999)
    moved = update_rule.step_along_moments(zero, moments, corrected, 1e-12)
    assert number(moved) == pytest.approx(-np.sign(gradient) * rate, rel=1e-4)


@given(parameter=finite, decay=st.floats(0, 1), rate=st.floats(0, 1))
def test_decay_shrinks_towards_zero_and_never_past_it(parameter, decay, rate):
    decayed = number(update_rule.decay_weights(scalar(parameter), scalar(rate), decay))
    assert abs(decayed) <= abs(parameter)
    assert decayed * parameter >= 0


def test_average_starts_at_the_first_weights():
    started = averaging.update_average(scalar(0), scalar(3), 0.9, ops.equal(0, 0))
    assert number(started) == 3
    moved = averaging.update_average(scalar(3), scalar(13), 0.9, ops.equal(0, 1))
    assert number(moved) == pytest.approx(4)

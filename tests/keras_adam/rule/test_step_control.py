"""Laws of clipping and of the check for non-finite gradients."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from keras import ops

from keras_adam.rule import clipping
from keras_adam.rule.finite import are_all_finite

arrays = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5),
    elements=st.floats(-(2.0**100), 2.0**100, width=32),
)


def tensors(values):
    return [ops.convert_to_tensor(np.asarray(v, np.float32)) for v in values]


def arrays_of(values):
    return [ops.convert_to_numpy(v) for v in values]


@given(st.lists(arrays, min_size=1, max_size=3), st.floats(1e-3, 1e3))
def test_clipped_norm_is_bounded_and_direction_kept(values, bound):
    clipped = arrays_of(clipping.clip_to_norm(tensors(values), bound))
    norm = np.sqrt(sum(np.sum(v.astype("float64") ** 2) for v in values))
    clipped_norm = np.sqrt(sum(np.sum(c.astype("float64") ** 2) for c in clipped))
    assert clipped_norm <= bound * (1 + 1e-5)
    factor = min(1.0, bound / norm) if norm > 0 else 1.0
    for value, after in zip(values, clipped, strict=True):
        np.testing.assert_allclose(after, value * factor, rtol=1e-4, atol=1e-37)


def test_a_gradient_within_the_bound_is_untouched():
    values = [[0.3, -0.4], [0.1]]
    clipped = arrays_of(clipping.clip_to_norm(tensors(values), 1.0))
    for value, after in zip(values, clipped, strict=True):
        np.testing.assert_array_equal(after, np.float32(value))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_non_finite_entry_stays_where_it_is(bad):
    # The finite entries have norm 5: they are halved, the bad one stays bad.
    clipped = arrays_of(clipping.clip_to_norm(tensors([[3, bad], [4]]), 2.5))
    assert clipped[0][0] == pytest.approx(1.5)
    assert not np.isfinite(clipped[0][1])
    assert clipped[1][0] == pytest.approx(2)


def test_norm_by_hand():
    assert float(clipping.norm_of_finite(tensors([[3.0], [4.0]]))) == 5
    assert float(clipping.norm_of_finite(tensors([[0.0, np.nan], []]))) == 0
    huge = float(clipping.norm_of_finite(tensors([[3e30, 4e30]])))
    assert huge == pytest.approx(5e30)


@pytest.mark.parametrize(
    ("values", "finite"),
    [
        ([[1.0, 2.0], [3.0]], True),
        ([[1.0, np.nan], [3.0]], False),
        ([[1.0], [-np.inf]], False),
        ([[], [3.4e38]], True),
    ],
    ids=["all finite", "a NaN", "an infinity", "an empty tensor and the largest float"],
)
def test_non_finite_entries_are_found(values, finite):
    assert bool(are_all_finite(tensors(values))) is finite

"""Random bits by place and step: even, independent, and the same everywhere."""

import numpy as np
import pytest
from keras import ops

from keras_adam.storage.stochastic_rounding import lower_bits, random_bits, upper_bits


def bits(step=1, stream=0, shape=(64, 256), ids=None):
    return ops.convert_to_numpy(random_bits(step, stream, shape, ids))


def lowbias32(x):
    """C. Wellons's function, in NumPy's unsigned integers."""
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


@pytest.mark.parametrize("shape", [(), (1,), (5,), (128,), (3, 7), (256, 2), (0, 4)])
def test_bits_are_those_of_the_published_hash(shape):
    places = np.arange(np.prod(shape, dtype=int), dtype="uint32").reshape(shape)
    with np.errstate(over="ignore"):
        start = np.uint32(3) * np.uint32(0x9E3779B1)
        start = start + np.uint32(5 * 0x85EBCA77 % 2**32)
        expected = lowbias32(places + start).astype("int32")
    np.testing.assert_array_equal(bits(3, 5, shape), expected)


def test_every_bit_is_set_half_of_the_time():
    drawn = bits().astype("int64") % 2**32
    for position in range(32):
        share = np.mean((drawn >> position) & 1)
        # 16,384 draws: five standard deviations are 0.02.
        assert abs(share - 0.5) < 0.02


@pytest.mark.parametrize("other", [{"step": 2}, {"stream": 1}])
def test_steps_and_streams_are_independent(other):
    one = bits().astype("float64").ravel()
    two = bits(**other).astype("float64").ravel()
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.04
    # Nor is one the other, shifted.
    assert len(np.intersect1d(one, two)) < 5


def test_neighbours_are_independent():
    drawn = bits().astype("float64").ravel()
    for distance in (1, 2, 16, 128):
        assert abs(np.corrcoef(drawn[distance:], drawn[:-distance])[0, 1]) < 0.04


def test_a_row_has_its_own_bits_whichever_rows_it_is_given_with():
    whole = bits(shape=(50, 4, 3))
    some = bits(shape=(50, 4, 3), ids=ops.convert_to_tensor([7, 7, 49, 0]))
    np.testing.assert_array_equal(some, whole[[7, 7, 49, 0]])


def test_upper_and_lower_bits_are_numbers_of_that_many_bits():
    drawn = random_bits(1, 0, (1000,))
    for part in (upper_bits(drawn, 20), lower_bits(drawn, 20)):
        values = ops.convert_to_numpy(part)
        assert values.min() >= 0
        assert values.max() < 2**20
        assert values.max() > 2**19

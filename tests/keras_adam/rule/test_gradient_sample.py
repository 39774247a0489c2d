"""A part of a large tensor that stands for all of it."""

import numpy as np
import pytest
from keras import ops

from keras_adam.rule import clipping
from keras_adam.rule.sampling import LARGEST_DIVISOR, PIECES, sampled, sampled_share


def test_a_small_tensor_is_its_own_sample():
    small = ops.reshape(ops.arange(64, dtype="float32"), (8, 8))
    assert sampled(small) is small
    assert sampled_share(64) == 1
    empty = ops.zeros((3, 0))
    assert sampled(empty) is empty
    assert sampled_share(0) == 1


@pytest.mark.parametrize("shape", [(4097,), (301, 223), (64, 3000), (1000, 1001)])
def test_a_sample_is_spread_evenly_over_a_large_tensor(shape):
    size = int(np.prod(shape))
    tensor = np.arange(size, dtype="float32").reshape(shape)
    kept = ops.convert_to_numpy(sampled(ops.convert_to_tensor(tensor)))
    runs = kept.reshape(PIECES, -1)
    np.testing.assert_array_equal(np.diff(runs, axis=1), 1)
    np.testing.assert_array_equal(np.diff(runs[:, 0]), size // PIECES)
    assert kept.size / size == pytest.approx(sampled_share(size))


@pytest.mark.parametrize("size", [4096, 5000, 65_536, 131_072, 10**6, 10**8])
def test_a_sample_has_thousands_of_entries_or_a_share_of_them(size):
    kept = sampled_share(size) * size
    assert max(4096, 0.99 * size / LARGEST_DIVISOR) <= kept + PIECES
    assert kept <= max(4096, size / LARGEST_DIVISOR)


def test_the_norm_of_samples_is_about_the_norm():
    rng = np.random.default_rng(0)
    gradients = [
        rng.normal(0, scale, shape).astype("float32")
        for scale, shape in [(1.0, (400, 300)), (0.1, (7,)), (3.0, (100, 100))]
    ]
    exact = np.sqrt(sum(np.sum(g.astype("float64") ** 2) for g in gradients))
    found = clipping.norm_of_samples([ops.convert_to_tensor(g) for g in gradients])
    assert float(found) == pytest.approx(exact, rel=0.02)


def test_the_norm_of_samples_passes_over_what_is_not_finite():
    gradient = np.ones((100, 100), "float32")
    gradient[0, 0] = np.nan
    gradient[0, 1] = np.inf
    found = clipping.norm_of_samples([ops.convert_to_tensor(gradient)])
    assert float(found) == pytest.approx(100.0, rel=1e-3)

"""What a storage promises of every value: laws, under Hypothesis where there is one."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from keras import ops

from keras_adam.rule import adam as update_rule
from keras_adam.rule.adam import Moments
from keras_adam.storage import BLOCK, STORAGES, largest_magnitudes, random_bits
from keras_adam.storage.float_bits import LARGEST, SMALLEST

LOSSY = ["bfloat16", "8bit"]
NEAREST = {"bfloat16": 2.0**-8, "8bit": 2.0**-4}
BY_CHANCE = {"bfloat16": 2.0**-7, "8bit": 2.0**-3}
"""Relative error of a value in the range of its block, exclusive."""
RANGE = {
    ("bfloat16", "first"): 0.0,
    ("bfloat16", "second"): 0.0,
    ("8bit", "first"): 2.0**-15,
    ("8bit", "second"): 2.0**-31,
}
"""Smallest value that is told apart, as a share of the block's largest."""

shapes = st.sampled_from(
    [(), (1,), (0,), (7,), (128,), (129,), (3, 50), (2, 0), (40, 8)]
)
SPREAD = {"bfloat16": 0.04, "8bit": 0.13}
"""Standard deviation of a stored root of v from the exact one, as a share of it: chance
drives it off by up to a grid step at a time, and it forgets that in 1,000 steps."""

first_values = st.floats(-(2.0**100), 2.0**100, width=32)
second_values = st.floats(0, 2.0**100, width=32)


def arrays(values):
    return shapes.flatmap(lambda shape: hnp.arrays("float32", shape, elements=values))


def round_trip(name, kind, values, seed=None):
    """Values after storing; with a seed they are rounded by chance."""
    storage = STORAGES[name]
    codec = getattr(storage, kind)
    arranged = storage.arrange(ops.convert_to_tensor(values))
    scales = largest_magnitudes(arranged) if codec.has_scales else None
    bits = None
    if seed is not None:
        bits = random_bits(seed, 0, storage.stored_shape(values.shape))
    codes = codec.encode(arranged, scales, bits)
    decoded = storage.restore(codec.decode(codes, scales), values.shape)
    return ops.convert_to_numpy(decoded)


def largest_of_block(name, values):
    """Per entry, the largest magnitude of the block in which it is stored."""
    if name != "8bit":
        return np.abs(values)
    flat = np.abs(values.ravel())
    flat = np.pad(flat, (0, -len(flat) % BLOCK)).reshape(-1, BLOCK)
    largest = np.broadcast_to(flat.max(axis=1, initial=0, keepdims=True), flat.shape)
    return largest.ravel()[: values.size].reshape(values.shape)


def assert_within_bound(name, kind, values, decoded, relative):
    largest = largest_of_block(name, values)
    lost_below = np.maximum(largest * RANGE[name, kind], SMALLEST)
    bound = np.maximum(np.abs(values) * relative, lost_below)
    assert np.all(np.abs(decoded - values) <= bound * (1 + 1e-6))


@pytest.mark.parametrize("seed", [None, 4])
@pytest.mark.parametrize("name", LOSSY)
@given(values=arrays(first_values))
def test_a_first_moment_is_kept_within_the_stated_bound(name, seed, values):
    decoded = round_trip(name, "first", values, seed)
    by_chance = seed is not None and name == "8bit"  # bfloat16 rounds to nearest
    relative = (BY_CHANCE if by_chance else NEAREST)[name]
    assert_within_bound(name, "first", values, decoded, relative)
    assert np.all(decoded[values == 0] == 0)
    assert np.all(np.sign(decoded) * np.sign(values) >= 0)


@pytest.mark.parametrize("seed", [None, 4])
@pytest.mark.parametrize("name", LOSSY)
@given(values=arrays(second_values))
def test_a_second_moment_is_kept_within_the_stated_bound(name, seed, values):
    decoded = round_trip(name, "second", values, seed)
    relative = (NEAREST if seed is None else BY_CHANCE)[name]
    assert_within_bound(name, "second", values, decoded, relative)


@pytest.mark.parametrize("seed", [None, 1])
@pytest.mark.parametrize("name", LOSSY)
@given(values=arrays(second_values))
def test_a_positive_second_moment_never_decodes_to_zero(name, seed, values):
    decoded = round_trip(name, "second", values, seed)
    # Below the smallest normal number processors may read zero, before and after.
    assert np.all(decoded[values >= SMALLEST] >= SMALLEST)
    assert np.all(decoded[values == 0] == 0)


@pytest.mark.parametrize("seed", [None, 9])
@pytest.mark.parametrize("kind", ["first", "second"])
@pytest.mark.parametrize("name", LOSSY)
def test_what_was_stored_has_the_same_codes_again(name, kind, seed):
    codec = getattr(STORAGES[name], kind)
    rng = np.random.default_rng(0)
    values = np.exp(rng.normal(size=(40, BLOCK)) * 4).astype("float32")
    scales = largest_magnitudes(values) if codec.has_scales else None
    bits = None if seed is None else random_bits(seed, 0, values.shape)
    codes = codec.encode(ops.convert_to_tensor(values), scales, bits)
    again = codec.encode(codec.decode(codes, scales), scales, bits)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(again), ops.convert_to_numpy(codes)
    )


@pytest.mark.parametrize(
    ("name", "kind"), [("bfloat16", "second"), ("8bit", "first"), ("8bit", "second")]
)
@pytest.mark.parametrize("value", [1.0, 1.06, 1.9, 3.7e-3, 5.1e5])
def test_the_mean_of_what_is_stored_is_the_value(name, kind, value):
    values = np.full((2048, 128), value, "float32")
    values[:, 0] = value * 7  # the block's largest
    decoded = round_trip(name, kind, values, seed=3)[:, 1:]
    # A grid step of BY_CHANCE, at most half of which is its standard deviation.
    error = BY_CHANCE[name] * value / 2 / math.sqrt(decoded.size)
    assert abs(decoded.mean(dtype="float64") - value) < 5 * error + 1e-6 * value
    assert len(np.unique(decoded)) <= 2


@pytest.mark.parametrize("name", LOSSY)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_leaves_the_rest_of_its_block_alone(name, bad):
    values = np.linspace(0.5, 1, 256).astype("float32")
    values[10] = bad
    for kind in ("first", "second"):
        decoded = round_trip(name, kind, values, seed=1)
        rest = np.arange(256) != 10
        assert np.all(np.isfinite(decoded[rest]))
        # The other block is not touched at all.
        assert_within_bound(name, kind, values[128:], decoded[128:], BY_CHANCE[name])


def test_a_scale_bounds_the_moments_of_its_block():
    """The rule, applied to the largest entries, is a bound at every step."""
    rng = np.random.default_rng(1)
    zeros = ops.zeros((4, BLOCK))
    moments, scales = Moments(zeros, zeros), Moments(zeros[:, :1], zeros[:, :1])
    for step in range(30):
        size = 10.0 ** rng.uniform(-3, 3)
        gradient = (rng.normal(size=(4, BLOCK)) * size).astype("float32")
        gradient = ops.convert_to_tensor(gradient)
        moments = update_rule.update_moments(gradient, moments, 0.9, 0.999)
        scales = update_rule.update_moments(
            largest_magnitudes(gradient), scales, 0.9, 0.999
        )
        for moment, scale in zip(moments[:2], scales[:2], strict=True):
            largest = ops.convert_to_numpy(largest_magnitudes(moment))
            bound = ops.convert_to_numpy(scale)
            assert np.all(largest <= bound * (1 + 1e-5)), step


def store_for_steps(name, gradients, seed=0):
    """Root of the stored v, and of the exact one, after a gradient per step."""
    codecs = STORAGES[name].first, STORAGES[name].second
    shape = gradients[0].shape
    zeros = np.zeros(shape, "float32")
    exact = zeros.astype("float64")
    stored = Moments(zeros, zeros)
    scales = Moments(zeros[:, :1], zeros[:, :1])

    def step(stored, scales, gradient, number):
        updated = update_rule.update_moments(gradient, stored, 0.9, 0.999)
        scales = update_rule.update_moments(
            largest_magnitudes(gradient), scales, 0.9, 0.999
        )
        bits = random_bits(number, seed, shape)
        kept = []
        for codec, moment, scale in zip(codecs, updated[:2], scales[:2], strict=True):
            codes = codec.encode(moment, scale, bits)
            kept.append(codec.decode(codes, scale))
        return Moments(*kept), Moments(*scales[:2])

    compiled = jitted(step)
    for number, gradient in enumerate(gradients):
        stored, scales = compiled(
            stored, scales, ops.convert_to_tensor(gradient), number_tensor(number)
        )
        exact += (gradient.astype("float64") ** 2 - exact) * 0.001
    return np.sqrt(ops.convert_to_numpy(stored.second)), np.sqrt(exact)


def number_tensor(number):
    return ops.convert_to_tensor(number, dtype="int32")


def jitted(function):
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=True, autograph=False)
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    return function


@pytest.mark.parametrize("name", LOSSY)
def test_a_second_moment_does_not_stall_when_gradients_fall(name):
    """Rounded to the nearest, the root is 9.7 times too large after these steps."""
    gradients = [np.ones((8, BLOCK), "float32")] * 1000
    gradients += [np.full((8, BLOCK), 0.1, "float32")] * 7000
    root, exact = store_for_steps(name, gradients)
    assert abs(root.mean() / exact.mean() - 1) < 0.02
    assert np.quantile(np.abs(root / exact - 1), 0.95) < 0.1


@pytest.mark.parametrize("name", LOSSY)
def test_a_small_half_of_a_block_is_kept_beside_a_large_one(name):
    rng = np.random.default_rng(2)
    size = np.where(np.arange(BLOCK) < BLOCK // 2, 1.0, 1e-4)
    gradients = [
        (rng.normal(size=(8, BLOCK)) * size).astype("float32") for _ in range(1500)
    ]
    root, exact = store_for_steps(name, gradients)
    for half in (slice(None, BLOCK // 2), slice(BLOCK // 2, None)):
        ratio = root[:, half] / exact[:, half]
        assert abs(ratio.mean() - 1) < 0.03
        assert ratio.std() < SPREAD[name]


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.9, 0.95), (0.0, 0.5), (0.95, 0.91)])
@given(
    gradients=st.lists(
        st.floats(-1e6, 1e6, width=32, allow_subnormal=False), min_size=1, max_size=30
    )
)
def test_exact_moments_are_within_the_largest_ratio(betas, gradients):
    beta_1, beta_2 = betas
    first = second = 0.0
    for g in gradients:
        first = beta_1 * first + (1 - beta_1) * g
        second = beta_2 * second + (1 - beta_2) * g * g
    moments = Moments(*(ops.convert_to_tensor(np.float32(x)) for x in (first, second)))
    if not 1e-30 < second < 1e30:
        return
    bounded = update_rule.within_largest_ratio(moments, beta_1, beta_2)
    assert float(bounded.first) == pytest.approx(first, rel=1e-5)


@pytest.mark.parametrize(
    ("beta_1", "beta_2", "largest"),
    [(0.9, 0.999, 7.270), (0.9, 0.99, 2.345), (0.9, 0.95, 1.165)],
)
def test_the_largest_ratio_by_hand(beta_1, beta_2, largest):
    moments = Moments(*(ops.convert_to_tensor(np.float32(x)) for x in (-1e4, 4.0)))
    bounded = update_rule.within_largest_ratio(moments, beta_1, beta_2)
    assert float(bounded.first) == pytest.approx(-2 * largest, rel=1e-3)
    assert float(bounded.second) == 4


def test_a_scale_beyond_float32_is_the_largest_number():
    from keras_adam.storage import within_float32

    scales = ops.convert_to_tensor(np.array([[math.inf], [1.0]], "float32"))
    np.testing.assert_array_equal(
        ops.convert_to_numpy(within_float32(scales)), np.float32([[LARGEST], [1.0]])
    )

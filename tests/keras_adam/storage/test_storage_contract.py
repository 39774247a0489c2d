"""What every storage of moments promises, tested for each line of the table.

A storage that is added to `keras_adam.storage.STORAGES` is tested here without a change
to this file.
"""

import logging
import math
import re

import keras
import ml_dtypes
import numpy as np
import pytest
from keras import ops

import keras_adam
from keras_adam.state import packing
from keras_adam.storage import (
    BLOCK,
    LEAST_ENCODED,
    STORAGES,
    MomentStorage,
    largest_magnitudes,
    names_where,
    random_bits,
    within_float32,
)
from keras_adam.storage.float_bits import LARGEST, SMALLEST

NAMES = list(STORAGES)
SCALED = [name for name in NAMES if STORAGES[name].first.has_scales]
EXACT = next(name for name in NAMES if STORAGES[name].is_exact)
KINDS = ["first", "second"]
LARGE = (LEAST_ENCODED // BLOCK, BLOCK)
SHAPES = [(), (1,), (0,), (7,), (BLOCK,), (BLOCK + 1,), (3, 50), (2, 0), (40, 8)]

each_storage = pytest.mark.parametrize("name", NAMES)
each_kind = pytest.mark.parametrize("kind", KINDS)
each_rounding = pytest.mark.parametrize("seed", [None, 4], ids=["nearest", "random"])


def codec_of(name, kind):
    return getattr(STORAGES[name], kind)


def sample_values(codec, kind, *, spread=40, blocks=64, seed=0):
    """Values whose magnitudes differ by up to ``2**spread`` in a block, some zero."""
    rng = np.random.default_rng(seed)
    top = min(100, math.log2(codec.largest) - 1)
    largest = 2.0 ** rng.uniform(spread - 120, top, size=(blocks, 1))
    values = largest * 2.0 ** -rng.uniform(0, spread, size=(blocks, BLOCK))
    values[rng.uniform(size=values.shape) < 0.05] = 0
    if kind == "first":
        values *= rng.choice([-1, 1], size=values.shape)
    return values.astype("float32")


def scales_of(codec, values, factor=1.0):
    """Upper bounds of the blocks' magnitudes; ``None`` where the codec has none."""
    if not codec.has_scales:
        return None
    return largest_magnitudes(ops.convert_to_tensor(values)) * factor


def stored(codec, values, scales, seed=None):
    """Codes of values and what is decoded from them."""
    bits = None if seed is None else random_bits(seed, 0, values.shape)
    codes = codec.encode(ops.convert_to_tensor(values), scales, bits)
    return codes, ops.convert_to_numpy(codec.decode(codes, scales))


def assert_within_declared_error(codec, values, decoded, scales, *, is_random=False):
    steps = 2 if is_random and codec.is_stochastic else 1
    absolute = codec.absolute_error
    if scales is not None:
        # Below the smallest normal number processors may read zero.
        absolute = np.maximum(absolute * ops.convert_to_numpy(scales), SMALLEST)
    bound = np.maximum(steps * codec.relative_error * np.abs(values), absolute)
    assert np.all(np.abs(decoded - values) <= bound * (1 + 1e-6))


# Codecs


@each_rounding
@each_kind
@each_storage
@pytest.mark.parametrize("factor", [1.0, 3.0], ids=["tight scales", "wide scales"])
def test_a_value_comes_back_within_the_declared_error(name, kind, seed, factor):
    codec = codec_of(name, kind)
    values = sample_values(codec, kind)
    scales = scales_of(codec, values, factor)
    _, decoded = stored(codec, values, scales, seed)
    is_random = seed is not None
    assert_within_declared_error(codec, values, decoded, scales, is_random=is_random)
    assert np.all(decoded[values == 0] == 0)
    assert np.all(np.sign(decoded) * np.sign(values) >= 0)


@each_rounding
@each_storage
def test_a_positive_second_moment_never_becomes_zero(name, seed):
    codec = STORAGES[name].second
    values = sample_values(codec, "second", spread=90)
    _, decoded = stored(codec, values, scales_of(codec, values), seed)
    assert np.all(decoded[values >= SMALLEST] >= SMALLEST)
    assert np.all(decoded >= 0)


@each_rounding
@each_kind
@each_storage
def test_a_decoded_value_has_the_same_code_again(name, kind, seed):
    codec = codec_of(name, kind)
    values = sample_values(codec, kind)
    scales = scales_of(codec, values)
    codes, decoded = stored(codec, values, scales, seed)
    again, _ = stored(codec, decoded, scales, seed)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(again), ops.convert_to_numpy(codes)
    )


@each_kind
@each_storage
def test_codes_have_the_declared_dtype_and_the_values_shape(name, kind):
    codec = codec_of(name, kind)
    values = sample_values(codec, kind)
    codes, decoded = stored(codec, values, scales_of(codec, values), 1)
    assert keras.backend.standardize_dtype(codes.dtype) == codec.dtype
    assert tuple(codes.shape) == values.shape
    assert decoded.shape == values.shape
    assert decoded.dtype == np.float32


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@each_storage
def test_a_tensor_is_arranged_and_restored(name, shape):
    storage = STORAGES[name]
    values = np.arange(math.prod(shape), dtype="float32").reshape(shape)
    arranged = storage.arrange(ops.convert_to_tensor(values))
    assert tuple(arranged.shape) == storage.stored_shape(shape)
    restored = ops.convert_to_numpy(storage.restore(arranged, shape))
    np.testing.assert_array_equal(restored, values)
    assert np.sum(ops.convert_to_numpy(arranged)) == np.sum(values)


@each_rounding
@each_kind
@pytest.mark.parametrize("name", SCALED)
def test_scales_bound_what_is_decoded(name, kind, seed):
    codec = codec_of(name, kind)
    values = sample_values(codec, kind, spread=3)
    scales = scales_of(codec, values)
    _, decoded = stored(codec, values, scales, seed)
    bound = ops.convert_to_numpy(scales) * (1 + 2 * codec.relative_error)
    assert np.all(np.abs(decoded) <= bound)


@each_kind
@each_storage
def test_the_mean_of_many_roundings_is_the_value(name, kind):
    codec = codec_of(name, kind)
    for value in (1.0, 1.06, 1.9, 3.7e-3, 5.1e3):
        values = np.full((2048, BLOCK), value, "float32")
        values[:, 0] = value * 7  # The largest of the block.
        scales = scales_of(codec, values)
        _, decoded = stored(codec, values, scales, 3)
        decoded = decoded[:, 1:].astype("float64")
        assert len(np.unique(decoded)) <= 2
        if codec.is_stochastic:
            # The distance of the neighbours, half of which is the largest deviation.
            distance = 2 * codec.relative_error * value
            error = distance / 2 / math.sqrt(decoded.size)
            assert abs(decoded.mean() - value) < 5 * error + 1e-6 * value
        else:
            _, nearest = stored(codec, values, scales)
            np.testing.assert_array_equal(decoded, nearest[:, 1:])


@each_rounding
@each_kind
@each_storage
def test_the_rounding_variance_is_the_mean_square_of_the_error(name, kind, seed):
    codec = codec_of(name, kind)
    rng = np.random.default_rng(0)
    values = (2.0 ** rng.uniform(0, 6, size=(512, BLOCK))).astype("float32")
    _, decoded = stored(codec, values, scales_of(codec, values), seed)
    variance = codec.rounding_variance(ops.convert_to_tensor(decoded))
    expected = np.mean(ops.convert_to_numpy(variance) / values**2)
    found = np.mean(np.square((decoded - values) / values))
    if codec.is_stochastic and seed is None:
        expected /= 2  # Stated for random rounding.
    assert found == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@each_rounding
@each_kind
@each_storage
def test_what_is_not_finite_changes_no_other_entry(name, kind, seed, bad):
    codec = codec_of(name, kind)
    values = sample_values(codec, kind)
    scales = scales_of(codec, values)
    _, clean = stored(codec, values, scales, seed)
    spoilt = values.copy()
    spoilt[:, 10] = bad
    _, decoded = stored(codec, spoilt, scales, seed)
    others = np.arange(BLOCK) != 10
    np.testing.assert_array_equal(decoded[:, others], clean[:, others])
    if codec.codes_are_values:
        np.testing.assert_array_equal(decoded[:, 10], spoilt[:, 10])
    else:
        assert np.all(np.isfinite(decoded))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_scales_are_always_finite(bad):
    values = np.ones((2, BLOCK), "float32")
    values[0, 10] = bad
    scales = ops.convert_to_numpy(largest_magnitudes(ops.convert_to_tensor(values)))
    np.testing.assert_array_equal(scales, [[0], [1]])
    bounded = within_float32(ops.convert_to_tensor(np.float32([[math.inf], [1]])))
    expected = np.float32([[LARGEST], [1]])
    np.testing.assert_array_equal(ops.convert_to_numpy(bounded), expected)


# The table


def test_each_storage_writes_other_arrays():
    """A file does not name its storage: its arrays must tell."""
    written = [
        tuple(
            (codec.dtype, codec.has_scales, storage.stored_shape(LARGE))
            for codec in (storage.first, storage.second)
        )
        for storage in STORAGES.values()
    ]
    assert len(set(written)) == len(written)


@each_storage
def test_declared_fields_agree_with_each_other(name):
    storage = STORAGES[name]
    assert storage.first.has_scales == storage.second.has_scales
    if storage.first.has_scales:
        # Rows and the largest second moment are stored without scales.
        assert not storage.supports_rows
        assert not storage.supports_amsgrad
    # Moments of smaller weights may be parts of shared variables.
    assert storage.least_entries >= packing.SMALL * packing.BESIDE_CONTROLS
    errors = [storage.first.relative_error, storage.second.relative_error]
    assert storage.is_exact == (errors == [0, 0])
    assert storage.supports_custom_rule == storage.is_exact
    assert storage.encodes(LARGE) != storage.is_exact


def test_one_storage_is_exact():
    assert sum(storage.is_exact for storage in STORAGES.values()) == 1


# The optimizer


def make_weights(shape=LARGE):
    return [
        keras.Variable(np.ones(one, "float32"), name=f"weight_{number}")
        for number, one in enumerate((shape, (3,)))
    ]


def built(name, *, steps=0, **options):
    """An optimizer, built and stepped with gradients of many sizes."""
    options = {"jit_compile": False} | options  # Compiling would take the most time.
    optimizer = keras_adam.Adam(0.25, moment_storage=name, **options)
    weights = make_weights()
    optimizer.build(weights)
    rng = np.random.default_rng(7)
    for _ in range(steps):
        gradients = [
            (rng.normal(size=w.shape) * 10.0 ** rng.uniform(-2, 0, size=w.shape))
            for w in weights
        ]
        optimizer.apply(
            [ops.convert_to_tensor(g.astype("float32")) for g in gradients], weights
        )
    return optimizer


def saved(optimizer):
    store = {}
    optimizer.save_own_variables(store)
    return {key: np.array(array) for key, array in store.items()}


def moments_of(optimizer):
    """Both moments of the large weight and then of the small one, in float32."""
    return [
        ops.convert_to_numpy(moment)
        for weight in optimizer._trainable_variables
        for moment in optimizer.read_moments(weight)[:2]
    ]


DOCUMENTED_BYTES = {"float32": 8, "bfloat16": 4, "8bit": 2.0625}
"""Per parameter, as docs/memory.md says."""


def bytes_of(codec):
    scale = 4 / BLOCK if codec.has_scales else 0
    return np.dtype(getattr(ml_dtypes, codec.dtype, codec.dtype)).itemsize + scale


@each_storage
def test_the_state_takes_the_documented_bytes(name):
    storage = STORAGES[name]
    optimizer = keras_adam.Adam(moment_storage=name)
    optimizer.build(make_weights()[:1])
    per_parameter = bytes_of(storage.first) + bytes_of(storage.second)
    assert optimizer.state_bytes == per_parameter * math.prod(LARGE)
    assert per_parameter == DOCUMENTED_BYTES.get(name, per_parameter)


@each_storage
def test_weights_below_the_limit_are_not_encoded(name):
    optimizer = keras_adam.Adam(moment_storage=name)
    size = STORAGES[name].least_entries - 1
    optimizer.build([keras.Variable(np.ones(size, "float32"))])
    assert optimizer.state_bytes == 8 * size


class OtherRule(keras_adam.Adam):
    """Reads moments in a step of its own."""

    def update_step(self, gradient, variable, learning_rate):
        """Do nothing."""


CAPABILITIES = {
    "rows, lazy": (
        lambda one: one.supports_rows,
        lambda **options: keras_adam.Adam(sparse_updates="lazy", **options),
        "sparse_updates='lazy'",
    ),
    "rows, catch_up": (
        lambda one: one.supports_rows,
        lambda **options: keras_adam.Adam(sparse_updates="catch_up", **options),
        "sparse_updates='catch_up'",
    ),
    "amsgrad": (
        lambda one: one.supports_amsgrad,
        lambda **options: keras_adam.Adam(amsgrad=True, **options),
        "amsgrad=True",
    ),
    "custom rule": (
        lambda one: one.supports_custom_rule,
        OtherRule,
        "OtherRule, which overrides update_step",
    ),
}


@pytest.mark.parametrize("capability", CAPABILITIES.values(), ids=CAPABILITIES)
@each_storage
def test_what_a_storage_does_not_support_is_refused(name, capability):
    supports, make, other = capability
    if supports(STORAGES[name]):
        assert make(moment_storage=name).moment_storage == name
        return
    with pytest.raises(ValueError, match=re.escape(other)) as caught:
        make(moment_storage=name)
    assert f'moment_storage="{name}"' in str(caught.value)
    assert f"Use {names_where(supports)}" in str(caught.value)
    assert f'"{name}"' not in names_where(supports)


@pytest.mark.parametrize("option", [{"amsgrad": True}, {"sparse_updates": "lazy"}])
@each_storage
def test_what_is_not_supported_cannot_be_set_later(name, option):
    ((key, value),) = option.items()
    storage = STORAGES[name]
    is_supported = {
        "amsgrad": storage.supports_amsgrad,
        "sparse_updates": storage.supports_rows,
    }[key]
    optimizer = keras_adam.Adam(moment_storage=name)
    before = getattr(optimizer, key)
    if is_supported:
        setattr(optimizer, key, value)
        assert getattr(optimizer, key) == value
        return
    with pytest.raises(ValueError, match="cannot be combined"):
        setattr(optimizer, key, value)
    assert getattr(optimizer, key) == before


@pytest.mark.parametrize("name", [n for n in NAMES if STORAGES[n].supports_amsgrad])
def test_amsgrad_keeps_the_largest_second_moment(name):
    optimizer = built(name, steps=2, amsgrad=True)
    moments = optimizer.read_moments(optimizer._trainable_variables[0])
    second, largest = map(ops.convert_to_numpy, moments[1:])
    share = 4 * STORAGES[name].second.relative_error
    assert np.all(largest >= second * (1 - share))
    assert np.all(largest <= second * (1 + share) + 1e-2)


# Files


@pytest.mark.parametrize("after", NAMES)
@pytest.mark.parametrize("before", NAMES)
def test_a_state_is_loaded_from_every_storage(before, after, caplog):
    optimizer, loaded = built(before, steps=2), built(after)
    store = saved(optimizer)
    with caplog.at_level(logging.INFO, "keras_adam"):
        loaded.load_own_variables(store)
    is_converted = "is converted to" in caplog.text
    assert is_converted == (before != after)
    if before == after:
        for key, array in saved(loaded).items():
            np.testing.assert_array_equal(array, store[key])
        return
    assert f"moment_storage={before!r} and is converted to {after!r}" in caplog.text
    pairs = list(zip(moments_of(optimizer), moments_of(loaded), strict=True))
    for kind, (values, decoded) in zip(KINDS, pairs[:2], strict=True):
        codec = codec_of(after, kind)
        blocks = values.reshape(-1, BLOCK)
        assert_within_declared_error(
            codec, blocks, decoded.reshape(-1, BLOCK), scales_of(codec, blocks)
        )
    for values, decoded in pairs[2:]:
        np.testing.assert_array_equal(decoded, values)  # Small weights: not encoded.


GRADIENT = np.float32([1, -1, 0.5, -0.25, 2**-4, 0, -(2**-6), 2**-8])
FIRST, SECOND = GRADIENT / 2, GRADIENT**2 / 2
SAVED_BY_0_1_0 = {
    "float32": [np.tile(FIRST, (512, 16)), np.tile(SECOND, (512, 16))],
    "bfloat16": [
        np.tile(FIRST, (512, 16)).astype(ml_dtypes.bfloat16),
        np.tile(SECOND, (512, 16)).astype(ml_dtypes.bfloat16),
    ],
    "8bit": [
        np.tile(np.int8([126, -126, 118, -110, 94, 0, -78, 62]), (512, 16)),
        np.full((512, 1), 0.5, "float32"),
        np.tile(np.uint8([254, 254, 238, 222, 190, 0, 158, 126]), (512, 16)),
        np.full((512, 1), 0.5, "float32"),
    ],
}
"""The arrays of the large weight's moments after a step with `GRADIENT`, betas of 0.5
and weights of ``(512, 128)`` and ``(3,)``, as version 0.1.0 has saved them."""


@pytest.mark.parametrize("after", NAMES)
@pytest.mark.parametrize("before", SAVED_BY_0_1_0)
def test_a_file_of_an_earlier_version_is_loaded(before, after):
    arrays = [
        np.array(1),
        np.array(0.25, "float32"),
        *SAVED_BY_0_1_0[before],
        FIRST[:3],
        SECOND[:3],
    ]
    store = {str(number): array for number, array in enumerate(arrays)}
    loaded = built(after)
    loaded.load_own_variables(store)
    first, second, small_first, small_second = moments_of(loaded)
    relative = max(codec_of(after, kind).relative_error for kind in KINDS)
    absolute = codec_of(after, "second").absolute_error
    expected = np.tile(FIRST, (512, 16)), np.tile(SECOND, (512, 16))
    np.testing.assert_allclose(first, expected[0], rtol=relative, atol=absolute)
    np.testing.assert_allclose(second, expected[1], rtol=relative, atol=absolute)
    np.testing.assert_array_equal(small_first, FIRST[:3])
    np.testing.assert_array_equal(small_second, SECOND[:3])
    if after == before:
        again = saved(loaded)
        assert set(again) == set(store)
        for key, array in store.items():
            np.testing.assert_array_equal(again[key], array)


@pytest.mark.parametrize("before", SAVED_BY_0_1_0)
def test_a_step_saves_the_arrays_of_the_earlier_version(before):
    optimizer = keras_adam.Adam(
        0.25, beta_1=0.5, beta_2=0.5, moment_storage=before, jit_compile=False
    )
    weights = make_weights()
    optimizer.build(weights)
    gradients = [np.tile(GRADIENT, (512, 16)), GRADIENT[:3]]
    optimizer.apply([ops.convert_to_tensor(one) for one in gradients], weights)
    arrays = list(saved(optimizer).values())[2:-2]
    for array, expected in zip(arrays, SAVED_BY_0_1_0[before], strict=True):
        assert array.dtype == expected.dtype
        np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize("dtypes", [("float64", "float64"), ("bfloat16", "float32")])
@each_storage
def test_values_in_any_float_dtype_are_loaded_exactly(name, dtypes):
    """Keras's Adam saves each moment in the dtype of its weight."""
    store = saved(built("float32", steps=1))
    for key, dtype in zip("23", dtypes, strict=True):
        store[key] = store[key].astype(getattr(ml_dtypes, dtype, dtype))
    loaded = built(name)
    loaded.load_own_variables(store)
    for kind, key, decoded in zip(KINDS, "23", moments_of(loaded), strict=False):
        values = store[key].astype("float32").reshape(-1, BLOCK)
        codec = codec_of(name, kind)
        assert_within_declared_error(
            codec, values, decoded.reshape(-1, BLOCK), scales_of(codec, values)
        )


def twin(storage):
    """Another storage that writes arrays of the same dtypes and shapes."""
    return MomentStorage(storage.first, storage.second, no_custom_rule_because="-")


@pytest.mark.parametrize("name", SCALED)
def test_another_storage_of_the_same_first_dtype_is_told_apart(
    name, monkeypatch, caplog
):
    other = MomentStorage(STORAGES[name].first, STORAGES[name].first)
    assert other.first.dtype != STORAGES[name].second.dtype
    monkeypatch.setitem(STORAGES, "other", other)
    store = saved(built(name, steps=1))
    with caplog.at_level(logging.INFO, "keras_adam"):
        built(EXACT).load_own_variables(store)
    assert f"moment_storage={name!r} and is converted" in caplog.text
    caplog.clear()
    as_other = store | {"4": store["2"]}
    with caplog.at_level(logging.INFO, "keras_adam"):
        loaded = built(EXACT)
        loaded.load_own_variables(as_other)
    assert "moment_storage='other' and is converted" in caplog.text
    first, second = moments_of(loaded)[:2]
    assert np.any(first < 0)
    assert np.any(second < 0)  # Read as `other` stores it, which has signs.


@pytest.mark.parametrize("name", [name for name in NAMES if name != EXACT])
def test_two_storages_that_write_the_same_arrays_are_not_confused(name, monkeypatch):
    store = saved(built(name, steps=1))
    monkeypatch.setitem(STORAGES, "twin", twin(STORAGES[name]))
    loaded = built(EXACT)
    with pytest.raises(ValueError, match=f"moment_storage={name!r} or 'twin'"):
        loaded.load_own_variables(store)
    assert int(loaded.iterations.numpy()) == 0
    own = built(name)
    own.load_own_variables(store)
    assert int(own.iterations.numpy()) == 1


@pytest.mark.parametrize("name", SCALED)
def test_a_damaged_array_is_named_whatever_the_storage(name):
    store = saved(built(name, steps=1))
    store["4"] = store["4"].astype("int64")
    for after in NAMES:
        loaded = built(after)
        with pytest.raises(ValueError, match=r"variable 4 .*dtype int64"):
            loaded.load_own_variables(store)
        assert int(loaded.iterations.numpy()) == 0

"""Saved states that no training can go on from: refused, and nothing is changed."""

import h5py
import keras
import ml_dtypes
import numpy as np
import pytest

import keras_adam
from keras_adam.storage import LEAST_ENCODED

TABLE = (LEAST_ENCODED // 16, 16)
CATCH_UP = {"sparse_updates": "catch_up"}
ROBUST = keras_adam.adam.ROBUST


def make_weights(shape=(3,), dtype="float32"):
    return [
        keras.Variable(np.ones(shape), dtype=dtype, name=name)
        for name in ("one", "two")
    ]


def built(*, steps=3, shape=(3,), dtype="float32", adam=keras_adam.Adam, **options):
    if adam is keras_adam.Adam:
        options = {"jit_compile": False} | options  # Compiling takes the most time.
    optimizer, weights = adam(0.1, **options), make_weights(shape, dtype)
    optimizer.build(weights)
    gradient = np.ones(shape) * np.linspace(-1, 2, shape[-1])
    gradient = keras.ops.convert_to_tensor(gradient, dtype=dtype)
    for _ in range(steps):
        optimizer.apply([gradient] * 2, weights)
    return optimizer


def stored(optimizer):
    store = {}
    optimizer.save_own_variables(store)
    return {key: np.array(array) for key, array in store.items()}


def with_first_entry(array, value):
    array = np.array(array)
    array[(0,) * array.ndim] = value
    return array


def numbers(optimizer):
    return [keras.ops.convert_to_numpy(v) for v in optimizer.variables]


def assert_refused(optimizer, store, *told):
    before = numbers(optimizer)
    with pytest.raises(ValueError, match="saved optimizer state") as caught:
        optimizer.load_own_variables(store)
    for text in told:
        assert text in str(caught.value)
    for one, other in zip(before, numbers(optimizer), strict=True):
        np.testing.assert_array_equal(one, other)


def number_of(optimizer, variable):
    """Where an optimizer's variable stands in its file."""
    saved = [v for v in optimizer.variables if "clipped_spikes" not in v.path]
    return next(i for i, one in enumerate(saved) if one is variable)


NOT_FINITE = [np.nan, np.inf, -np.inf]


@pytest.mark.parametrize("value", NOT_FINITE)
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("_momentums", {}),
        ("_velocities", {}),
        ("_velocity_hats", {"amsgrad": True}),
        ("_model_variables_moving_average", {"use_ema": True}),
        ("_accumulated_gradients", {"gradient_accumulation_steps": 2}),
        ("_rounding_errors", {"dtype": "bfloat16"}),
        ("_norm_history", ROBUST),
    ],
    ids=str,
)
@pytest.mark.parametrize("is_built", [True, False])
def test_what_is_not_finite_is_refused(name, options, value, is_built):
    optimizer = built(**options)
    variable = getattr(optimizer, name)[1]
    number = number_of(optimizer, variable)
    store = stored(optimizer)
    store[str(number)] = with_first_entry(store[str(number)], value)
    options = {key: v for key, v in options.items() if key != "dtype"}
    loaded = optimizer if is_built else keras_adam.Adam(0.5, **options)
    path = variable.path if is_built else ""
    assert_refused(loaded, store, f"variable {number}", path, str(value))


@pytest.mark.parametrize("value", [*NOT_FINITE, -0.5])
@pytest.mark.parametrize("is_built", [True, False])
def test_what_is_no_learning_rate_is_refused(value, is_built):
    store = stored(built()) | {"1": np.array(value, "float32")}
    loaded = built(steps=1) if is_built else keras_adam.Adam(0.5)
    assert_refused(loaded, store, "learning_rate", str(value))


@pytest.mark.parametrize("value", [-1, 2.5, np.nan, True, "3", 1 + 0j, 2**70])
@pytest.mark.parametrize("is_built", [True, False])
def test_what_is_no_step_count_is_refused(value, is_built):
    store = stored(built()) | {"0": np.array(value)}
    loaded = built(steps=1) if is_built else keras_adam.Adam(0.5)
    assert_refused(loaded, store, "variable 0")


def test_a_whole_step_count_of_any_number_type_is_loaded():
    for count in (np.int32(7), np.uint8(7), np.float64(7)):
        loaded = built(steps=1)
        loaded.load_own_variables(stored(built()) | {"0": np.array(count)})
        assert int(loaded.iterations.numpy()) == 7


@pytest.mark.parametrize("name", ["_velocities", "_velocity_hats"])
def test_a_negative_second_moment_is_refused(name):
    optimizer = built(amsgrad=True)
    variable = getattr(optimizer, name)[1]
    number = number_of(optimizer, variable)
    store = stored(optimizer)
    store[str(number)] = with_first_entry(store[str(number)], -1e-6)
    assert_refused(optimizer, store, variable.path, "second moment", "-1e-06")


@pytest.mark.parametrize("dtype", ["int32", "int64", "bool", "complex64", "S8", "O"])
@pytest.mark.parametrize("number", [2, 3])
def test_moments_of_another_kind_of_dtype_are_refused(dtype, number):
    store = stored(built())
    store[str(number)] = store[str(number)].astype(dtype)
    name = np.dtype(dtype).name
    assert_refused(built(steps=1), store, f"variable {number}", f"dtype {name}")


@pytest.mark.parametrize("dtype", ["bool", "complex64", "S8", "O"])
def test_before_building_other_kinds_of_dtype_are_refused_too(dtype):
    store = stored(built())
    store["3"] = store["3"].astype(dtype)
    assert_refused(keras_adam.Adam(), store, "variable 3", np.dtype(dtype).name)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_moments_of_every_float_dtype_are_loaded(dtype):
    store = stored(built())
    numpy_dtype = {"bfloat16": ml_dtypes.bfloat16}.get(dtype, dtype)
    as_saved = {
        key: array if key in "01" else array.astype(numpy_dtype)
        for key, array in store.items()
    }
    loaded = built(steps=0)
    loaded.load_own_variables(as_saved)
    np.testing.assert_allclose(
        numbers(loaded)[3], store["3"].astype("float32"), rtol=1e-2
    )


@pytest.mark.parametrize("storage", ["float32", "bfloat16", "8bit"])
@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_large_moments_of_another_float_dtype_are_converted(storage, dtype):
    shape = (LEAST_ENCODED,)
    store = stored(built(steps=1, shape=shape))
    as_saved = {
        key: array if key in "01" else array.astype(dtype)
        for key, array in store.items()
    }
    loaded = built(steps=0, shape=shape, moment_storage=storage)
    loaded.load_own_variables(as_saved)
    entries = loaded.read_entries(loaded._trainable_variables[0], 1)
    np.testing.assert_allclose(entries.first, store["2"], rtol=0.07, atol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, -1.0])
@pytest.mark.parametrize("storage", ["bfloat16", "8bit"])
def test_conversion_does_not_hide_what_is_wrong(storage, bad):
    store = stored(built(steps=1, shape=(LEAST_ENCODED,)))
    store["3"] = with_first_entry(store["3"], bad)
    loaded = built(steps=0, shape=(LEAST_ENCODED,), moment_storage=storage)
    assert_refused(loaded, store, "variable 3", str(bad))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_the_scales_of_8_bit_moments_obey_a_law(bad):
    optimizer = built(steps=1, shape=(LEAST_ENCODED,), moment_storage="8bit")
    store = stored(optimizer)
    assert store["3"].shape == (LEAST_ENCODED // 128, 1)
    store["3"] = with_first_entry(store["3"], bad)
    assert_refused(optimizer, store, "variable 3", "momentum_scale", str(bad))


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("bad", [-1, 0.5])
def test_last_steps_are_whole_numbers_of_at_least_0(bad):
    import tensorflow as tf

    optimizer, tables = keras_adam.Adam(0.1, **CATCH_UP), make_weights(TABLE)[:1]
    optimizer.build(tables)
    for row in (0, 1, 2):
        rows = tf.IndexedSlices(tf.ones((1, TABLE[1])), [row], TABLE)
        optimizer.apply([rows], tables)
    store = stored(optimizer)
    assert list(store["4"][:4]) == [1, 2, 3, 0]
    store["4"] = with_first_entry(store["4"].astype("float64"), bad)
    assert_refused(optimizer, store, "variable 4", "last_step", str(bad))


@pytest.mark.parametrize("bad", [-1.0, np.nan])
@pytest.mark.parametrize("name", ["peak_rate", "log_variance", "count"])
def test_controls_obey_a_law(name, bad):
    optimizer = built(**ROBUST)
    variable = next(v for v in optimizer.variables if v.path.endswith(name))
    store = stored(optimizer)
    store[str(number_of(optimizer, variable))] = np.array(bad, "float32")
    assert_refused(optimizer, store, name, str(bad))


def test_the_rate_multiplier_may_be_below_one_but_not_nan():
    optimizer = built(**ROBUST)
    variable = optimizer._log_rate_multiplier
    number = str(number_of(optimizer, variable))
    store = stored(optimizer) | {number: np.array(-2.0, "float32")}
    optimizer.load_own_variables(store)
    assert optimizer.rate_multiplier == pytest.approx(np.exp(-2.0))
    store[number] = np.array(np.nan, "float32")
    assert_refused(optimizer, store, "log_rate_multiplier", "nan")


@pytest.mark.parametrize("is_built", [True, False])
def test_a_state_with_a_hole_is_refused(is_built):
    store = stored(built())
    store["x"] = store.pop("3")
    loaded = built(steps=1) if is_built else keras_adam.Adam()
    assert_refused(loaded, store, "none of the numbers 3")


def test_what_a_float32_cannot_hold_is_refused():
    store = stored(built())
    store["3"] = with_first_entry(store["3"].astype("float64"), 1e300)
    assert_refused(built(steps=1), store, "1e+300", "too large for float32")


@pytest.mark.parametrize("adam", [keras_adam.Adam, keras.optimizers.Adam])
def test_a_state_that_a_nan_gradient_has_spoilt_is_refused(adam):
    optimizer = built(adam=adam)
    weights = optimizer._trainable_variables
    optimizer.apply([keras.ops.full((3,), np.nan)] * 2, weights)
    told = ("nan", "new optimizer", "compile=False")
    assert_refused(built(steps=1), stored(optimizer), *told)


@pytest.mark.parametrize("how", ["load_model", "load_weights", "before building"])
def test_every_way_into_a_model_refuses(how, tmp_path):
    def make_model():
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="d")])
        model.compile(keras_adam.Adam(0.1), "mse")
        return model

    model, path = make_model(), tmp_path / "model.weights.h5"
    x = np.ones((4, 2), "float32")
    model.fit(x, x[:, :1], verbose=0)
    if how == "load_model":
        model.optimizer._momentums[0].assign([[np.nan], [0]])
        model.save(tmp_path / "model.keras")
        with pytest.raises(ValueError, match=r"d_kernel_momentum'.* holds nan"):
            keras.models.load_model(tmp_path / "model.keras")
        return
    model.save_weights(path)
    with h5py.File(path, "r+") as file:
        file["optimizer/vars/2"][0] = np.nan
    loaded = make_model()
    if how == "load_weights":
        loaded.optimizer.build(loaded.trainable_variables)
    with pytest.raises(ValueError, match=r"variable 2.* holds nan"):
        loaded.load_weights(path)
    assert int(loaded.optimizer.iterations.numpy()) == 0

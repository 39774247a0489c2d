"""Weights of unusual dtypes and shapes, and weights that are listed twice."""

import logging

import keras
import numpy as np
import pytest
from keras import ops
from training import to_numpy

import keras_adam

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
INTEGERS = ("int8", "uint8", "int16", "int32", "bool")
REFUSED = ("complex64", "float8_e4m3fn", "float8_e5m2")


def counter_and_kernel(dtype):
    """A counter that `add_weight` has left trainable, beside a weight."""
    return [
        keras.Variable(np.ones((3, 2), "float32"), name="kernel"),
        keras.Variable(np.ones(2), dtype=dtype, name="counter"),
    ]


def train(optimizer, variables, steps=3):
    optimizer.build(variables)
    for step in range(steps):
        gradients = [np.full((3, 2), step + 1.0, "float32"), None]
        optimizer.apply(gradients, variables)
    optimizer.finalize_variable_values(variables)


class Saved:
    """The variables that an optimizer saves, by number."""

    def __init__(self, optimizer):
        self.arrays = {}
        optimizer.save_own_variables(self.arrays)


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize(
    "options",
    [{}, {"use_ema": True, "ema_overwrite_frequency": 2}, {"skip_nonfinite": True}],
    ids=str,
)
def test_integers_and_bools_among_the_weights_stay_as_they_are(dtype, options):
    ours, theirs = counter_and_kernel(dtype), counter_and_kernel(dtype)
    keras_options = {k: v for k, v in options.items() if k != "skip_nonfinite"}
    train(keras_adam.Adam(0.1, **options), ours)
    train(keras.optimizers.Adam(0.1, **keras_options), theirs)
    np.testing.assert_array_equal(to_numpy(ours)[1], np.ones(2))
    np.testing.assert_allclose(to_numpy(ours)[0], to_numpy(theirs)[0], rtol=1e-6)


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
@pytest.mark.parametrize("dtype", ["int32", "bool"])
@pytest.mark.parametrize("options", [{}, {"use_ema": True}], ids=str)
def test_files_with_integers_go_both_ways(dtype, options):
    """Keras compares nothing but the number of arrays, and trains on from zero."""
    for one, other in (
        (keras_adam.Adam, keras.optimizers.Adam),
        (keras.optimizers.Adam, keras_adam.Adam),
    ):
        source, target = counter_and_kernel(dtype), counter_and_kernel(dtype)
        saved, loaded = one(0.1, **options), other(0.1, **options)
        train(saved, source)
        loaded.build(target)
        arrays = Saved(saved).arrays
        assert len(arrays) == len(loaded.variables)
        loaded.load_own_variables(arrays)
        for weight, value in zip(target, to_numpy(source), strict=True):
            weight.assign(value)
        train(saved, source, steps=1)
        train(loaded, target, steps=1)
        for mine, theirs in zip(to_numpy(source), to_numpy(target), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["int32", "bool"])
def test_a_gradient_of_an_integer_weight_is_refused_by_name(dtype):
    variables = counter_and_kernel(dtype)
    gradients = [np.ones((3, 2), "float32"), np.ones(2, "float32")]
    with pytest.raises(ValueError, match=rf"counter.*{dtype}"):
        keras_adam.Adam().apply(gradients, variables)


@pytest.mark.parametrize("dtype", REFUSED)
@pytest.mark.parametrize("options", [{}, {"use_ema": True}], ids=str)
def test_a_dtype_that_no_step_is_computed_in_is_refused_by_name(dtype, options):
    weight = keras.Variable(np.ones(2, "float32"), name="kernel")
    try:
        odd = keras.Variable(
            lambda shape, dtype: ops.cast(ops.ones(shape), dtype),
            shape=(2,),
            dtype=dtype,
            name="odd",
        )
    except (TypeError, ValueError):
        pytest.skip(f"no variable of {dtype} on this backend")
    with pytest.raises(ValueError, match=f"'odd' has dtype {dtype}"):
        keras_adam.Adam(**options).build([weight, odd])


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("shape", [[None], [None, 2], None], ids=str)
@pytest.mark.parametrize("call", ["build", "apply"])
def test_a_weight_of_undefined_shape_is_refused_by_name(shape, call):
    import tensorflow as tf

    value = tf.zeros([3] * (2 if shape == [None, 2] else 1))
    if shape == [None, 2]:
        value = value[:, :2]
    weight = tf.Variable(value, shape=tf.TensorShape(shape), name="ragged")
    optimizer = keras_adam.Adam()
    arguments = {"build": ([weight],), "apply": ([tf.zeros_like(value)], [weight])}
    with pytest.raises(ValueError, match=r"'ragged.*undefined shape"):
        getattr(optimizer, call)(*arguments[call])


def shared_and_own(size):
    rng = np.random.default_rng(3)
    return [
        keras.Variable(rng.normal(size=(size, 2)).astype("float32"), name=name)
        for name in ("encoder", "decoder")
    ]


def modes():
    return ("eager", "graph", "XLA") if ON_TENSORFLOW else ("eager",)


@pytest.mark.parametrize("mode", modes())
@pytest.mark.parametrize("builds_first", [True, False])
@pytest.mark.parametrize(
    ("size", "options"),
    [
        (3, {}),
        (3, {"gradient_accumulation_steps": 2}),
        (40_000, {}),
        (40_000, {"use_ema": True}),
        (40_000, {"skip_nonfinite": True}),
        (600_000, {}),
    ],
    ids=str,
)
def test_gradients_of_a_weight_that_is_listed_twice_are_summed(
    size, options, builds_first, mode, caplog
):
    """`encoder.trainable_variables + autoencoder.trainable_variables`."""
    rng = np.random.default_rng(1)
    parts = [rng.normal(size=(3, size, 2)).astype("float32") for _ in range(2)]
    (encoder, decoder), expected = shared_and_own(size), shared_and_own(size)
    repeated = [encoder, encoder, decoder]
    optimizer = keras_adam.Adam(0.1, **options)
    reference = keras_adam.Adam(0.1, **options)
    if builds_first:
        optimizer.build(repeated)

    def step(*gradients):
        optimizer.apply(gradients, repeated)

    if mode != "eager":
        import tensorflow as tf

        optimizer.build(repeated)
        step = tf.function(step, jit_compile=mode == "XLA")
    with caplog.at_level(logging.WARNING):
        for _ in range(4):
            step(*map(ops.convert_to_tensor, (parts[0][0], parts[0][1], parts[1][0])))
            summed = parts[0][0] + parts[0][1]
            reference.apply([summed, parts[1][0]], expected)
    for weight, other in zip((encoder, decoder), expected, strict=True):
        np.testing.assert_allclose(weight.numpy(), other.numpy(), rtol=1e-6, atol=1e-6)
    messages = [r.message for r in caplog.records if "more than once" in r.message]
    assert len(messages) == 1
    assert "'encoder'" in messages[0]


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("sparse_updates", ["dense", "lazy"])
def test_rows_and_missing_gradients_of_a_weight_listed_twice_are_summed(sparse_updates):
    import tensorflow as tf

    table, _ = shared_and_own(40_000)
    start = table.numpy()
    rows = tf.IndexedSlices(tf.ones((2, 2)), tf.constant([1, 2]), (40_000, 2))
    more = tf.IndexedSlices(tf.ones((1, 2)), tf.constant([2]), (40_000, 2))
    optimizer = keras_adam.Adam(0.1, beta_1=0.0, sparse_updates=sparse_updates)
    optimizer.apply([rows, None, more], [table, table, table])
    moved = table.numpy() - start
    np.testing.assert_allclose(moved[1:3], -0.1, rtol=1e-4)
    np.testing.assert_array_equal(moved[3:], 0)
    second = optimizer.read_moments(table).second.numpy()[1:3, 0]
    np.testing.assert_allclose(second, [0.001, 0.004], rtol=1e-3)


@pytest.mark.tensorflow_only
def test_rows_of_different_form_are_summed():
    import tensorflow as tf

    table, _ = shared_and_own(40_000)
    start = table.numpy()
    forms = [
        tf.IndexedSlices(tf.ones((1, 2)), tf.constant([3], "int64")),
        tf.IndexedSlices(tf.ones((1, 2, 2)), tf.constant([[1, 2]], "int32")),
    ]
    optimizer = keras_adam.Adam(0.1, sparse_updates="lazy")
    optimizer.apply(forms, [table, table])
    moved = table.numpy() - start
    np.testing.assert_allclose(moved[1:4], -0.1, rtol=1e-4)
    np.testing.assert_array_equal(moved[4:], 0)


@pytest.mark.tensorflow_only
def test_a_weight_listed_twice_is_stepped_once_on_each_replica(two_replicas):
    import tensorflow as tf

    def moved(places):
        with two_replicas.scope():
            weight = keras.Variable(np.zeros(2, "float32"))
            optimizer = keras_adam.Adam(0.1, beta_1=0.0, epsilon=1.0)
            optimizer.build([weight] * places)

        def step_on_replica():
            gradients = [tf.fill((2,), 1.0 / places) for _ in range(places)]
            optimizer.apply(gradients, [weight] * places)

        @tf.function
        def step():
            two_replicas.run(step_on_replica)

        step()
        return weight.numpy()

    np.testing.assert_allclose(moved(2), moved(1), rtol=1e-6)

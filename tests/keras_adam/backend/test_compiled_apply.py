"""When the update is compiled, how often it is traced, and what is said if not."""

import logging

import keras
import numpy as np
import pytest

import keras_adam

pytestmark = pytest.mark.tensorflow_only


@pytest.fixture
def weights():
    return [
        keras.Variable(np.ones((3, 2), "float32"), name="kernel"),
        keras.Variable(np.ones((2,), "float32"), name="bias"),
    ]


def gradients():
    import tensorflow as tf

    return [tf.ones((3, 2)), tf.ones((2,))]


@pytest.mark.parametrize(
    ("options", "assigned_outside"),
    [
        ({}, 3),
        ({"global_clipnorm": 1.0}, 3),
        ({"skip_nonfinite": True}, 1),
        ({"use_ema": True}, 1),
        ({"clipnorm": 1.0}, 1),
    ],
    ids=str,
)
def test_the_update_is_one_compiled_call(weights, options, assigned_outside):
    import tensorflow as tf

    optimizer = keras_adam.Adam(**options)
    optimizer.build(weights)
    step = tf.function(lambda g: optimizer.apply(g, weights))
    graph = step.get_concrete_function(gradients()).graph
    compiled = [
        op
        for op in graph.get_operations()
        if op.type in {"PartitionedCall", "StatefulPartitionedCall"}
        and op.get_attr("_XlaMustCompile")
    ]
    assert len(compiled) == 1
    assigned = [op for op in graph.get_operations() if op.type == "AssignVariableOp"]
    # The step count always; small weights where nothing in the call reads them after.
    assert len(assigned) == assigned_outside


def test_nothing_is_traced_again(weights):
    optimizer = keras_adam.Adam(0.1)
    for _ in range(2):
        optimizer.apply(gradients(), weights)
    optimizer.learning_rate = 0.01
    optimizer.apply(gradients(), weights)
    assert optimizer.trace_count == 1


def test_a_second_fit_traces_nothing():
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
    model.compile(keras_adam.Adam(), "mse")
    data = np.ones((8, 3), "float32"), np.ones((8, 1), "float32")
    for _ in range(2):
        model.fit(*data, batch_size=4, verbose=0)
    assert model.optimizer.trace_count == 1


def test_weights_without_a_gradient_get_an_update_of_their_own(weights):
    optimizer = keras_adam.Adam(0.1)
    optimizer.build(weights)
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        optimizer.apply([gradients()[0], None], weights)
    np.testing.assert_array_equal(weights[1].numpy(), 1)
    assert np.all(weights[0].numpy() < 1)
    optimizer.apply(gradients(), weights)
    assert np.all(weights[1].numpy() < 1)


def test_false_never_compiles(weights):
    optimizer = keras_adam.Adam(jit_compile=False)
    optimizer.apply(gradients(), weights)
    assert optimizer.trace_count == 0


@pytest.mark.parametrize("called_from", ["CPU:0", "CPU:1"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_weights_are_updated_wherever_they_live(called_from, dtype):
    import tensorflow as tf

    with tf.device("CPU:1"):
        weight = keras.Variable([1.0, 2.0], dtype=dtype)
        optimizer = keras_adam.Adam(0.5)
        optimizer.build([weight])
    with tf.device(called_from):
        optimizer.apply([tf.ones((2,), weight.dtype)], [weight])
    values = tf.cast(weight.value, "float32").numpy()
    np.testing.assert_allclose(values, [0.5, 1.5], atol=1e-2)


def test_an_option_set_between_steps_counts(weights):
    optimizer = keras_adam.Adam(0.1)
    optimizer.apply(gradients(), weights)
    optimizer.weight_decay = 0.5
    optimizer.apply(gradients(), weights)
    # 0.9 after the first step; then 0.9·(1 - 0.1·0.5) - 0.1
    np.testing.assert_allclose(weights[1].numpy(), 0.755, rtol=1e-4)
    assert optimizer.trace_count == 2


def test_changing_sets_of_gradients_do_not_compile_without_end(caplog):
    import itertools

    import tensorflow as tf

    weights = [keras.Variable(np.ones(1, "float32")) for _ in range(5)]
    optimizer = keras_adam.Adam(0.01)
    optimizer.build(weights)
    for present in itertools.product([True, False], repeat=5):
        if any(present):
            some = [w for w, there in zip(weights, present, strict=True) if there]
            optimizer.apply([tf.ones((1,))] * len(some), some)
    assert optimizer.trace_count == 16
    told = [r for r in caplog.records if "16 programs" in r.getMessage()]
    assert len(told) == 1
    # Each weight had 16 of the 31 steps; Adam's step is the rate, whoever ran it.
    assert all(np.all(w.numpy() < 0.9) for w in weights)


def test_gradients_of_other_types_are_not_traced_again(weights):
    import tensorflow as tf

    optimizer = keras_adam.Adam(0.1)
    for kind in (
        tf.constant,
        lambda g: np.asarray(g, "float64"),
        lambda g: np.asarray(g, "int32"),
    ):
        optimizer.apply([kind(g.numpy()) for g in gradients()], weights)
    assert optimizer.trace_count == 1


def test_a_gradient_of_unknown_rank_is_taken(weights):
    import tensorflow as tf

    optimizer = keras_adam.Adam(0.1)
    optimizer.build(weights)
    step = tf.function(
        lambda g: optimizer.apply([g, None], weights),
        input_signature=[tf.TensorSpec(None, "float32")],
    )
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        step(gradients()[0])
    np.testing.assert_allclose(weights[0].numpy(), 0.9, rtol=1e-5)


def test_one_device_strategy_is_compiled():
    import tensorflow as tf

    with tf.distribute.OneDeviceStrategy("CPU:1").scope():
        weight = keras.Variable([1.0])
        optimizer = keras_adam.Adam(0.1, jit_compile=True)
        optimizer.build([weight])
    optimizer.apply([tf.ones((1,))], [weight])
    np.testing.assert_allclose(weight.numpy(), [0.9], rtol=1e-5)
    assert optimizer.trace_count == 1


def test_two_devices_are_told_once_or_refused(caplog):
    import tensorflow as tf

    weights = []
    for device in ("CPU:0", "CPU:1"):
        with tf.device(device):
            weights.append(keras.Variable(np.ones((2,), "float32")))
    same = [tf.ones((2,))] * 2
    optimizer = keras_adam.Adam(0.1)
    with caplog.at_level(logging.WARNING, logger="keras_adam"):
        for _ in range(3):
            optimizer.apply(same, weights)
    told = [r for r in caplog.records if "without XLA" in r.getMessage()]
    assert len(told) == 1
    assert "2 devices" in told[0].getMessage()
    np.testing.assert_allclose(weights[1].numpy(), 0.7, rtol=1e-4)
    with pytest.raises(ValueError, match="jit_compile=True, but"):
        keras_adam.Adam(jit_compile=True).apply(same, weights)

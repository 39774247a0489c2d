"""Small weights that share a pack train, show and save as if each were alone."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import KERAS_TRAJECTORY
from training import (
    OPTIONS,
    SHAPES,
    make_gradients,
    make_weights,
    modes,
    train,
)

import keras_adam
from keras_adam.state import packing

pytestmark = pytest.mark.tensorflow_only


def weights_of(*shapes):
    return [keras.Variable(w) for w in make_weights(shapes=shapes)]


def built(*shapes, **options):
    weights = weights_of(*shapes)
    optimizer = keras_adam.Adam(**options)
    optimizer.build(weights)
    return optimizer, weights


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("mode", modes())
def test_weights_alone_train_as_weights_in_packs(options, mode, monkeypatch):
    gradients = make_gradients(8)
    packed = train(keras_adam.Adam(**options), make_weights(), gradients, mode)
    monkeypatch.setattr(packing, "SMALL", 0)
    optimizer = keras_adam.Adam(**options)
    alone = train(optimizer, make_weights(), gradients, mode)
    assert not optimizer._state.packing.packs
    for one, other in zip(packed, alone, strict=True):
        np.testing.assert_allclose(
            one, other, atol=KERAS_TRAJECTORY, rtol=KERAS_TRAJECTORY
        )


@pytest.mark.parametrize("mode", modes())
def test_large_and_small_weights_train_together_as_in_keras(mode):
    shapes = ((300, 300), *[(4, 3), (3,)] * 10, (), (70_000,))
    weights, gradients = make_weights(shapes=shapes), make_gradients(5, shapes=shapes)
    ours = train(keras_adam.Adam(0.01), weights, gradients, mode)
    keras_own = train(keras.optimizers.Adam(0.01), weights, gradients, mode)
    for one, other in zip(ours, keras_own, strict=True):
        np.testing.assert_allclose(
            one, other, atol=KERAS_TRAJECTORY, rtol=KERAS_TRAJECTORY
        )


@pytest.mark.parametrize("amsgrad", [False, True])
def test_variables_are_those_of_keras(amsgrad):
    import tensorflow as tf

    optimizers = []
    for make in (keras_adam.Adam, keras.optimizers.Adam):
        weights = [
            keras.Variable(w, name=f"w{i}") for i, w in enumerate(make_weights())
        ]
        optimizer = make(0.01, amsgrad=amsgrad, name="adam")
        for gradients in make_gradients(3):
            optimizer.apply([tf.constant(g) for g in gradients], weights)
        optimizers.append(optimizer)
    ours, keras_own = (optimizer.variables for optimizer in optimizers)
    assert [v.path for v in ours] == [v.path for v in keras_own]
    for one, other in zip(ours, keras_own, strict=True):
        assert tuple(one.shape) == tuple(other.shape)
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-5, atol=1e-7)


def test_stored_variables_are_packs_and_what_is_on_its_own():
    optimizer, _ = built((2, 3), (3,), (300, 300))
    assert len(optimizer.variables) == 2 + 6
    stored = optimizer.stored_variables
    assert len(stored) == 2 + 2 + 2
    assert sum(np.prod(v.shape) for v in stored) == sum(
        np.prod(v.shape) for v in optimizer.variables
    )


def test_a_view_assigns_its_own_entries():
    optimizer, _ = built(*SHAPES)
    for number, view in enumerate(optimizer._momentums):
        view.assign(np.full(view.shape, number))
    optimizer.assign(optimizer._momentums[0], np.full((5, 3), 9))
    values = [view.numpy() for view in optimizer._momentums]
    for value, expected in zip(values, (9, 1, 2, 3), strict=True):
        np.testing.assert_array_equal(value, np.full(value.shape, expected))
    assert all(not np.any(view.numpy()) for view in optimizer._velocities)


def test_a_weight_without_a_gradient_keeps_weight_and_moments():
    import tensorflow as tf

    optimizer, weights = built((2, 3), (3,), (4,))
    every = [tf.ones(w.shape) for w in weights]
    optimizer.apply(every, weights)
    before = [v.numpy() for v in (weights[1], *optimizer.variables[4:6])]
    optimizer.apply([every[0], every[2]], [weights[0], weights[2]])
    after = [v.numpy() for v in (weights[1], *optimizer.variables[4:6])]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(optimizer._momentums[2].numpy(), 0.19, rtol=1e-5)


def test_what_differs_shares_no_pack():
    import tensorflow as tf

    with tf.device("CPU:1"):
        elsewhere = weights_of((2,), (2,))
    weights = [
        *weights_of((2,), (2,), (400, 400)),
        *[keras.Variable(np.ones(2), dtype="float64") for _ in range(2)],
        *[keras.Variable(np.ones(2), dtype="bfloat16") for _ in range(2)],
        *elsewhere,
        *[keras.Variable(np.ones(2, "float32"), name=f"bias{i}") for i in range(2)],
    ]
    optimizer = keras_adam.Adam(weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.build(weights)
    found = {pack.indices for pack in optimizer._state.packing.packs}
    assert found == {(0, 1), (3, 4), (7, 8), (9, 10)}


def test_a_pack_holds_at_most_64_weights():
    optimizer, _ = built(*[(2, 2), (2,)] * 70)
    assert [len(pack.indices) for pack in optimizer._state.packing.packs] == [64, 6] * 2


def test_a_subclass_with_a_rule_of_its_own_finds_moments_of_each_weight():
    import tensorflow as tf

    class Signs(keras_adam.Adam):
        def update_step(self, gradient, variable, learning_rate):
            momentum = self._momentums[self._get_variable_index(variable)]
            self.assign_add(momentum, gradient)
            self.assign_sub(variable, learning_rate * tf.sign(gradient))

    weights = weights_of((2,), (3,))
    before = [w.numpy() for w in weights]
    optimizer = Signs(0.5)
    optimizer.apply([tf.ones((2,)), tf.ones((3,))], weights)
    assert not optimizer._state.packing.packs
    for weight, value in zip(weights, before, strict=True):
        np.testing.assert_allclose(weight.numpy(), value - 0.5, rtol=1e-6)


def test_a_step_touches_few_variables_beside_the_weights():
    import tensorflow as tf

    optimizer, weights = built(*[(4, 4), (4,)] * 60)
    step = tf.function(lambda g: optimizer.apply(g, weights))
    graph = step.get_concrete_function([tf.ones(w.shape) for w in weights]).graph
    packs = len(optimizer._state.packing.packs)
    # Both moments of each pack, the step count and the rate.
    assert len(graph.captures) == len(weights) + 2 * packs + 2


def test_a_saved_model_is_written(tmp_path):
    import tensorflow as tf

    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
    model.compile(keras_adam.Adam(), "mse")
    model.fit(np.ones((8, 3)), np.ones((8, 1)), verbose=0)
    tf.saved_model.save(model, str(tmp_path / "saved"))
    again = tf.saved_model.load(str(tmp_path / "saved"))
    np.testing.assert_allclose(
        again.signatures["serving_default"](tf.ones((1, 3)))["output_0"],
        model.predict(np.ones((1, 3)), verbose=0),
        rtol=1e-6,
    )


@settings(max_examples=50)
@given(
    shapes=st.lists(st.lists(st.integers(1, 4), max_size=3), min_size=2, max_size=6),
    absent=st.sets(st.integers(0, 5)),
)
def test_splitting_undoes_joining(shapes, absent):
    values = dict(enumerate(make_weights(shapes=shapes)))
    weights = [keras.Variable(value) for value in values.values()]
    for pack in packing.plan_packs(weights, [None] * len(weights)):
        given_ = {i: values[i] for i in pack.indices if i not in absent}
        parts = pack.split(pack.join(given_))
        assert list(parts) == list(pack.indices)
        for index, part in parts.items():
            expected = given_.get(index, np.zeros_like(values[index]))
            np.testing.assert_array_equal(part.numpy(), expected)

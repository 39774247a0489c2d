"""Large weights are stepped by programs of their own, and as if they were not."""

import keras
import numpy as np
import pytest
from tolerances import KERAS_TRAJECTORY
from training import (
    OPTIONS,
    make_gradients,
    make_weights,
    modes,
    quick_parameters,
    train,
)

import keras_adam
from keras_adam.state import packing
from keras_adam.step import plan

SIDE = 256
SHAPES = ((SIDE, SIDE), (5, 3), (SIDE, SIDE), (3,), (2, SIDE, SIDE))
"""Weights on their own, between small ones."""

CONTROLS = {
    "a guard against spikes": {"spike_guard": 3.0},
    "steps that are skipped": {"skip_nonfinite": True},
    "any rate": {"rate_cap": 0.002, "rate_adaptation": 0.2},
    "any rate, clipped together": {"rate_adaptation": 0.2, "global_clipnorm": 0.5},
}


@pytest.fixture
def weights_of_own_program(monkeypatch):
    """As if the weights on their own were large; those of a test stay quick."""
    assert SIDE * SIDE >= packing.SMALL
    monkeypatch.setattr(plan, "LARGE", SIDE * SIDE)


ALL = {**OPTIONS, **CONTROLS}


@pytest.mark.parametrize("options", quick_parameters(ALL))
def test_they_train_as_in_one_program(options, monkeypatch):
    compare_with_one_program(options, modes()[0], monkeypatch)


@pytest.mark.parametrize("mode", modes()[1:])
def test_they_train_as_in_one_program_however_it_is_called(mode, monkeypatch):
    options = CONTROLS["any rate, clipped together"]
    compare_with_one_program(options, mode, monkeypatch)


def compare_with_one_program(options, mode, monkeypatch):
    weights = make_weights(shapes=SHAPES)
    gradients = make_gradients(5, shapes=SHAPES)
    together = train(keras_adam.Adam(**options), weights, gradients, mode)
    monkeypatch.setattr(plan, "LARGE", SIDE * SIDE)
    apart = train(keras_adam.Adam(**options), weights, gradients, mode)
    assert_close(together, apart)


def assert_close(some, others):
    for one, other in zip(some, others, strict=True):
        np.testing.assert_allclose(
            one, other, atol=KERAS_TRAJECTORY, rtol=KERAS_TRAJECTORY
        )


def compiled_calls(optimizer, shapes=SHAPES):
    import tensorflow as tf

    weights = [keras.Variable(w) for w in make_weights(shapes=shapes)]
    optimizer.build(weights)
    step = tf.function(lambda g: optimizer.apply(g, weights))
    graph = step.get_concrete_function([tf.zeros(shape) for shape in shapes]).graph
    return [
        op
        for op in graph.get_operations()
        if op.type in {"PartitionedCall", "StatefulPartitionedCall"}
        and op.get_attr("_XlaMustCompile")
    ]


@pytest.mark.tensorflow_only
@pytest.mark.usefixtures("weights_of_own_program")
def test_no_program_waits_for_more_than_one_large_gradient():
    calls = compiled_calls(keras_adam.Adam())
    large = [
        sum(np.prod(tensor.shape or (1,)) >= SIDE * SIDE for tensor in call.inputs)
        for call in calls
    ]
    assert sorted(large) == [0, 1, 1, 1]


@pytest.mark.tensorflow_only
@pytest.mark.usefixtures("weights_of_own_program")
def test_weights_of_one_shape_share_a_program():
    calls = compiled_calls(keras_adam.Adam())
    assert len({call.get_attr("f").name for call in calls}) == 3


@pytest.mark.usefixtures("weights_of_own_program")
def test_a_rule_of_ones_own_steps_them_too():
    class Halving(keras_adam.Adam):
        def update_step(self, gradient, variable, learning_rate):
            self.assign(variable, 0.5 * variable)

    weights = make_weights(shapes=SHAPES)
    (gradients,) = make_gradients(1, shapes=SHAPES)
    for before, after in zip(
        weights, train(Halving(), weights, [gradients]), strict=True
    ):
        np.testing.assert_array_equal(after, 0.5 * before)


def test_a_weight_that_is_large_as_released_trains_as_in_keras():
    shapes = ((1024, plan.LARGE // 1024), (3,))
    weights, gradients = make_weights(shapes=shapes), make_gradients(3, shapes=shapes)
    ours = train(keras_adam.Adam(0.01), weights, gradients)
    assert_close(ours, train(keras.optimizers.Adam(0.01), weights, gradients))

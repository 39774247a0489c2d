"""Trajectories for the tests: fixed weights and gradients, any optimizer."""

import keras
import numpy as np
import pytest
from keras import ops

SHAPES = ((5, 3), (3,), (), (2, 1, 4))

OPTIONS = {
    "defaults": {},
    "a large rate": {"learning_rate": 0.05},
    "other betas and epsilon": {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3},
    "beta_1 of zero": {"beta_1": 0.0},
    "amsgrad": {"amsgrad": True},
    "weight decay": {"weight_decay": 0.01},
    "clipnorm": {"clipnorm": 0.5},
    "clipvalue": {"clipvalue": 0.3},
    "global clipnorm": {"global_clipnorm": 0.5},
    "moving average": {"use_ema": True, "ema_momentum": 0.9},
    "moving average that overwrites": {
        "use_ema": True,
        "ema_momentum": 0.9,
        "ema_overwrite_frequency": 4,
    },
    "loss scale": {"loss_scale_factor": 8.0},
    "accumulation": {"gradient_accumulation_steps": 3},
}


def quick_parameters(options):
    """Options as parameters of a test, those of accumulation for TensorFlow alone.

    Without a compiled step JAX compiles the condition of an accumulated step anew each
    time, which takes a second. `test_adam.py` has it once under JAX, too.
    """
    return [
        pytest.param(
            value,
            id=name,
            marks=pytest.mark.tensorflow_only
            if "gradient_accumulation_steps" in value
            else (),
        )
        for name, value in options.items()
    ]


def make_weights(seed=0, shapes=SHAPES):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype("float32") for shape in shapes]


def make_gradients(steps, seed=1, shapes=SHAPES):
    rng = np.random.default_rng(seed)
    # Sizes over six decades, as the layers of a network have them.
    scale = 10.0 ** rng.uniform(-4, 2, size=len(shapes))
    return [
        [
            (rng.normal(size=shape) * size).astype("float32")
            for shape, size in zip(shapes, scale, strict=True)
        ]
        for _ in range(steps)
    ]


def to_numpy(variables):
    return [ops.convert_to_numpy(variable.value) for variable in variables]


def norms(arrays):
    return [float(np.linalg.norm(array)) for array in arrays]


def train(optimizer, weights, gradients_per_step, mode="eager", dtype="float32"):
    """Weights after all steps and after what `fit` does at its end."""
    variables = [
        keras.Variable(weight, dtype=dtype, name=f"weight_{i}")
        for i, weight in enumerate(weights)
    ]
    optimizer.build(variables)
    step = _step_function(optimizer, variables, mode)
    for gradients in gradients_per_step:
        step([ops.convert_to_tensor(g, dtype=dtype) for g in gradients])
    optimizer.finalize_variable_values(variables)
    return to_numpy(variables)


def _step_function(optimizer, variables, mode):
    def step(gradients):
        optimizer.apply(gradients, variables)

    if mode == "eager":
        return step
    if mode == "stateless":
        return lambda gradients: _apply_stateless(optimizer, variables, gradients)
    import tensorflow as tf

    return tf.function(step, jit_compile=mode == "XLA")


def _apply_stateless(optimizer, variables, gradients):
    import jax

    if not hasattr(optimizer, "compiled_for_tests"):
        optimizer.compiled_for_tests = jax.jit(optimizer.stateless_apply)
    weights, state = optimizer.compiled_for_tests(
        [v.value for v in optimizer.variables],
        gradients,
        [v.value for v in variables],
    )
    for variable, value in zip(variables, weights, strict=True):
        variable.assign(value)
    for variable, value in zip(optimizer.variables, state, strict=True):
        variable.assign(value)


def modes():
    """How a step can be run on the present backend."""
    return {
        "tensorflow": ("eager", "graph", "XLA"),
        "jax": ("eager", "stateless"),
        "torch": ("eager",),
    }[keras.backend.backend()]

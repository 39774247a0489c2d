"""The contenders: our Adam, Keras's, TensorFlow's, torch's and optax's."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.step.cases import CASES, Shapes, Table

# Torch gets a thread per core, as the other libraries do by default.
CORES = os.cpu_count() or 1


def _gradients(shapes: Shapes) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape).astype("float32") * 1e-2 for shape in shapes]


def _as_arguments(gradients: list[Any]) -> tuple[list[Any], Callable]:
    """Few arguments that hold many gradients, and a function that splits them again.

    Calling a ``tf.function`` with 400 tensors costs 4 ms. In training the gradients
    come from the same graph, so this cost does not belong to a step.
    """
    import tensorflow as tf

    small = [i for i, g in enumerate(gradients) if np.size(g) < 65_536]
    large = [tf.constant(g) for i, g in enumerate(gradients) if i not in small]
    if not small:
        return large, list
    flat = tf.concat([tf.reshape(gradients[i], [-1]) for i in small], 0)

    def restore(arguments: list[Any]) -> list[Any]:
        parts = tf.split(arguments[0], [np.size(gradients[i]) for i in small])
        rest = list(arguments[1:])
        return [
            tf.reshape(parts.pop(0), np.shape(gradient)) if i in small else rest.pop(0)
            for i, gradient in enumerate(gradients)
        ]

    return [flat, *large], restore


def _keras_step(adam: str, mode: str, shapes: Shapes, **options: Any) -> Callable:
    import keras
    import tensorflow as tf

    import keras_adam

    variables = [keras.Variable(np.zeros(s, "float32")) for s in shapes]
    gradients = _gradients(shapes)
    if adam == "ours":
        optimizer = keras_adam.Adam(1e-3, **options)
    else:
        optimizer = keras.optimizers.Adam(1e-3)
    optimizer.build(variables)

    arguments, restore = [tf.constant(g) for g in gradients], list
    if mode != "eager":
        arguments, restore = _as_arguments(gradients)

    def step(arguments: list[Any]) -> None:
        optimizer.apply(restore(arguments), variables)

    run = step
    if mode != "eager":
        run = tf.function(step, jit_compile=mode == "XLA", autograph=False)

    def call() -> None:
        run(arguments)
        # Reading one entry waits for the step: TensorFlow may return before its end.
        optimizer.iterations.numpy()

    return call


def _resource_apply_step(shapes: Shapes) -> Callable:
    import tensorflow as tf

    weights, first, second = (
        [tf.Variable(tf.zeros(s)) for s in shapes] for _ in range(3)
    )
    arguments, restore = _as_arguments(_gradients(shapes))
    step_count = tf.Variable(1.0)

    @tf.function(autograph=False)
    def step(arguments: list[Any]) -> None:
        gradients = restore(arguments)
        for w, m, v, g in zip(weights, first, second, gradients, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=w.handle,
                m=m.handle,
                v=v.handle,
                beta1_power=0.9**step_count,
                beta2_power=0.999**step_count,
                lr=1e-3,
                beta1=0.9,
                beta2=0.999,
                epsilon=1e-7,
                grad=g,
            )
        step_count.assign_add(1.0)

    def call() -> None:
        step(arguments)
        step_count.numpy()

    return call


def _torch_step(kind: str, shapes: Shapes) -> Callable:
    import torch

    torch.set_num_threads(CORES)
    weights = [torch.zeros(s, requires_grad=True) for s in shapes]
    for weight, gradient in zip(weights, _gradients(shapes), strict=True):
        weight.grad = torch.from_numpy(gradient)
    optimizer = torch.optim.Adam(weights, lr=1e-3, eps=1e-7, **{kind: True})
    return optimizer.step


def _optax_step(shapes: Shapes) -> Callable:
    import jax
    import jax.numpy as jnp
    import optax

    optimizer = optax.adam(1e-3, eps=1e-7)
    weights = [jnp.zeros(s) for s in shapes]
    gradients = [jnp.asarray(g) for g in _gradients(shapes)]
    held = [weights, optimizer.init(weights)]

    def step(gradients: list[Any], weights: list[Any], state: Any) -> Any:
        updates, state = optimizer.update(gradients, state, weights)
        return optax.apply_updates(weights, updates), state

    compiled = jax.jit(step, donate_argnums=(1, 2))

    def call() -> None:
        held[:] = compiled(gradients, *held)
        jax.block_until_ready(held)

    return call


def _rows_step(adam: str, table: Table) -> Callable:
    """Keras's Adam or ours; ``adam`` is "keras" or a value of ``sparse_updates``."""
    import keras
    import tensorflow as tf

    import keras_adam

    variable = keras.Variable(np.zeros((table.rows, table.width), "float32"))
    if adam == "keras":
        optimizer = keras.optimizers.Adam(1e-3)
    else:
        optimizer = keras_adam.Adam(1e-3, sparse_updates=adam)
    optimizer.build([variable])
    values, ids = map(tf.constant, table.gradient())

    @tf.function(autograph=False)
    def step(values: Any, ids: Any) -> None:
        shape = tf.constant([table.rows, table.width])
        optimizer.apply([tf.IndexedSlices(values, ids, shape)], [variable])

    def call() -> None:
        step(values, ids)
        optimizer.iterations.numpy()

    return call


def _torch_rows_step(table: Table) -> Callable:
    import torch

    torch.set_num_threads(CORES)
    weight = torch.zeros((table.rows, table.width), requires_grad=True)
    values, ids = map(torch.from_numpy, table.gradient())
    optimizer = torch.optim.SparseAdam([weight], lr=1e-3, eps=1e-7)

    def call() -> None:
        # A new gradient for every step, as in training: the optimizer coalesces it.
        weight.grad = torch.sparse_coo_tensor(ids[None].long(), values, weight.shape)
        optimizer.step()

    return call


CONTENDERS: dict[str, Callable[[Shapes], Callable]] = {
    "keras": lambda s: _keras_step("keras", "graph", s),
    "ours": lambda s: _keras_step("ours", "graph", s),
    "ours, bfloat16": lambda s: _keras_step(
        "ours", "graph", s, moment_storage="bfloat16"
    ),
    "ours, 8bit": lambda s: _keras_step("ours", "graph", s, moment_storage="8bit"),
    "ours, robust": lambda s: _keras_step(
        "ours", "graph", s, rate_cap=0.003, rate_adaptation=0.2
    ),
    "ours, spike guard": lambda s: _keras_step("ours", "graph", s, spike_guard=5.0),
    "ours, one pass": lambda s: _keras_step("ours", "graph", s),
    "keras, outer XLA": lambda s: _keras_step("keras", "XLA", s),
    "ours, outer XLA": lambda s: _keras_step("ours", "XLA", s),
    "keras, eager": lambda s: _keras_step("keras", "eager", s),
    "ours, eager": lambda s: _keras_step("ours", "eager", s),
    "ResourceApplyAdam": _resource_apply_step,
    "torch fused": lambda s: _torch_step("fused", s),
    "torch foreach": lambda s: _torch_step("foreach", s),
    "optax jit": _optax_step,
}

CONTENDERS_BY_ROWS: dict[str, Callable[[Table], Callable]] = {
    "keras": lambda t: _rows_step("keras", t),
    "ours": lambda t: _rows_step("dense", t),
    "ours, lazy": lambda t: _rows_step("lazy", t),
    "ours, catch_up": lambda t: _rows_step("catch_up", t),
    "torch SparseAdam": _torch_rows_step,
}

NEEDED_PACKAGE = {
    "torch SparseAdam": "torch",
    "torch fused": "torch",
    "torch foreach": "torch",
    "optax jit": "optax",
}


NEEDED_ENVIRONMENT = {
    "ours, one pass": {
        "XLA_FLAGS": "--xla_backend_extra_options=xla_cpu_use_multi_output_fusion=true"
    }
}
"""Environment variables that must be set before a contender's process starts."""


def contenders_of(case: str) -> list[str]:
    """The contenders that can run a case."""
    by_rows = isinstance(CASES[case], Table)
    return list(CONTENDERS_BY_ROWS if by_rows else CONTENDERS)


def step_of(case: str, contender: str) -> Callable:
    """A function that takes one step of a case at each call."""
    what = CASES[case]
    if isinstance(what, Table):
        return CONTENDERS_BY_ROWS[contender](what)
    return CONTENDERS[contender](what)

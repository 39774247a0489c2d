"""A training epoch and a validation, as functions to be traced.

Both loop over Keras's own steps, on data that are on the device already.
`tuning.trainers.compiled_epochs` decides whether XLA compiles them and when they run.
TensorFlow only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tuning.trainers.data_order import evaluation_batch

STATEFUL_RANDOM_OPS = frozenset(
    {
        "Multinomial",
        "NonDeterministicInts",
        "ParameterizedTruncatedNormal",
        "RandomGamma",
        "RandomGammaGrad",
        "RandomPoisson",
        "RandomPoissonV2",
        "RandomShuffle",
        "RandomStandardNormal",
        "RandomUniform",
        "RandomUniformInt",
        "TruncatedNormal",
    }
)
"""Operations behind ``tf.random.normal`` and similar functions: they count their calls
internally, in no variable that could be reset. Source:
https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/ops/random_ops.cc
"""


ANY_ROWS = (
    tf.TensorSpec([None, None], tf.int32),
    tf.TensorSpec([], tf.int32),
    tf.TensorSpec([None], tf.int32),
)
"""Shapes and types of what `batches` returns, for any batch size."""


CONVOLUTIONS = frozenset(
    {
        "Conv2D",  # also Keras's one-dimensional ones
        "Conv2DBackpropInput",
        "Conv3D",
        "Conv3DBackpropInputV2",
        "DepthwiseConv2dNative",
    }
)
"""Operations that are fast on CPUs in TensorFlow and slow in XLA."""


def training_epoch(
    model: Any, parts: Any, matrix: Any, loops: Any, last: Any
) -> tuple[Mapping[str, Any], Any]:
    """Take a training step on every batch.

    Shapes:
        parts: arrays of [examples, ...]; matrix: [batches, batch] rows of full batches;
        loops: how many of them to take; last: [1 ... batch] rows.

    Returns:
        The logs of the last step, as ``fit`` has them, and the mean loss that was
        reported after each step: [batches + 1] float32, zeros after the last.
    """
    model.reset_metrics()
    means = tf.TensorArray(tf.float32, size=tf.shape(matrix)[0] + 1, element_shape=())

    def take_rows(rows: Any) -> Any:
        return model.train_step(_gather(parts, rows))

    if last.shape[0] is None:
        # One trace of the step for the loop and for the last batch.
        take_rows = tf.function(
            take_rows, autograph=False, input_signature=[ANY_ROWS[-1]]
        )

    def take_batch(step: Any, means: Any) -> tuple[Any, Any]:
        logs = take_rows(matrix[step])
        return step + 1, means.write(step, _mean_loss(logs))

    _, means = tf.while_loop(
        lambda step, _: step < loops, take_batch, (tf.constant(0), means)
    )
    logs = take_rows(last)
    return logs, means.write(loops, _mean_loss(logs)).stack()


def validation(model: Any, parts: Any) -> Mapping[str, Any]:
    """The logs of the validation's last step, as ``evaluate`` has them.

    If all batches have one size, no step follows the loop, so there is half as much to
    compile.
    """
    examples = int(tf.nest.flatten(parts)[0].shape[0])
    size = evaluation_batch(examples)
    full = examples // size
    matrix = tf.reshape(tf.range(full * size), (full, size))

    @tf.function(autograph=False)
    def take_rows(rows: Any) -> Any:
        return model.test_step(_gather(parts, rows))

    def take_batch(step: Any, _: Any) -> tuple[Any, Any]:
        return step + 1, take_rows(matrix[step])

    model.reset_metrics()
    # tf.while_loop needs initial logs of the right structure.
    traced = take_rows.get_concrete_function(tf.TensorSpec([size], tf.int32))
    logs = tf.nest.map_structure(
        lambda spec: tf.zeros(spec.shape, spec.dtype), traced.structured_outputs
    )
    _, logs = tf.while_loop(
        lambda step, _: step < full, take_batch, (tf.constant(0), logs)
    )
    rest = tf.range(full * size, examples)
    return take_rows(rest) if examples % size else logs


def _gather(parts: Any, rows: Any) -> Any:
    """The rows of every array."""
    return tf.nest.map_structure(lambda array: tf.gather(array, rows), parts)


def batches(order: np.ndarray, size: int) -> tuple[np.ndarray, Any, np.ndarray]:
    """Rows of all batches but the last, the number of these batches, rows of the last.

    If there is only one batch, the matrix has one row that is never used: XLA refuses
    to index an empty matrix, even in a loop that never runs.
    """
    loops = -(-len(order) // size) - 1
    rows = order.astype(np.int32)
    matrix = rows[: loops * size].reshape(loops, size)
    if not loops:
        matrix = np.zeros((1, size), np.int32)
    return matrix, np.int32(loops), rows[loops * size :]


def convolves(traced: Any) -> bool:
    """Whether a traced function has convolutions in it."""
    return bool(_operations(traced) & CONVOLUTIONS)


def check_random_numbers(traced: Any) -> None:
    """Check that a second run would draw the same random numbers as the first.

    Raises:
        ValueError: the function draws from a generator that cannot be reset.
    """
    drawn = _operations(traced) & STATEFUL_RANDOM_OPS
    if drawn:
        raise ValueError(
            f"training draws random numbers by {sorted(drawn)}, which no seed resets "
            "between runs (tf.random does; use keras.random with a "
            "keras.random.SeedGenerator)"
        )


def _mean_loss(logs: Mapping[str, Any]) -> Any:
    """The reported loss; NaN if the user's own ``train_step`` reports none."""
    return tf.cast(logs.get("loss", math.nan), tf.float32)


def _operations(traced: Any) -> set[str]:
    """Names of all operations in a traced function and in those that it calls."""
    graph = traced.graph.as_graph_def()
    bodies = (graph.node, *(function.node_def for function in graph.library.function))
    return {node.op for body in bodies for node in body}

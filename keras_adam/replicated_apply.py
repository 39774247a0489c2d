"""The update under ``tf.distribute``: gradients summed, every replica stepped alike.

Keras clips each replica's gradient before the sum and asks for a cross-replica
context inside a condition, which a strategy does not allow. Here the sum comes first
and everything else (clipping, accumulation, averages) is done once per device, on
that device's copy of the variables: the replicas stay equal, and equal to one device
on the same global batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_adam.compiled_apply import native_variable


def is_replicated() -> bool:
    """Whether a ``tf.distribute`` strategy is in force."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf  # Absent where another backend is at work.

    return tf.distribute.has_strategy()


def apply_on_each_replica(
    update: Callable[[Sequence[Any], Any], None],
    gradients: Sequence[Any],
    learning_rate: Any,
    variable: Any,
) -> None:
    """Sum the gradients over all replicas and call ``update`` once per device.

    Args:
        update: called as ``update(gradients, learning_rate)``; variables that it
            reads or assigns are the device's own copies.
        gradients: this replica's, tensors or ``IndexedSlices``.
        learning_rate: scalar tensor.
        variable: any variable of the update; it tells which devices take part.

    Raises:
        RuntimeError: called outside ``strategy.run``.
    """
    import tensorflow as tf  # Only ever called on the TensorFlow backend.

    context = tf.distribute.get_replica_context()
    if context is None:
        raise RuntimeError(
            "apply() was called under a tf.distribute strategy but outside "
            "strategy.run, where no replica's gradients exist. Call it inside the "
            "function that is given to strategy.run."
        )
    summed = context.all_reduce(tf.distribute.ReduceOp.SUM, list(gradients))

    def update_devices(strategy: Any, summed: Any, learning_rate: Any) -> None:
        strategy.extended.update(
            native_variable(variable),
            lambda _, summed, learning_rate: update(summed, learning_rate),
            args=(summed, learning_rate),
            group=False,
        )

    tf.__internal__.distribute.interim.maybe_merge_call(
        update_devices, context.strategy, summed, learning_rate
    )

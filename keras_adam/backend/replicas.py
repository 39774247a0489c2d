"""The update under ``tf.distribute``: gradients summed, every replica stepped alike.

Keras clips each replica's gradient before the sum and asks for a cross-replica
context inside a condition, which a strategy does not allow. Here the sum comes first.
Everything else (clipping, accumulation, averages) is done once per device, on that
device's copy of the variables. So all replicas stay equal, and equal to one device that
trains on the same global batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from keras_adam.backend.executors import Update, run_here
from keras_adam.backend.variables import native_variable


class ReplicaExecutor:
    """Runs updates once per device of a ``tf.distribute`` strategy.

    Args:
        refuse: called with the reason why updates are not compiled.
    """

    def __init__(self, refuse: Callable[[str], None]) -> None:
        self._refuse = refuse

    def run(self, update: Update, gradients: Sequence[Any], learning_rate: Any) -> None:
        """Sum the gradients over all replicas and run the update once per device.

        Outside of the strategy's scope the gradients are those of all replicas already.

        Args:
            update: reads and assigns the device's own copies of variables.
            gradients: this replica's, tensors or ``IndexedSlices``.
            learning_rate: scalar tensor.

        Raises:
            RuntimeError: called inside the strategy's scope but outside
                ``strategy.run``.
            ValueError: ``jit_compile=True``, which a strategy does not allow.
        """
        import tensorflow as tf  # Only ever called on the TensorFlow backend.

        self._refuse("XLA does not run inside tf.distribute")
        variable = native_variable(update.variables()[0])

        def update_devices(strategy: Any, gradients: Any, learning_rate: Any) -> None:
            strategy.extended.update(
                variable,
                lambda _, gradients, learning_rate: update(
                    gradients, learning_rate, run_here
                ),
                args=(gradients, learning_rate),
                group=False,
            )

        if not tf.distribute.has_strategy():
            # One gradient for all replicas: there is nothing to sum.
            strategy = variable.distribute_strategy
            with strategy.scope():
                update_devices(strategy, list(gradients), learning_rate)
            return
        context = tf.distribute.get_replica_context()
        if context is None:
            raise RuntimeError(
                "apply() was called under a tf.distribute strategy but outside "
                "strategy.run, where no replica's gradients exist. Call it inside the "
                "function that is given to strategy.run."
            )
        summed = context.all_reduce(tf.distribute.ReduceOp.SUM, list(gradients))
        tf.__internal__.distribute.interim.maybe_merge_call(
            update_devices, context.strategy, summed, learning_rate
        )

"""A whole update as one XLA computation, on the TensorFlow backend.

Keras compiles the optimizer only together with the model, and by default not at all
on CPU, under a strategy, or with layers that XLA does not know. The update itself is
always compilable, so it is compiled on its own: about forty graph nodes per variable
become one call. Inside a train step that is compiled anyway it is simply inlined.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import keras

from keras_adam.placement import native_variable

logger = logging.getLogger(__name__)

Update = Callable[[Sequence[Any], Any], None]

MOST_PROGRAMS = 16
"""Programs kept per optimizer. Each set of weights that has gradients needs one; a
model that switches between more sets than this would compile without end."""


class CompiledApply:
    """Calls an update, compiled by XLA where that is possible.

    Args:
        jit_compile: ``"auto"`` compiles where possible and says once in the log why
            not; ``True`` raises instead; ``False`` never compiles.
    """

    def __init__(self, jit_compile: bool | str) -> None:
        self._jit_compile = jit_compile
        self._functions: dict[Hashable, Callable] = {}
        self._told: set[str] = set()
        self.trace_count = 0
        """How often an update was traced and compiled, for tests of retracing."""

    def __call__(
        self,
        update: Update,
        gradients: Sequence[Any],
        learning_rate: Any,
        variables: Sequence[Any],
        key: Hashable,
    ) -> None:
        """Run ``update(gradients, learning_rate)``.

        Args:
            update: assigns variables, returns nothing.
            gradients: dense tensors.
            learning_rate: scalar tensor.
            variables: what ``update`` reads and assigns, to see where they live.
            key: tells apart updates of different variables or with other constants;
                the same key must always come with the same ``update``.

        Raises:
            ValueError: ``jit_compile=True`` and the update cannot be compiled.
        """
        if self._jit_compile is False or keras.backend.backend() != "tensorflow":
            # JAX compiles the update with the caller's train step; torch never does.
            update(gradients, learning_rate)
            return
        devices = {native_variable(v).device for v in variables}
        if len(devices) > 1:
            places = sorted(devices)
            self.refuse(f"its variables live on {len(devices)} devices: {places}")
        elif key not in self._functions and len(self._functions) >= MOST_PROGRAMS:
            self.refuse(
                f"{MOST_PROGRAMS} programs have been compiled for as many sets of "
                "weights with a gradient"
            )
        else:
            self._run_compiled(update, gradients, learning_rate, devices.pop(), key)
            return
        update(gradients, learning_rate)

    def _run_compiled(
        self,
        update: Update,
        gradients: Sequence[Any],
        learning_rate: Any,
        device: str,
        key: Hashable,
    ) -> None:
        import tensorflow as tf  # Absent where another backend is at work.

        if key not in self._functions:
            self._functions[key] = self._compile(update)
        # XLA reaches variables of the device it runs on, and of no other.
        with tf.device(device):
            self._functions[key](gradients, learning_rate)

    def _compile(self, update: Update) -> Callable:
        import tensorflow as tf  # Absent where another backend is at work.

        def counted(gradients: Sequence[Any], learning_rate: Any) -> None:
            self.trace_count += 1  # Python runs only while tracing.
            update(gradients, learning_rate)

        return tf.function(counted, jit_compile=True, autograph=False)

    def refuse(self, reason: str) -> None:
        """Take note that an update runs uncompiled, and why.

        Raises:
            ValueError: ``jit_compile=True`` rules that out.
        """
        if self._jit_compile is True:
            raise ValueError(
                f"jit_compile=True, but the update cannot be compiled: {reason}. "
                'Use jit_compile="auto" to compile only where that is possible.'
            )
        if self._jit_compile == "auto" and reason not in self._told:
            logger.warning("The update runs without XLA: %s.", reason)
            self._told.add(reason)

"""A whole update as one XLA computation, on the TensorFlow backend.

Keras compiles the optimizer only together with the model, and by default not at all
on CPU, under a strategy, or with layers that XLA does not know. The update itself is
always compilable, so it is compiled on its own: about forty graph nodes per variable
become one call. Inside a train step that is compiled anyway it is simply inlined.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import keras

logger = logging.getLogger(__name__)

Update = Callable[[Sequence[Any], Any], None]


def native_variable(variable: Any) -> Any:
    """The backend's own variable behind a Keras variable, or the one given."""
    return variable.value if isinstance(variable, keras.Variable) else variable


class CompiledApply:
    """Calls an update, compiled by XLA where that is possible.

    Args:
        jit_compile: ``"auto"`` compiles where possible and says once in the log why
            not; ``True`` raises instead; ``False`` never compiles.
    """

    def __init__(self, jit_compile: bool | str) -> None:
        self._jit_compile = jit_compile
        self._functions: dict[Hashable, Callable] = {}
        self._has_told = False
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
            variables: what ``update`` assigns, to see where they live.
            key: tells apart updates of different variables; the same key must
                always come with the same ``update``.

        Raises:
            ValueError: ``jit_compile=True`` and the update cannot be compiled.
        """
        reason = self._reason_not_to_compile(variables)
        if reason:
            self._tell(reason)
            update(gradients, learning_rate)
            return
        if key not in self._functions:
            self._functions[key] = self._compile(update)
        self._functions[key](gradients, learning_rate)

    def run_uncompiled(self, reason: str) -> None:
        """Take note that the caller runs an update itself, and why.

        Raises:
            ValueError: ``jit_compile=True`` rules that out.
        """
        if self._jit_compile is not False:
            self._tell(reason)

    def _compile(self, update: Update) -> Callable:
        import tensorflow as tf  # Absent where another backend is at work.

        def counted(gradients: Sequence[Any], learning_rate: Any) -> None:
            self.trace_count += 1  # Python runs only while tracing.
            update(gradients, learning_rate)

        return tf.function(counted, jit_compile=True, autograph=False)

    def _reason_not_to_compile(self, variables: Sequence[Any]) -> str:
        if self._jit_compile is False or keras.backend.backend() != "tensorflow":
            # JAX compiles the update with the caller's train step; torch never does.
            return "not asked for"
        devices = {native_variable(v).device for v in variables}
        if len(devices) > 1:
            return f"the variables live on {len(devices)} devices: {sorted(devices)}"
        return ""

    def _tell(self, reason: str) -> None:
        if reason == "not asked for":
            return
        if self._jit_compile is True:
            raise ValueError(
                f"jit_compile=True, but the update cannot be compiled: {reason}. "
                'Use jit_compile="auto" to compile only where that is possible.'
            )
        if not self._has_told:
            logger.warning("The update runs without XLA: %s.", reason)
            self._has_told = True


def outside_of_graphs() -> contextlib.AbstractContextManager:
    """Where variables can be created although a graph is being traced."""
    if keras.backend.backend() != "tensorflow":
        return contextlib.nullcontext()
    import tensorflow as tf  # Absent where another backend is at work.

    return tf.init_scope()

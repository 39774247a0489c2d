"""A function that only reads variables, compiled as each backend does."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_adam.backend.variables import is_replicated, native_variable

logger = logging.getLogger(__name__)


def compiled_reading(
    function: Callable[[], Any], variables: Sequence[Any], *, with_xla: bool
) -> Callable[[], Any]:
    """The function, compiled; each call reads the present values of the variables.

    Args:
        function: returns new tensors, in any structure, and assigns nothing.
        variables: all that it reads.
        with_xla: whether XLA compiles it on TensorFlow, if that is possible.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return _of_tensorflow(function, variables, with_xla)
    if backend == "jax":
        import jax  # May be missing on other backends.

        def with_values(values: Sequence[Any]) -> Any:
            # A value read while tracing would become a constant of the program.
            mapping = list(zip(variables, values, strict=True))
            with keras.StatelessScope(state_mapping=mapping):
                return function()

        compiled = jax.jit(with_values)
        return lambda: compiled([variable.value for variable in variables])
    if backend == "torch":
        import torch  # pyright: ignore[reportMissingImports]

        return torch.no_grad()(function)
    return function


def _of_tensorflow(
    function: Callable[[], Any], variables: Sequence[Any], with_xla: bool
) -> Callable[[], Any]:
    import tensorflow as tf  # May be missing on other backends.

    graph = tf.function(function, autograph=False)
    devices = {native_variable(variable).device for variable in variables}
    if not with_xla or len(devices) > 1 or any(map(is_replicated, variables)):
        return graph
    program = tf.function(function, autograph=False, jit_compile=True)
    try:
        program()
    except tf.errors.OpError as error:
        logger.info(
            "Telemetry is read without XLA, because it cannot compile the reading: %s",
            error,
        )
        return graph
    return program

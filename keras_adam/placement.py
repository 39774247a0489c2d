"""Where variables live: on which device, in which graph, under which strategy."""

from __future__ import annotations

import contextlib
from typing import Any

import keras


def native_variable(variable: Any) -> Any:
    """The backend's own variable behind a Keras variable, or the one given."""
    return variable.value if isinstance(variable, keras.Variable) else variable


def read(variable: Any) -> Any:
    """The variable's value now, as a tensor that later assignments do not change.

    `keras.ops.convert_to_tensor` returns the variable itself on TensorFlow.
    """
    native = native_variable(variable)
    return native.read_value() if hasattr(native, "read_value") else native


def is_replicated(variable: Any) -> bool:
    """Whether the variable is one of several copies under ``tf.distribute``."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf  # Absent where another backend is at work.

    return isinstance(native_variable(variable), tf.distribute.DistributedValues)


def outside_of_graphs() -> contextlib.AbstractContextManager:
    """Where variables can be created although a graph is being traced."""
    if keras.backend.backend() != "tensorflow":
        return contextlib.nullcontext()
    import tensorflow as tf  # Absent where another backend is at work.

    return tf.init_scope()


def colocated_with(variable: Any) -> contextlib.AbstractContextManager:
    """Where new variables land on the given one's devices."""
    if keras.backend.backend() != "tensorflow":
        return contextlib.nullcontext()
    import tensorflow as tf  # Absent where another backend is at work.

    extended = tf.distribute.get_strategy().extended
    return extended.colocate_vars_with(native_variable(variable))

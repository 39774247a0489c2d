"""Where variables live: on which device, in which graph, under which strategy."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras

_stand_ins: contextvars.ContextVar[Mapping[int, Any] | None] = contextvars.ContextVar(
    "stand_ins", default=None
)


@contextlib.contextmanager
def standing_in(variables: Sequence[Any], stand_ins: Sequence[Any]) -> Iterator[None]:
    """A context that reads and assigns other backend variables in place of these.

    Args:
        variables: variables of the backend.
        stand_ins: one for each of them.
    """
    token = _stand_ins.set(
        {id(v): other for v, other in zip(variables, stand_ins, strict=True)}
    )
    try:
        yield
    finally:
        _stand_ins.reset(token)


class VariableView(keras.Variable):
    """A Keras variable that is a part of another one, without a backend variable.

    It is read as its `value` and assigned by its `assign`.
    """


def native_variable(variable: Any) -> Any:
    """The backend variable of a Keras variable, or the given backend variable itself.

    Within :func:`standing_in`, the variable that replaces it.
    """
    native = variable.value if isinstance(variable, keras.Variable) else variable
    stand_ins = _stand_ins.get()
    return native if stand_ins is None else stand_ins.get(id(native), native)


def assignable(variable: Any) -> Any:
    """The variable; within :func:`standing_in`, the variable that replaces it."""
    return native_variable(variable) if _stand_ins.get() else variable


def assign(variable: Any, value: Any) -> None:
    """Assign a variable, Keras's or the backend's, in its own dtype."""
    is_view = isinstance(variable, VariableView)
    if is_view or keras.backend.backend() != "tensorflow":
        variable.assign(value)
        return
    import tensorflow as tf  # May be missing on other backends.

    native = native_variable(variable)
    native.assign(tf.cast(value, native.dtype))


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
    import tensorflow as tf  # May be missing on other backends.

    return isinstance(native_variable(variable), tf.distribute.DistributedValues)


def outside_of_graphs() -> contextlib.AbstractContextManager:
    """A context in which variables can be created while a graph is being traced."""
    if keras.backend.backend() != "tensorflow":
        return contextlib.nullcontext()
    import tensorflow as tf  # May be missing on other backends.

    return tf.init_scope()


def colocated_with(variable: Any) -> contextlib.AbstractContextManager:
    """A context that creates variables on the devices of the given one."""
    if keras.backend.backend() != "tensorflow":
        return contextlib.nullcontext()
    import tensorflow as tf  # May be missing on other backends.

    extended = tf.distribute.get_strategy().extended
    return extended.colocate_vars_with(native_variable(variable))

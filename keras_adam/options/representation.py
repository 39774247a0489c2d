"""How an optimizer is shown to people."""

from __future__ import annotations

import inspect
from typing import Any

import keras

from keras_adam.received_value import shown


def format_optimizer(optimizer: Any, last: type) -> str:
    """The class and every option that is not at its default, like a constructor call.

    Args:
        optimizer: has an attribute for each argument of its constructor.
        last: the last class of the inheritance chain whose constructor is read.
    """
    classes = type(optimizer).__mro__
    parameters: dict[str, inspect.Parameter] = {}
    # A subclass passes on the arguments that its own constructor does not name.
    for cls in classes[: classes.index(last) + 1]:
        for parameter in inspect.signature(cls.__init__).parameters.values():
            parameters.setdefault(parameter.name, parameter)
    given = [_format_learning_rate(optimizer)]
    for name, parameter in parameters.items():
        is_named = parameter.default is not parameter.empty
        if not is_named or name in ("learning_rate", "name"):
            continue
        value = getattr(optimizer, name, parameter.default)
        if value != parameter.default:
            given.append(f"{name}={shown(value)}")
    return f"{type(optimizer).__name__}({', '.join(given)})"


def _format_learning_rate(optimizer: Any) -> str:
    learning_rate = optimizer._learning_rate
    if isinstance(learning_rate, keras.Variable):
        try:
            return f"learning_rate={float(learning_rate.numpy()):g}"
        # While a graph is being traced, a variable has no value.
        except Exception:
            return "learning_rate=<unknown>"
    kind = getattr(learning_rate, "__name__", type(learning_rate).__name__)
    return f"learning_rate=<{kind}>"

"""How an optimizer is shown to people."""

from __future__ import annotations

import inspect
from typing import Any

import keras

from keras_adam.received_value import shown


def format_optimizer(optimizer: Any) -> str:
    """The class and every option that is not at its default, as one would write it.

    Args:
        optimizer: with a constructor argument for each attribute of that name.
    """
    parameters = inspect.signature(type(optimizer).__init__).parameters
    named = [
        parameter
        for name, parameter in parameters.items()
        if name != "self" and parameter.kind is not parameter.VAR_KEYWORD
    ]
    given = []
    for parameter in named:
        name = parameter.name
        value = getattr(optimizer, name, parameter.default)
        if name == "learning_rate":
            given.append(_format_learning_rate(optimizer))
        elif name != "name" and value != parameter.default:
            given.append(f"{name}={shown(value)}")
    return f"{type(optimizer).__name__}({', '.join(given)})"


def _format_learning_rate(optimizer: Any) -> str:
    learning_rate = optimizer._learning_rate
    if isinstance(learning_rate, keras.Variable):
        try:
            return f"learning_rate={float(learning_rate.numpy()):g}"
        # Within a graph that is being traced a variable has no value.
        except Exception:
            return "learning_rate=<unknown>"
    kind = getattr(learning_rate, "__name__", type(learning_rate).__name__)
    return f"learning_rate=<{kind}>"

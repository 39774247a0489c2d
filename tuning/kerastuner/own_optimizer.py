"""The optimizers of a tuner that is given none: the model's own, and a robust one."""

from __future__ import annotations

import logging
import pkgutil
from typing import Any

import keras

from tuning.optimizer_names import parse_name

logger = logging.getLogger(__name__)

ROBUST = "keras_adam.Adam.robust"
"""Swept beside the model's own optimizer."""

_LEFT_TO_RUNS = ("name", "learning_rate")


def default_optimizers(model: Any) -> tuple[str, ...]:
    """The name of the optimizer that a model was compiled with, and `ROBUST`."""
    own = model.optimizer
    if isinstance(own, keras.optimizers.LossScaleOptimizer):
        own = own.inner_optimizer  # each run has a scaling of its own around it
    return tuple(dict.fromkeys(name for name in (_name_of(own), ROBUST) if name))


def _name_of(optimizer: Any) -> str | None:
    """The optimizer's name in a sweep, with the options it was given.

    ``None``, with a line in the log, if no name leads to it.
    """
    kind = type(optimizer)
    module, name = kind.__module__, kind.__qualname__
    if getattr(keras.optimizers, name, None) is kind:
        found = f"keras.{name}"
    elif module.partition(".")[0] == "keras_adam":
        if _config(optimizer) == _config(kind.robust(learning_rate=0.001)):
            return f"keras_adam.{name}.robust"
        found = f"keras_adam.{name}"
    else:
        found = f"{module}:{name}"
    try:
        parsed = parse_name(found)
        found_kind = pkgutil.resolve_name(parsed.reference)
        if found_kind is not kind or module == "__main__":
            raise ValueError("another program would not find it")
        config, defaults = _config(optimizer), _config(kind(learning_rate=0.001))
        options = {k: v for k, v in config.items() if v != defaults.get(k)}
        if options:
            written = ", ".join(f"{key}={value!r}" for key, value in options.items())
            found = f"{found}({written})"
            if dict(parse_name(found).arguments) != options:
                raise ValueError(f"{options} cannot be written as a name")
    except (AttributeError, ImportError, TypeError, ValueError) as error:
        logger.warning(
            "The optimizer %s of the model is not swept, because it has no name: %s. "
            "Give optimizers=[...].",
            name,
            error,
        )
        return None
    return found


def _config(optimizer: Any) -> dict[str, Any]:
    config = optimizer.get_config()
    return {name: config[name] for name in config if name not in _LEFT_TO_RUNS}

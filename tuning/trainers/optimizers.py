"""Optimizers of runs: made by their names, checked, measured, compared.

`tuning.optimizer_names` says what names look like.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tuning.errors import format_error
from tuning.grid import Grid
from tuning.optimizer_names import OptimizerFactory, check_names, parse_name
from tuning.references import resolve_reference
from tuning.system.process_end import os_exit_raises


def build_optimizer(
    name: str,
    learning_rate: Any,
    options: Mapping[str, Any] | None = None,
    custom: Mapping[str, OptimizerFactory] | None = None,
) -> Any:
    """Make an optimizer by its name, for one run.

    Args:
        name: see `tuning.optimizer_names`, or a key of ``custom``.
        learning_rate: a number or a schedule, passed on as ``learning_rate=``.
        options: further keyword arguments.
        custom: the caller's own factories by name; they come before other names.

    Raises:
        ValueError: the name is unknown, or the factory refuses the arguments or
            returns something other than a Keras optimizer.
    """
    import keras

    if custom and name in custom:
        factory, fixed = custom[name], {}
    else:
        check_names([name], custom)
        reference, fixed = parse_name(name)
        factory = _find_class(name, reference)
    if not callable(factory):
        raise ValueError(
            f"optimizer {name!r} must be a class or a function that takes "
            f"learning_rate; received {factory!r}."
        )
    twice = sorted({*fixed} & {*(options or {})})
    if twice:
        raise ValueError(
            f"the name of optimizer {name!r} says what {twice[0]} is; it cannot be set "
            "as an option, too."
        )
    arguments = {**fixed, **(options or {})}
    try:
        optimizer = factory(learning_rate=learning_rate, **arguments)
    except (TypeError, ValueError) as error:
        is_number = isinstance(learning_rate, (int, float))
        rate = f"{learning_rate:g}" if is_number else type(learning_rate).__name__
        raise ValueError(
            f"optimizer {name!r} cannot be made with learning_rate={rate}"
            f" and options {arguments}: {error}"
        ) from error
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise ValueError(
            f"optimizer {name!r} must return a keras.optimizers.Optimizer; it "
            f"returned {type(optimizer).__name__}."
        )
    return optimizer


def _find_class(name: str, reference: str) -> Any:
    """The class or function that a name refers to.

    Raises:
        ValueError: it does not exist; the message lists Keras's optimizers.
    """
    import keras

    module, _, attribute = reference.partition(":")
    if module == "keras.optimizers" and not hasattr(keras.optimizers, attribute):
        known = [
            one
            for one, kind in vars(keras.optimizers).items()
            if isinstance(kind, type) and issubclass(kind, keras.optimizers.Optimizer)
        ]
        raise ValueError(
            f"optimizer {name!r} does not exist; keras.optimizers has "
            f"{', '.join(sorted(known))}."
        )
    return resolve_reference(reference, "optimizer")


def check_schedule_of(name: str, optimizer: Any, schedule: str) -> None:
    """Check that an optimizer's learning rate can follow the runs' schedule.

    Raises:
        ValueError: the optimizer has a schedule of its own, and ``schedule`` is not
            ``"constant"``.
    """
    import keras

    is_fixed = isinstance(optimizer.learning_rate, keras.Variable)
    if schedule != "constant" and not is_fixed:
        raise ValueError(
            f"optimizer {name!r} has a learning-rate schedule of its own, so its runs "
            f"cannot follow the schedule {schedule!r}; use schedule='constant'."
        )


def check_optimizers(
    grid: Grid,
    custom: Mapping[str, OptimizerFactory] | None = None,
    schedule: str = "constant",
) -> None:
    """Make every optimizer of the grid twice, before any time is spent on runs.

    Raises:
        ValueError: an optimizer cannot be made (see :func:`build_optimizer`) or
            cannot follow the runs' schedule, or a factory returns the same object
            twice, which would carry its state from one run into the next.
    """
    for name in grid.optimizers:
        arguments = name, grid.learning_rates[0], grid.options.get(name), custom
        try:
            with os_exit_raises():
                optimizer = build_optimizer(*arguments)
                is_same = optimizer is build_optimizer(*arguments)
            check_schedule_of(name, optimizer, schedule)
        except (KeyboardInterrupt, ValueError):
            raise
        except BaseException as error:  # SystemExit, too
            raise ValueError(
                f"optimizer {name!r} cannot be made: {format_error(error)}"
            ) from error
        if is_same:
            raise ValueError(
                f"the factory of optimizer {name!r} must return a new optimizer each "
                "time; it returned the same one twice."
            )


def state_bytes(optimizer: Any) -> int:
    """Bytes that a built optimizer holds besides step count and learning rate."""
    import keras
    import numpy as np

    known = getattr(optimizer, "state_bytes", None)
    if known is not None:
        return int(known)
    scalars = {id(optimizer.iterations), id(optimizer.learning_rate)}
    return sum(
        np.asarray(keras.ops.convert_to_numpy(variable)).nbytes
        for variable in optimizer.variables
        if id(variable) not in scalars
    )


def trace_key(optimizer: Any, learning_rate: float) -> tuple[str, float | None]:
    """The key of the traced functions an optimizer can share, and its learning rate.

    The key holds the configuration and every plain attribute, because these are
    constants in the trace. It also holds the learning rate if that is a schedule, or
    if the class has no ``get_config`` of its own: such a class may compute other
    values from the learning rate. Otherwise the learning rate is a variable that can
    be assigned between runs.

    Args:
        optimizer: newly made.
        learning_rate: that it was made with.

    Returns:
        The key, and the learning rate to assign; ``None`` if it is not a variable.
    """
    import keras

    config = dict(optimizer.get_config())
    config.pop("name", None)  # Keras numbers the names of one class: adam, adam_1
    rate: float | None = None
    if isinstance(optimizer.learning_rate, keras.Variable):
        rate = float(optimizer.learning_rate)
        config.pop("learning_rate", None)
    if rate is None or not _reports_its_config(optimizer):
        config["planned_learning_rate"] = learning_rate
    inner = getattr(optimizer, "inner_optimizer", None)
    attributes = [
        {
            name: value
            for name, value in vars(one).items()
            if isinstance(value, (bool, int, float, str, type(None)))
            and name not in {"name", "_name"}
        }
        for one in (optimizer, inner)
        if one is not None
    ]
    fixed = [type(optimizer).__qualname__, config, attributes]
    return json.dumps(fixed, default=str, sort_keys=True), rate


def _reports_its_config(optimizer: Any) -> bool:
    kind = type(optimizer)
    is_known = kind.__module__.partition(".")[0] in ("keras", "keras_adam")
    return is_known or "get_config" in vars(kind)

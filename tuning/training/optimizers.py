"""Optimizers by name: the built-in table and the user's own.

The names here are those of a grid's axis. A name says which class is made and with
which fixed arguments; the learning rate comes from the grid, further options from
``--set`` or ``options=``.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tuning.errors import format_error
from tuning.grid import Grid
from tuning.references import resolve_reference
from tuning.system.process_end import os_exit_raises

OptimizerFactory = Callable[..., Any]
"""Called with ``learning_rate=`` and the options; returns a Keras optimizer."""

BUILT_IN: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "adam": ("keras_adam:Adam", {}),
    "keras-adam": ("keras.optimizers:Adam", {}),
    "robust-adam": ("keras_adam:Adam.robust", {}),
    "sgd": ("keras.optimizers:SGD", {}),
    # 0.9 is the momentum that Sutskever et al. 2013 and most recipes since use.
    "momentum": ("keras.optimizers:SGD", {"momentum": 0.9}),
    "adagrad": ("keras.optimizers:Adagrad", {}),
    "rmsprop": ("keras.optimizers:RMSprop", {}),
}
"""Name -> where the class or its factory is, and the arguments that belong to the
name."""

SWEPT_BY_DEFAULT = tuple(name for name in BUILT_IN if name != "robust-adam")
"""What a sweep compares that names no optimizers: ours, and Keras's own."""


def check_names(
    names: Sequence[str], custom: Mapping[str, OptimizerFactory] | None = None
) -> None:
    """See that every name means something, without importing Keras.

    Raises:
        ValueError: a name is neither built in, nor in ``custom``, nor of the form
            ``package.module:attribute``; the message lists what is allowed.
    """
    known = [*BUILT_IN, *(custom or {})]
    unknown = [name for name in names if name not in known and ":" not in name]
    if unknown:
        raise ValueError(
            f"unknown optimizers {unknown}; use {', '.join(known)} or "
            "package.module:attribute."
        )


def build_optimizer(
    name: str,
    learning_rate: float,
    options: Mapping[str, Any] | None = None,
    custom: Mapping[str, OptimizerFactory] | None = None,
) -> Any:
    """Make a new optimizer of the name, as one run uses it.

    Args:
        name: a built-in name, a key of ``custom`` or ``package.module:attribute``.
        learning_rate: passed on as ``learning_rate=``.
        options: further keyword arguments.
        custom: the caller's own factories by name; they win over built-in names.

    Raises:
        ValueError: the name is unknown, the factory refuses the arguments, or what
            it returns is no Keras optimizer.
    """
    import keras

    check_names([name], custom)
    if custom and name in custom:
        factory, fixed = custom[name], {}
    elif name in BUILT_IN:
        reference, fixed = BUILT_IN[name]
        factory = resolve_reference(reference, "optimizer")
    else:
        factory, fixed = resolve_reference(name, "optimizer"), {}
    if not callable(factory):
        raise ValueError(
            f"optimizer {name!r} must be a class or a function that takes "
            f"learning_rate; received {factory!r}."
        )
    arguments = {**fixed, **(options or {})}
    try:
        optimizer = factory(learning_rate=learning_rate, **arguments)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"optimizer {name!r} cannot be made with learning_rate={learning_rate:g}"
            f" and options {arguments}: {error}"
        ) from error
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise ValueError(
            f"optimizer {name!r} must return a keras.optimizers.Optimizer; it "
            f"returned {type(optimizer).__name__}."
        )
    return optimizer


def check_schedule_of(name: str, optimizer: Any, schedule: str) -> None:
    """See that an optimizer's learning rate can follow the runs' schedule.

    Raises:
        ValueError: it has a schedule of its own, and theirs is not ``"constant"``.
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
        ValueError: one of them cannot be made (see :func:`build_optimizer`), or a
            factory returns the same object again: it would carry its state from one
            run into the next; or one cannot follow the runs' schedule.
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
    """What optimizers that share a traced function have in common, and their rate.

    The configuration and every plain attribute: what Python knows of an optimizer is
    a constant in the trace. The rate is left out of the key only where it is a
    variable that can be assigned and nothing else is made of it: a schedule, or a
    class whose ``get_config`` does not tell what it keeps, has it in the key.

    Args:
        optimizer: newly made.
        learning_rate: that it was made with.

    Returns:
        The key, and the rate to assign; ``None`` for a rate that is no variable.
    """
    import keras

    config = dict(optimizer.get_config())
    config.pop("name", None)  # Keras numbers the names of one class: adam, adam_1
    rate: float | None = None
    if isinstance(optimizer.learning_rate, keras.Variable):
        rate = float(optimizer.learning_rate)
        config.pop("learning_rate", None)
    if rate is None or not _tells_its_config(optimizer):
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


def _tells_its_config(optimizer: Any) -> bool:
    kind = type(optimizer)
    is_known = kind.__module__.partition(".")[0] in ("keras", "keras_adam")
    return is_known or "get_config" in vars(kind)


def parse_options(assignments: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Read ``optimizer.option=value`` as ``{optimizer: {option: value}}``.

    A value is read as JSON (``0.99``, ``true``, ``null``), else as a Python literal
    (``True``, ``None``, ``1e-3``), else taken as text (``bfloat16``).

    Raises:
        ValueError: an assignment has another form, or an option is set twice.
    """
    options: dict[str, dict[str, Any]] = {}
    for assignment in assignments:
        target, equals, value = assignment.partition("=")
        # From the right: package.module:attribute has dots of its own.
        optimizer, _, option = target.strip().rpartition(".")
        if not (equals and optimizer and option.isidentifier()):
            raise ValueError(
                "an option is set as optimizer.option=value, for example "
                f"adam.beta_2=0.99; received {assignment!r}."
            )
        of_optimizer = options.setdefault(optimizer, {})
        if option in of_optimizer:
            raise ValueError(f"option {optimizer}.{option} is set twice.")
        of_optimizer[option] = _parse_value(value.strip())
    return options


def _parse_value(text: str) -> Any:
    # Brackets inside brackets by the thousand are refused in other ways.
    too_deep = (RecursionError, MemoryError)
    try:
        return json.loads(text)
    except (ValueError, *too_deep):
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, *too_deep):
        return text

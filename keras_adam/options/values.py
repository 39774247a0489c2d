"""Checks and conversions of the optimizer's options, in one place.

`OPTIONS` checks and converts every option: in the constructor, in `from_config`, which
calls the constructor, and when an option is set later. The result is a Python number,
string or bool, which JSON can store. NumPy's numbers become Python's.
"""

from __future__ import annotations

import decimal
import inspect
import math
import numbers
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import ops
from keras.optimizers.schedules import LearningRateSchedule

from keras_adam.received_value import shown
from keras_adam.storage import STORAGES

LARGEST_FLOAT32 = float(np.finfo("float32").max)
SMALLEST_FLOAT32 = float(np.finfo("float32").tiny)
"""The smallest normal float32: processors may read a smaller number as zero."""

LARGEST_COUNT = 2**31 - 1


def checked_learning_rate(learning_rate: Any) -> Any:
    """The learning rate in a form that Keras accepts: float, schedule or callable.

    Whole numbers and NumPy scalars become floats.

    Raises:
        TypeError: something else, for example a string.
        ValueError: negative, NaN or infinite; or one of Keras's schedules whose first
            learning rate is invalid.
    """
    if isinstance(learning_rate, LearningRateSchedule):
        check_schedule(learning_rate)
        return learning_rate
    if _can_be_called(learning_rate):
        return learning_rate
    if not _is_number(learning_rate):
        raise TypeError(
            "learning_rate must be a number, a LearningRateSchedule or a callable "
            f"without arguments; received {shown(learning_rate)} of type "
            f"{type(learning_rate).__name__}."
        )
    rate = _as_float("learning_rate", learning_rate)
    if not 0 <= rate <= _largest_rate():
        raise ValueError(
            f"learning_rate must be finite and at least 0, and at most "
            f"{_largest_rate():.3g} in {keras.config.floatx()}; received "
            f"{shown(learning_rate)}."
        )
    return rate


def checked_new_learning_rate(learning_rate: Any) -> Any:
    """A learning rate to be set on an optimizer; it may be a tensor or a variable.

    Returns:
        As :func:`checked_learning_rate`. A tensor whose value is not known yet, as in a
        graph, is returned unchanged.

    Raises:
        TypeError: something else, for example a string, also in a tensor.
        ValueError: not a scalar; negative, NaN or infinite.
    """
    is_variable = isinstance(learning_rate, keras.Variable)
    if not (is_variable or ops.is_tensor(learning_rate)):
        return checked_learning_rate(learning_rate)
    if tuple(learning_rate.shape) != ():
        raise ValueError(
            "learning_rate must be a scalar; received a tensor of the shape "
            f"{tuple(learning_rate.shape)}."
        )
    value = _known_value(learning_rate)
    return learning_rate if value is None else checked_learning_rate(value.item())


def deserialized_learning_rate(
    config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
) -> Any:
    """The schedule or callable that a configuration describes.

    Args:
        config: of ``keras.saving.serialize_keras_object``.
        custom_objects: the user's classes and functions by name.

    Raises:
        TypeError: the class is unknown, or its arguments have another type.
        ValueError: anything else that cannot be read.
    """
    try:
        learning_rate = keras.saving.deserialize_keras_object(
            dict(config), custom_objects=custom_objects
        )
    # A configuration may name any class, which may raise anything.
    except Exception as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(
            f"learning_rate cannot be read from {shown(config)}: {error}"
        ) from error
    return checked_learning_rate(learning_rate)


def check_schedule(schedule: LearningRateSchedule) -> None:
    """Refuse one of Keras's schedules if its first learning rate is invalid.

    Other classes are not checked: their schedules may depend on values that are set
    later.

    Raises:
        ValueError: calling the schedule fails, or the learning rate is negative, NaN
            or infinite.
    """
    if type(schedule) not in vars(keras.optimizers.schedules).values():
        return
    try:
        rate = _known_value(schedule(0))
        if rate is not None:
            checked_learning_rate(rate)
    # Keras and the backends raise various errors for arguments they cannot use.
    except Exception as error:
        raise ValueError(
            f"learning_rate: the {type(schedule).__name__} of "
            f"{shown(schedule.get_config())} gives no rate at step 0: {error}"
        ) from error


def checked_share(name: str, share: Any, advice: str = "") -> float:
    """A float in [0, 1).

    Raises:
        ValueError: not a number in that range; the message ends with the advice.
    """
    number = _as_float(name, share)
    if not 0 <= number < 1:
        raise ValueError(
            f"{name} must be at least 0 and below 1; received {shown(share)}.{advice}"
        )
    if not _is_float64() and np.float32(number) == 1:
        raise ValueError(
            f"{name} must be below 1, which {shown(share)} is not in float32.{advice}"
        )
    return number


def checked_beta(name: str, beta: Any) -> float:
    """A moment's decay as a float in [0, 1).

    Raises:
        ValueError: not a number in that range; at 1 the moment would never move.
    """
    return checked_share(name, beta, " Usual values lie between 0.9 and 0.999.")


def checked_momentum(name: str, momentum: Any) -> float:
    """A float in [0, 1]: Keras allows 1, at which an average never changes.

    Raises:
        ValueError: not a number in that range.
    """
    number = _as_float(name, momentum)
    if not 0 <= number <= 1:
        raise ValueError(
            f"{name} must be at least 0 and at most 1; received {shown(momentum)}."
        )
    return number


def checked_positive(name: str, value: Any) -> float:
    """A positive, finite float.

    Raises:
        ValueError: not a number, or not positive.
    """
    number = _as_float(name, value)
    if not (math.isfinite(number) and number > 0):
        raise ValueError(
            f"{name} must be positive and finite; received {shown(value)}."
        )
    if not (_is_float64() or SMALLEST_FLOAT32 <= number <= LARGEST_FLOAT32):
        raise ValueError(
            f"{name} must be positive and finite in float32, between "
            f"{SMALLEST_FLOAT32:.3g} and {LARGEST_FLOAT32:.3g}; received "
            f"{shown(value)}."
        )
    return number


def checked_positive_or_none(name: str, value: Any) -> float | None:
    """``None``, or a positive, finite float.

    Raises:
        ValueError: not a number, or not positive.
    """
    return None if value is None else checked_positive(name, value)


def checked_bound(name: str, value: Any) -> float | None:
    """``None``, or a finite float of at least 0.

    Raises:
        ValueError: not a number, negative, NaN or infinite.
    """
    if value is None:
        return None
    number = _as_float(name, value)
    largest = math.inf if _is_float64() else LARGEST_FLOAT32
    if not (math.isfinite(number) and 0 <= number <= largest):
        raise ValueError(
            f"{name} must be None or finite and at least 0; received {shown(value)}."
        )
    return number


def checked_count(name: str, value: Any, least: int) -> int | None:
    """``None``, or an integer from ``least`` to `LARGEST_COUNT`.

    Raises:
        ValueError: another type, or outside these bounds.
    """
    if value is None:
        return None
    is_array = isinstance(value, np.ndarray) and value.ndim == 0
    number = value.item() if is_array else value
    # A timedelta64 counts as an integer for NumPy.
    is_whole = isinstance(number, numbers.Integral) and not isinstance(
        number, (bool, np.timedelta64)
    )
    count = int(number) if is_whole else least - 1
    if count < least:
        raise ValueError(
            f"{name} must be None or an integer >= {least}; received {shown(value)}."
        )
    if count > LARGEST_COUNT:
        raise ValueError(
            f"{name} must be at most {LARGEST_COUNT}; received {shown(value)}."
        )
    return count


def check_count(name: str, value: Any, least: int) -> None:
    """Raise the errors of :func:`checked_count`, without converting."""
    checked_count(name, value, least)


def one_of(*allowed: Any) -> Callable[[str, Any], Any]:
    """A converter that accepts only the allowed values."""

    def converter(name: str, value: Any) -> Any:
        if isinstance(value, (np.bool_, np.str_)):
            value = value.item()
        # 1 == True in Python: the type is compared as well.
        if not any(type(value) is type(one) and value == one for one in allowed):
            raise ValueError(
                f"{name} must be one of {list(allowed)}; received {shown(value)}."
            )
        return value

    return converter


def checked_name(name: str, value: Any) -> str | None:
    """``None``, or a name that Keras can use in paths.

    Raises:
        ValueError: not a string, or a string with a slash.
    """
    if value is None:
        return None
    if not isinstance(value, str) or "/" in value:
        raise ValueError(
            f"{name} must be None or a text without '/'; received {shown(value)}."
        )
    return str(value)


OPTIONS: Mapping[str, Callable[[str, Any], Any]] = {
    "name": checked_name,
    "beta_1": checked_beta,
    "beta_2": checked_beta,
    "epsilon": checked_positive,
    "amsgrad": one_of(True, False),
    "weight_decay": checked_bound,
    "clipnorm": checked_bound,
    "clipvalue": checked_bound,
    "global_clipnorm": checked_bound,
    "use_ema": one_of(True, False),
    "ema_momentum": checked_momentum,
    "ema_overwrite_frequency": partial(checked_count, least=1),
    "loss_scale_factor": checked_positive_or_none,
    "gradient_accumulation_steps": partial(checked_count, least=2),
    "jit_compile": one_of("auto", True, False),
    "moment_storage": one_of(*STORAGES),
    "sparse_updates": one_of("dense", "lazy", "catch_up"),
    "rate_cap": checked_positive_or_none,
    "rate_cap_softness": checked_share,
    "rate_adaptation": checked_positive_or_none,
    "rate_growth_limit": checked_positive_or_none,
    "spike_guard": checked_positive_or_none,
    "skip_nonfinite": one_of(True, False),
}
"""For each option the function that checks and converts it, called with the option's
name and the given value. The learning rate has a setter of its own instead."""


def converted(options: Mapping[str, Any]) -> dict[str, Any]:
    """These options, checked and converted.

    Raises:
        ValueError: naming the first invalid option and what was received.
    """
    return {name: OPTIONS[name](name, value) for name, value in options.items()}


def as_number(name: str, value: Any) -> float:
    """Any finite number as a float.

    Raises:
        ValueError: not a number, NaN or infinite.
    """
    number = _as_float(name, value)
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite; received {shown(value)}.")
    return number


def _as_float(name: str, value: Any) -> float:
    if not _is_number(value):
        raise ValueError(
            f"{name} must be a number; received {shown(value)} of type "
            f"{type(value).__name__}."
        )
    try:
        return float(value)
    except (OverflowError, ValueError) as error:
        raise ValueError(
            f"{name} must be a number that a float can hold; received {shown(value)}."
        ) from error


def _is_number(value: Any) -> bool:
    """Whether it is one real number: Python's, NumPy's, or an array without axes."""
    if isinstance(value, bool):
        return False
    if isinstance(value, (np.generic, np.ndarray)):
        # The dtypes of ml_dtypes, for example bfloat16, are of NumPy's kind "V".
        is_real = value.dtype.kind in "iuf" or "float" in value.dtype.name
        return value.ndim == 0 and is_real
    return isinstance(value, (numbers.Real, decimal.Decimal))


def _can_be_called(function: Any) -> bool:
    """Whether it can be called without arguments, judged by its signature."""
    if not callable(function) or isinstance(function, keras.Layer):
        return False
    try:
        inspect.signature(function).bind()
    except TypeError:
        return False
    except ValueError:
        return True  # Some built-in functions have no signature.
    return True


def _known_value(tensor: Any) -> Any | None:
    """The value of a tensor or variable; ``None`` while a graph is being traced."""
    try:
        return ops.convert_to_numpy(tensor)
    # Each backend raises a different error for a tensor that has no value yet.
    except Exception:
        return None


def _is_float64() -> bool:
    return keras.config.floatx() == "float64"


def _largest_rate() -> float:
    """The largest learning rate that Keras's variable of the dtype `floatx` can hold.

    A larger one would become infinite.
    """
    of_dtype = {"float16": "float16", "float64": "float64"}
    return float(np.finfo(of_dtype.get(keras.config.floatx(), "float32")).max)

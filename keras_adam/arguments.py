"""What may be passed to the optimizer: conversions and refusals, in one place."""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np
from keras.optimizers.schedules import LearningRateSchedule


def checked_learning_rate(learning_rate: Any) -> Any:
    """The rate as Keras wants it: a float, a schedule or a callable.

    Whole numbers and NumPy scalars mean the float of the same value.

    Raises:
        TypeError: something else, for example a string.
        ValueError: negative, NaN or infinite.
    """
    if isinstance(learning_rate, LearningRateSchedule) or callable(learning_rate):
        return learning_rate
    is_scalar_array = isinstance(learning_rate, np.ndarray) and learning_rate.ndim == 0
    is_number = isinstance(learning_rate, (numbers.Real, np.number))
    if isinstance(learning_rate, bool) or not (is_number or is_scalar_array):
        raise TypeError(
            "learning_rate must be a number, a LearningRateSchedule or a callable "
            f"without arguments; received {learning_rate!r} of type "
            f"{type(learning_rate).__name__}."
        )
    rate = float(learning_rate)
    if not (math.isfinite(rate) and rate >= 0):
        raise ValueError(
            f"learning_rate must be finite and at least 0; received {learning_rate!r}."
        )
    return rate


def checked_beta(name: str, beta: Any) -> float:
    """A moment's decay as a float in [0, 1).

    Raises:
        ValueError: not a number in that range; at 1 the moment would never move.
    """
    return checked_share(name, beta, " Usual values lie between 0.9 and 0.999.")


def checked_share(name: str, share: Any, advice: str = "") -> float:
    """A float in [0, 1).

    Raises:
        ValueError: not a number in that range; the message ends with the advice.
    """
    number = _as_float(name, share)
    if not 0 <= number < 1:
        raise ValueError(
            f"{name} must be at least 0 and below 1; received {share!r}.{advice}"
        )
    return number


def checked_positive(name: str, value: Any) -> float:
    """A positive, finite float.

    Raises:
        ValueError: not a number, or not positive.
    """
    number = _as_float(name, value)
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{name} must be positive and finite; received {value!r}.")
    return number


def check_bound(name: str, value: Any) -> None:
    """Refuse a bound or factor that is neither ``None`` nor at least 0.

    Raises:
        ValueError: not a number, negative, NaN or infinite.
    """
    if value is None:
        return
    number = _as_float(name, value)
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(
            f"{name} must be None or finite and at least 0; received {value!r}."
        )


def check_count(name: str, value: Any, least: int) -> None:
    """Refuse a number of steps that is neither ``None`` nor a whole number.

    Raises:
        ValueError: another type, or below ``least``.
    """
    if value is None:
        return
    is_whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_whole or int(value) < least:
        raise ValueError(
            f"{name} must be None or an integer >= {least}; received {value!r}."
        )


def check_is_one_of(name: str, value: Any, allowed: tuple[Any, ...]) -> None:
    """Refuse an option that is not among the allowed ones.

    Raises:
        ValueError: naming what was received and what is allowed.
    """
    # 1 == True in Python: the type is compared as well.
    if not any(type(value) is type(one) and value == one for one in allowed):
        raise ValueError(f"{name} must be one of {list(allowed)}; received {value!r}.")


def _as_float(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (numbers.Real, np.number)):
        raise ValueError(f"{name} must be a number; received {value!r}.")
    return float(value)

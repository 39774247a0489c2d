"""Turns the texts of command-line options into checked values."""

from __future__ import annotations

from tuning.grid import log_spaced_rates
from tuning.optimizer_names import check_names, split_names


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def read_names(text: str | None) -> list[str] | None:
    """A list of optimizer names.

    Raises:
        ValueError: a name is unknown.
    """
    if text is None:
        return None
    names = split_names(text)
    check_names(names)
    return names


def read_rates(text: str | None) -> tuple[float, ...] | None:
    """Learning rates from ``LOW:HIGH:COUNT`` or a list.

    Raises:
        ValueError: the text is neither.
    """
    if text is None:
        return None
    wanted = f"--learning-rates must be LOW:HIGH:COUNT or a list; received {text!r}."
    try:
        if ":" not in text:
            return tuple(float(part) for part in _parts(text))
        low, high, count = text.split(":")
        limits = float(low), float(high), int(count)
    except ValueError:
        raise ValueError(wanted) from None
    return log_spaced_rates(*limits)


def read_integers(text: str | None, option: str) -> tuple[int, ...] | None:
    """A list of integers.

    Raises:
        ValueError: the text is not such a list; the message names ``option``.
    """
    if text is None:
        return None
    try:
        return tuple(int(part) for part in _parts(text))
    except ValueError:
        raise ValueError(
            f"{option} must be a list of integers; received {text!r}."
        ) from None


def read_count(value: int | None, option: str, default: int) -> int:
    """A count of at least 1.

    Raises:
        ValueError: ``value`` is smaller; the message names ``option``.
    """
    if value is None:
        return default
    if value < 1:
        raise ValueError(f"{option} must be at least 1; received {value}.")
    return value

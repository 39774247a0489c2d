"""Formats numbers for people: three significant digits, the same way everywhere."""

from __future__ import annotations

NOTHING = "\N{EN DASH}"
"""Shown if there is no figure."""

SHARES = frozenset({"accuracy", "acc", "precision", "recall"})
"""Last words of the names of quantities that are shares."""


def format_number(value: float | None) -> str:
    """Three significant digits: ``0.123``, ``2.30``, ``1230``, ``4.56e-5``."""
    if value is None:
        return NOTHING
    if value == 0:
        return "0"
    rounded = float(f"{value:.3g}")
    if not 1e-3 <= abs(rounded) < 1e6:
        return _scientific(value, ".2e")
    if abs(rounded) >= 100:
        return f"{rounded:.0f}"
    return f"{rounded:#.3g}"


def format_rate(rate: float | None) -> str:
    """A learning rate, at most three digits: ``0.001`` and above, ``3e-4`` below."""
    if rate is None:
        return NOTHING
    rounded = float(f"{rate:.3g}")
    if 1e-3 <= rounded < 1e6:
        return (
            f"{rounded:.3f}".rstrip("0").rstrip(".") if rounded >= 1 else f"{rate:.3g}"
        )
    return _scientific(rate, ".2e", trim=True)


def format_share(share: float | None) -> str:
    """A share as a percentage: ``4.8 %``."""
    if share is None:
        return NOTHING
    percent = 100 * share
    return f"{percent:.0f} %" if percent in {0, 100} else f"{percent:.3g} %"


def format_metric(name: str, value: float | None) -> str:
    """A value of a logged quantity: accuracies and the like as a percentage.

    Args:
        name: as it is logged: ``accuracy``, ``val_accuracy``, ``mae``.
        value: of it.
    """
    is_share = name.rpartition("_")[2] in SHARES and 0 <= (value or 0.0) <= 1
    return format_share(value) if is_share else format_number(value)


def format_ratio(ratio: float) -> str:
    """How many times as large, at most two digits: ``1.5 ×``, ``32 ×``, ``3200 ×``."""
    rounded = float(f"{ratio:.2g}")
    return f"{rounded:g} \N{MULTIPLICATION SIGN}"


def format_bytes(count: int | None) -> str:
    """Bytes in decimal units: ``1.23 MB``."""
    if count is None:
        return NOTHING
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{count} B" if unit == "B" else f"{format_number(value)} {unit}"
        value /= 1000
    return f"{format_number(value)} TB"


def format_seconds(seconds: float | None) -> str:
    """A duration: ``45.6 µs``, ``12.3 s``, ``5 min 7 s``, ``2 h 3 min``."""
    if seconds is None:
        return NOTHING
    if seconds >= 3600:
        hours, minutes = divmod(round(seconds / 60), 60)
        return f"{hours} h {minutes} min"
    if seconds >= 99.95:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest} s"
    for factor, unit in ((1, "s"), (1e3, "ms")):
        if seconds * factor >= 0.9995 or seconds == 0:
            return f"{format_number(seconds * factor)} {unit}"
    return f"{format_number(seconds * 1e6)} µs"


def join_words(words: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def count_of(count: int, noun: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _scientific(value: float, form: str, *, trim: bool = False) -> str:
    mantissa, exponent = f"{value:{form}}".split("e")
    if trim and "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}e{int(exponent)}"

"""Names of optimizers in a sweep, the same as in Python.

======================================  ==========================================
``keras.Adam``, ``keras.Lion``          any class of `keras.optimizers`
``keras_adam.Adam``,                    any class of `keras_adam`, or a function
``keras_adam.Adam.robust``              of such a class
``package.module:attribute``            a class or a function of the user's own
======================================  ==========================================

A name may include arguments, as in ``keras.SGD(momentum=0.9)``. The learning rate
comes from the grid, further options from ``--set`` or ``options=``. This module only
parses names; it does not import what they refer to.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

OptimizerFactory = Callable[..., Any]
"""Called with ``learning_rate=`` and the options; returns a Keras optimizer."""

SWEPT_BY_DEFAULT = (
    "keras_adam.Adam.robust",
    "keras_adam.Adam",
    "keras.Adam",
    "keras.AdamW",
    "keras.RMSprop",
    # 0.9 is the momentum that Sutskever et al. 2013 and most recipes since use.
    "keras.SGD(momentum=0.9)",
    "keras.Adagrad",
)
"""Optimizers of a sweep that names none."""

ALLOWED = (
    "keras.Adam (any class of keras.optimizers), keras_adam.Adam, "
    "keras_adam.Adam.robust, keras.SGD(momentum=0.9) or package.module:attribute"
)
"""Allowed forms of names, for messages."""

EARLIER_NAMES: Mapping[str, str] = {
    "adam": "keras_adam.Adam",
    "keras-adam": "keras.Adam",
    "robust-adam": "keras_adam.Adam.robust",
    "sgd": "keras.SGD",
    "momentum": "keras.SGD(momentum=0.9)",
    "adagrad": "keras.Adagrad",
    "rmsprop": "keras.RMSprop",
}
"""Optimizer names of earlier versions -> names of today."""

_MODULES: Mapping[str, str] = {"keras": "keras.optimizers", "keras_adam": "keras_adam"}
"""First word of a name -> module of its class."""


class ParsedName(NamedTuple):
    """The parts of a name.

    Attributes:
        reference: ``package.module:attribute``.
        arguments: that the name includes.
    """

    reference: str
    arguments: Mapping[str, Any]


def parse_name(name: str) -> ParsedName:
    """Split a name into its reference and its arguments.

    Raises:
        ValueError: the name has none of the allowed forms.
    """
    target, bracket, rest = name.partition("(")
    arguments = _parse_arguments(rest) if bracket else {}
    reference = _reference_of(target)
    if reference is None or arguments is None:
        raise ValueError(f"unknown optimizer {name!r}; use {ALLOWED}.")
    return ParsedName(reference, arguments)


def check_names(names: Sequence[str], custom: Collection[str] | None = None) -> None:
    """Check that every name has an allowed form, without importing Keras.

    Args:
        names: of optimizers.
        custom: names of the caller's own factories.

    Raises:
        ValueError: a name is not in ``custom`` and has none of the allowed forms; the
            message lists them.
    """
    custom = custom or ()
    unknown = [name for name in names if name not in custom and not is_name(name)]
    if unknown:
        own = "".join(f"{name}, " for name in custom)
        raise ValueError(
            f"unknown optimizers {unknown}; use {own}{ALLOWED}."
            + _describe_renaming(unknown)
        )


def earlier_names(names: Sequence[str], custom: Collection[str]) -> str:
    """The names of today for the optimizers in a sweep of an earlier version.

    Args:
        names: of the sweep's optimizers.
        custom: names of a Python program's own optimizers.

    Returns:
        ``adam is keras_adam.Adam``, and so on; empty if no name has changed.
    """
    found = [name for name in names if name in EARLIER_NAMES and name not in custom]
    return ", ".join(f"{name} is {EARLIER_NAMES[name]}" for name in found)


def file_name(name: str) -> str:
    """A name as a part of a path, without brackets, quotes, commas and spaces.

    A name without brackets is not changed.
    """
    if "(" not in name:
        return name
    return re.sub(r"[^\w.:=+-]+", "-", re.sub(r"['\"]", "", name)).strip("-")


def split_names(text: str) -> list[str]:
    """The names of a comma-separated list; commas inside brackets do not separate."""
    return [part.strip() for part in split_outside(text, ",") if part.strip()]


def split_outside(text: str, separator: str, most: int = -1) -> list[str]:
    """Split at a separator, except inside brackets and quotes.

    Args:
        text: what is split.
        separator: one character.
        most: largest number of splits; no limit by default.
    """
    parts, start, depth, quote = [], 0, 0, ""
    for place, character in enumerate(text):
        if character in "'\"":
            quote = "" if character == quote else quote or character
        elif quote:
            continue
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth = max(depth - 1, 0)
        elif character == separator and depth == 0 and len(parts) != most:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]]


def is_name(name: str) -> bool:
    """Whether a name has one of the allowed forms."""
    try:
        parse_name(name)
    except ValueError:
        return False
    return True


def _reference_of(target: str) -> str | None:
    """The reference of a name without arguments; ``None`` if its form is wrong."""
    if ":" in target:
        return target
    first, *rest = target.split(".")
    if first not in _MODULES or not all(part.isidentifier() for part in rest):
        return None
    if rest[:1] == ["optimizers"] and first == "keras":
        rest = rest[1:]  # keras.optimizers.Adam
    return f"{_MODULES[first]}:{'.'.join(rest)}" if rest else None


def _parse_arguments(text: str) -> dict[str, Any] | None:
    """The arguments after the opening bracket of a call; ``None`` if it is no call."""
    try:
        call = ast.parse(f"f({text}", mode="eval").body
        if not isinstance(call, ast.Call) or call.args:
            return None
        arguments = {}
        for keyword in call.keywords:
            if keyword.arg is None or keyword.arg in arguments:
                return None
            arguments[keyword.arg] = ast.literal_eval(keyword.value)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None
    is_one_call = isinstance(call.func, ast.Name)  # not f(...)(...)
    return arguments if is_one_call else None


def _describe_renaming(unknown: Sequence[str]) -> str:
    renamed = earlier_names(unknown, ())
    return f" Names have changed: {renamed} now." if renamed else ""

"""Which weights the weight decay leaves out, in a form that can be saved.

Keras remembers excluded weights by their identity, which no file can hold, and
forgets them on saving. Paths are not enough: the same weight can have the path
``sequential/dense/kernel`` in one model and ``dense/kernel`` after loading. Once the
optimizer is built, the positions of the excluded weights are known, and are saved.
"""

from __future__ import annotations

import dataclasses
import numbers
import re
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

from keras_adam.received_value import shown

_OPTION = "exclude_from_weight_decay"


@dataclasses.dataclass(frozen=True)
class DecayExclusions:
    """The weights that ``exclude_from_weight_decay`` was given.

    Attributes:
        names: regular expressions looked for in a weight's name.
        paths: of the excluded weights, at the time they were excluded.
        positions: of the excluded weights among all that the optimizer trains;
            ``None`` before it is built.
    """

    names: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    positions: tuple[int, ...] | None = None

    def __bool__(self) -> bool:
        return bool(self.names or self.paths)

    def to_config(self) -> dict[str, Any]:
        """JSON types for ``get_config``."""
        positions = None if self.positions is None else list(self.positions)
        return {
            "names": list(self.names),
            "paths": list(self.paths),
            "positions": positions,
        }

    @classmethod
    def from_config(cls, config: Any) -> DecayExclusions:
        """Read what :meth:`to_config` wrote; ``None`` means no exclusions.

        Raises:
            TypeError: it does not have that form.
            ValueError: it has other keys, a name is not a regular expression, or a
                position is negative.
        """
        if config is None:
            return cls()
        if not isinstance(config, Mapping):
            raise TypeError(
                f"{_OPTION} must be a mapping with names, paths and positions; "
                f"received {shown(config)}."
            )
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := [key for key in config if key not in known]:
            raise ValueError(
                f"{_OPTION} must have no keys but {sorted(known)}; received "
                f"{shown(unknown)}."
            )
        names = checked_patterns(f"names of {_OPTION}", config.get("names"))
        paths = _texts(f"paths of {_OPTION}", config.get("paths"))
        positions = config.get("positions")
        if positions is not None:
            positions = _positions(positions)
        return cls(tuple(names), tuple(paths), positions)

    def located(
        self, variables: Sequence[Any], is_excluded: Callable[[Any], bool]
    ) -> DecayExclusions:
        """The same exclusions with positions among the given weights.

        Args:
            variables: all weights that the optimizer trains, in order.
            is_excluded: whether Keras remembers a weight by its identity; false for
                all weights after loading.

        Raises:
            ValueError: a saved exclusion fits none of the weights.
        """
        by_path = [i for i, v in enumerate(variables) if path_of(v) in self.paths]
        known = [i for i, v in enumerate(variables) if is_excluded(v)]
        if known or len(by_path) == len(self.paths):
            positions = tuple(known or by_path)
        elif self.positions and max(self.positions) < len(variables):
            positions = self.positions
        else:
            raise ValueError(
                f"The weights {list(self.paths)} are to be left out of the weight "
                "decay, but the optimizer is built on "
                f"{[path_of(v) for v in variables]}."
            )
        return dataclasses.replace(self, positions=positions)


def checked_patterns(name: str, patterns: Any) -> list[str]:
    """A list of regular expressions, each of which can be compiled.

    Args:
        name: of the argument, for messages.
        patterns: a list of strings; ``None``: an empty list.

    Raises:
        TypeError: a single string, whose letters would be taken for patterns, or
            another type.
        ValueError: a string is not a regular expression.
    """
    patterns = _texts(name, patterns)
    # Keras joins them in any order: flags that start one would end up in the middle.
    for pattern in (*patterns, "|".join(patterns), "|".join(reversed(patterns))):
        try:
            re.compile(pattern)
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(
                f"{name} must be regular expressions, alone and joined by '|'; "
                f"{shown(pattern)} is none: {error}."
            ) from error
    return patterns


def checked_weights(weights: Any) -> list[Any]:
    """A list of weights.

    Raises:
        TypeError: something else.
    """
    weights = [] if weights is None else weights
    try:
        weights = list(weights)
    except TypeError as error:
        raise TypeError(
            f"var_list must be a list of weights; received {shown(weights)}."
        ) from error
    for weight in weights:
        # TensorFlow's own variables have a name but no path.
        if not (hasattr(weight, "shape") and hasattr(weight, "name")):
            raise TypeError(
                f"var_list must be a list of weights; it holds {shown(weight)}."
            )
    return weights


def _texts(name: str, texts: Any) -> list[str]:
    is_list = texts is None or (
        isinstance(texts, (Sequence, Set)) and not isinstance(texts, (str, bytes))
    )
    if not is_list or any(not isinstance(text, str) for text in texts or ()):
        raise TypeError(f"{name} must be a list of texts; received {shown(texts)}.")
    return [str(text) for text in texts or ()]


def _positions(positions: Any) -> tuple[int, ...]:
    is_list = isinstance(positions, Sequence) and not isinstance(positions, str)
    found = [
        int(position)
        for position in (positions if is_list else ())
        if isinstance(position, numbers.Integral) and not isinstance(position, bool)
    ]
    if not is_list or len(found) < len(positions):
        raise TypeError(
            f"positions of {_OPTION} must be None or a list of integers; received "
            f"{shown(positions)}."
        )
    if any(position < 0 for position in found):
        raise ValueError(
            f"positions of {_OPTION} must be at least 0; received {shown(positions)}."
        )
    return tuple(found)


def path_of(variable: Any) -> str:
    """A variable's path within its model, or its name where it has no path."""
    return getattr(variable, "path", None) or variable.name

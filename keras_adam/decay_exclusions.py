"""Which weights the weight decay leaves out, in a form that can be saved.

Keras remembers excluded weights by their identity, which no file can hold, and
forgets them on saving. A weight's path alone does not do either: the same layer is
``sequential/dense/kernel`` in one model and ``dense/kernel`` after loading. Once the
optimizer is built the position among its weights is known, and that is saved.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True)
class DecayExclusions:
    """What ``exclude_from_weight_decay`` was told.

    Attributes:
        names: regular expressions looked for in a weight's name.
        paths: of the excluded weights, as they were when they were named.
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
    def from_config(cls, config: dict[str, Any]) -> DecayExclusions:
        """Read what :meth:`to_config` wrote."""
        positions = config.get("positions")
        return cls(
            tuple(config.get("names", ())),
            tuple(config.get("paths", ())),
            None if positions is None else tuple(positions),
        )

    def located(
        self, variables: Sequence[Any], is_excluded: Callable[[Any], bool]
    ) -> DecayExclusions:
        """The same exclusions with positions among the given weights.

        Args:
            variables: all weights that the optimizer trains, in order.
            is_excluded: whether a weight is known by identity already; true for
                none after loading.

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


def path_of(variable: Any) -> str:
    """A variable's path within its model, or its name where it has no path."""
    return getattr(variable, "path", None) or variable.name

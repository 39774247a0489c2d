"""Compiled epochs that later runs use again, of several optimizers at once."""

from __future__ import annotations

import dataclasses
import gc
import math
from collections.abc import Hashable
from typing import Any

import numpy as np

MOST_BYTES = 2**28
"""About how many bytes the variables of all kept models may have. A model that has more
than half of it is alone."""


@dataclasses.dataclass
class Kept:
    """The compiled epochs of one optimizer.

    Attributes:
        group: a `tuning.trainers.compiled_epochs.CompiledEpochs`.
        optimizer_states: first values of the optimizer's variables, by seed.
        traces: how many of the group's traces have been counted.
    """

    group: Any
    optimizer_states: dict[int, list[np.ndarray]] = dataclasses.field(
        default_factory=dict
    )
    traces: int = 0

    @property
    def size(self) -> int:
        """About the bytes of the variables of model and optimizer."""
        model = self.group.model
        variables = (*model.variables, *model.optimizer.variables)
        return 4 * sum(math.prod(variable.shape) for variable in variables)


class KeptEpochs:
    """Compiled epochs by optimizer, the oldest first.

    A sweep comes back to an optimizer: after its coarse grid, or when a search has seen
    what others gave. Compiling again would take longer than the runs of a small model.
    """

    def __init__(self) -> None:
        self._kept: dict[Hashable, Kept] = {}

    def get(self, key: Hashable) -> Kept | None:
        """What is kept for an optimizer."""
        return self._kept.get(key)

    def add(self, key: Hashable, kept: Kept) -> None:
        """Keep what has been compiled for an optimizer."""
        self._kept[key] = kept

    def any_group(self) -> Any:
        """Some compiled epochs, which hold a copy of the data; or ``None``."""
        return next((kept.group for kept in self._kept.values()), None)

    def make_room(self) -> None:
        """Free the oldest models while one more of their size would be too much."""
        while self._kept:
            sizes = [kept.size for kept in self._kept.values()]
            if sum(sizes) + max(sizes) <= MOST_BYTES:
                return
            self.free(next(iter(self._kept)))

    def forget(self, model: Any) -> None:
        """Free what was compiled for this very model with another optimizer."""
        for key in [k for k, kept in self._kept.items() if kept.group.model is model]:
            self.free(key)

    def free(self, key: Hashable) -> None:
        """Free what is kept for an optimizer, if anything is."""
        if self._kept.pop(key, None) is not None:
            gc.collect()  # model and functions refer to each other

"""A saved state that is loaded before the optimizer is built."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping, Sequence
from typing import Any

import keras

from keras_adam.state import checkpoint

logger = logging.getLogger(__name__)


class WaitingState:
    """Keeps a state until the optimizer's weights are known; false without a state."""

    def __init__(self) -> None:
        self._arrays: checkpoint.Arrays | None = None
        self._scalars: list[keras.Variable] = []
        self._scalars_before: tuple[float, ...] | None = None

    def __bool__(self) -> bool:
        return bool(self._arrays)

    def read(self, store: Any, scalars: list[keras.Variable]) -> None:
        """Assign step count and learning rate of a state, and keep the rest.

        Args:
            store: of Keras's saving format.
            scalars: step count and, if it is a number, the learning rate.

        Raises:
            ValueError: it cannot be the state of any optimizer; nothing is changed.
        """
        before = tuple(variable.numpy().item() for variable in scalars)
        self._arrays = checkpoint.read_scalars(store, scalars)
        self._scalars = scalars
        if self._scalars_before is None:
            self._scalars_before = before

    def write(self, store: MutableMapping[str, Any]) -> None:
        """Save the state as it was read."""
        for key, array in (self._arrays or {}).items():
            store[key] = array

    def forget(self) -> None:
        """Drop the state."""
        self._arrays = self._scalars_before = None

    def load(self, layout: checkpoint.Layout, weights: Sequence[str]) -> None:
        """Assign the rest of the state to the optimizer that is built now.

        Args:
            layout: of the optimizer's variables.
            weights: paths of the weights.

        Raises:
            ValueError: the state does not fit. Nothing is changed, and the state is
                kept: if a caller catches the error, training must not start from zero.
        """
        if self._arrays is None:
            return
        if checkpoint.is_of_other_weights(self._arrays, layout):
            self._start_from_zero(self._arrays, weights)
        else:
            # Step count and learning rate have been assigned already, and the learning
            # rate may have been set since.
            checkpoint.read_variables(self._arrays, layout, with_scalars=False)
        self.forget()

    def _start_from_zero(
        self, arrays: checkpoint.Arrays, weights: Sequence[str]
    ) -> None:
        """Restore step count and learning rate from before loading, and log a warning.

        Keras loads no state before building, and trains on from zero. That is right if
        layers were frozen, unfrozen or replaced. The file's step count would switch off
        the bias correction, and the first steps of weights that are not in the file
        would be several times too large.
        """
        for number, (variable, value) in enumerate(
            zip(self._scalars, self._scalars_before or (), strict=False)
        ):
            loaded, now = arrays[str(number)], variable.numpy()
            # A value that the user has set since loading stays.
            if loaded.shape == () and now == loaded.astype(now.dtype):
                variable.assign(value)
        logger.warning(
            "The optimizer state that was loaded before the first step is of other "
            "weights than those that are trained: layers were frozen, unfrozen or "
            "replaced since it was saved. It is not used. Step count, and learning "
            "rate unless it was set since, are those from before loading, and the "
            "state of all weights starts from zero: %s",
            ", ".join(weights),
        )

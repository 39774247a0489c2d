"""Steps with a NaN or an infinity in a gradient are left out (``skip_nonfinite``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_adam.backend.conditional import assign_if
from keras_adam.backend.variables import assignable
from keras_adam.control.control import Control, count_if, counted
from keras_adam.options import Options
from keras_adam.rule.finite import are_all_finite
from keras_adam.state.variable_creation import VariableCreation


class Skipping(Control):
    """Skips steps, and counts the skipped ones."""

    def __init__(self) -> None:
        self.counter: keras.Variable | None = None

    def create(self, options: Options, creation: VariableCreation) -> None:
        """Create the counter."""
        if options.skip_nonfinite:
            self.counter = creation.scalar("skipped_steps", "int")

    def variables(self) -> list[keras.Variable]:
        """The counter. It is not saved, because the saved state has Keras's form."""
        return [] if self.counter is None else [self.counter]

    @property
    def count(self) -> int:
        """How many steps have been skipped."""
        return counted(self.counter)

    def take_if_finite(
        self,
        is_finite: Any | None,
        gradients: Sequence[Any],
        take: Callable[[], None],
        iterations: keras.Variable,
        variables: Sequence[Any],
    ) -> None:
        """Take a step if all its gradients are finite.

        Args:
            is_finite: whether all gradients are finite, scalar bool; ``None`` if that
                is not known.
            gradients: checked if ``is_finite`` is ``None``.
            take: assigns variables.
            iterations: Keras's step count.
            variables: every variable that ``take`` reads or assigns.
        """

        def skip() -> None:
            count_if(self.counter, True)
            # Keras will add 1 after this call of `apply`: subtract it in advance.
            assignable(iterations).assign_sub(1)

        if is_finite is None:
            is_finite = are_all_finite(gradients)
        assign_if(is_finite, take, skip, variables)

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
    """Leaves out steps, and counts them."""

    def __init__(self) -> None:
        self.counter: keras.Variable | None = None

    def create(self, options: Options, creation: VariableCreation) -> None:
        """Create the counter."""
        if options.skip_nonfinite:
            self.counter = creation.scalar("skipped_steps", "int")

    def variables(self) -> list[keras.Variable]:
        """The counter, which is not saved: saved state has Keras's form."""
        return [] if self.counter is None else [self.counter]

    @property
    def count(self) -> int:
        """How many steps have been left out."""
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
            is_finite: whether they are, where that is known; scalar bool.
            gradients: to look at, where it is not.
            take: assigns variables.
            iterations: Keras's step count.
            variables: every variable that ``take`` reads or assigns.
        """

        def skip() -> None:
            count_if(self.counter, True)
            # Keras counts every call of `apply`; this one is taken back in advance.
            assignable(iterations).assign_sub(1)

        if is_finite is None:
            is_finite = are_all_finite(gradients)
        assign_if(is_finite, take, skip, variables)

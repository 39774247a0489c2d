"""How many steps an optimizer has taken, whatever its step count is set to."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from keras_adam.backend import variables as placement


class StepCount:
    """Counts steps, for rows that catch up with those that they missed.

    ``optimizer.iterations`` is for the user to set, for warm restarts for example; a
    row has missed no step by that. The variable is held by an object of its own, so
    that it is not one of the optimizer's variables, of which there are as many as in
    Keras.

    Attributes:
        variable: int32 scalar; ``None`` where no row ever catches up.
    """

    def __init__(self) -> None:
        self.variable: keras.Variable | None = None

    def create(self) -> None:
        """Begin to count, at 0."""
        self.variable = keras.Variable(
            0,
            dtype="int32",
            trainable=False,
            aggregation="only_first_replica",
            name="steps_taken",
        )

    def read(self) -> Any:
        """The count, an int32 scalar tensor.

        Raises:
            ValueError: nothing is counted.
        """
        if self.variable is None:
            raise ValueError("This optimizer does not count its steps for rows.")
        return placement.read(self.variable)

    @contextlib.contextmanager
    def counting(self, iterations: keras.Variable) -> Iterator[None]:
        """Count the step that is taken within, if steps are counted.

        Args:
            iterations: the optimizer's count, which a step that is left out has
                counted down.
        """
        if self.variable is None:
            yield
            return
        before = placement.read(iterations)
        yield
        taken = 1 + placement.read(iterations) - before
        self.variable.assign_add(ops.cast(taken, "int32"))

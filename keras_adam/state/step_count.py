"""How many steps an optimizer has taken, even if the user sets its step count."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from keras_adam.backend import variables as placement


class StepCount:
    """Counts steps, for rows that catch up with those that they missed.

    Users may set ``optimizer.iterations``, for example for warm restarts. That does not
    make a row miss a step. The variable belongs to this object, because the optimizer
    must have as many variables as in Keras.

    Attributes:
        variable: int32 scalar; ``None`` where no row ever catches up.
    """

    def __init__(self) -> None:
        self.variable: keras.Variable | None = None

    def create(self) -> None:
        """Begin to count at 0."""
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
        """Count the step that is taken inside this context, if steps are counted.

        Args:
            iterations: the optimizer's step count, from which a skipped step has
                subtracted 1.
        """
        if self.variable is None:
            yield
            return
        before = placement.read(iterations)
        yield
        taken = 1 + placement.read(iterations) - before
        self.variable.assign_add(ops.cast(taken, "int32"))

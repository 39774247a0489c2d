"""One weight and everything that is kept of it between steps."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras

from keras_adam.backend.variables import native_variable


class WeightState(NamedTuple):
    """The variables of a weight; ``None`` where it has no such one.

    Attributes:
        parameter: the weight.
        momentum: codes of its first moment.
        velocity: codes of its second moment.
        velocity_hat: codes of the largest second moment, with AMSGrad.
        momentum_scale: one scale per block, where the storage has scales.
        velocity_scale: likewise.
        remainder: what a low-precision weight has lost by rounding.
        last_step: per row, where rows are stepped alone and catch up.
    """

    parameter: Any
    momentum: Any
    velocity: Any
    velocity_hat: Any = None
    momentum_scale: Any = None
    velocity_scale: Any = None
    remainder: Any = None
    last_step: Any = None

    def as_argument(self) -> WeightState:
        """In a form that a compiled function can be given: TensorFlow's variables.

        On the other backends a value is no variable, and no function is compiled.
        """
        if keras.backend.backend() != "tensorflow":
            return self
        return WeightState(
            *(None if part is None else native_variable(part) for part in self)
        )

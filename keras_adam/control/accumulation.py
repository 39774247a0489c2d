"""Several gradients make one step (``gradient_accumulation_steps``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from keras_adam.backend.conditional import assign_if
from keras_adam.backend.variables import read
from keras_adam.control.control import Control
from keras_adam.state.weight_state import WeightState


class Accumulation(Control):
    """Sums gradients, and takes a step by their mean once there are enough.

    Keras creates the sums, one per weight.
    """

    def take_when_complete(
        self,
        gradients: Sequence[Any],
        weights: Sequence[WeightState],
        all_weights: Sequence[WeightState],
        micro_batches: int,
        take: Callable[[list[Any]], None],
        iterations: keras.Variable,
        variables: Sequence[Any],
    ) -> None:
        """Add gradients to the sums, or take a step by the mean.

        Args:
            gradients: one per weight.
            weights: those that have a gradient.
            all_weights: of the optimizer; their sums are set to zero after a step.
            micro_batches: how many gradients make a step.
            take: called with the means; assigns variables.
            iterations: Keras's step count, which counts micro-batches.
            variables: every variable that is read or assigned.
        """
        totals = [
            read(weight.accumulator) + gradient
            for weight, gradient in zip(weights, gradients, strict=True)
        ]

        def take_by_mean() -> None:
            take([total / micro_batches for total in totals])
            for weight in all_weights:
                accumulator = weight.accumulator
                if accumulator is not None:
                    zero = ops.zeros(accumulator.shape, dtype=accumulator.dtype)
                    weight.assign(accumulator, zero)

        def keep_totals() -> None:
            for weight, total in zip(weights, totals, strict=True):
                weight.assign(weight.accumulator, total)

        is_complete = (read(iterations) + 1) % micro_batches == 0
        assign_if(is_complete, take_by_mean, keep_totals, variables)

"""Moving averages of the weights (``use_ema``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from keras_adam.backend.conditional import assign_if
from keras_adam.backend.variables import read
from keras_adam.control.control import Control
from keras_adam.options import Options
from keras_adam.rule.averaging import update_average
from keras_adam.state.weight_state import WeightState


class Averaging(Control):
    """Averages weights, and overwrites the weights by their averages.

    Keras creates the averages, one per weight.
    """

    def update(
        self,
        weights: Sequence[WeightState],
        options: Options,
        update_count: Any,
        variables: Sequence[Any],
    ) -> None:
        """Update the averages of the weights, after a step.

        Args:
            weights: all weights of the optimizer.
            options: of the optimizer.
            update_count: how many updates there have been before, scalar.
            variables: every variable that is read or assigned.
        """
        is_first = ops.equal(update_count, 0)
        for weight in weights:
            if weight.average is None:
                continue
            if not weight.is_trained:
                # An integer weight: not averaged, but Keras's files have an average.
                weight.assign(weight.average, read(weight.parameter))
                continue
            updated = update_average(
                read(weight.average),
                weight.read_parameter(),
                options.ema_momentum,
                is_first,
            )
            weight.assign(weight.average, updated)
        if not options.ema_overwrite_frequency:
            return
        # A layer that was frozen after building keeps its weights.
        free = [weight for weight in weights if is_trainable(weight.parameter)]
        assign_if(
            (update_count + 1) % options.ema_overwrite_frequency == 0,
            lambda: self.overwrite(free),
            lambda: None,
            variables,
        )

    def overwrite(self, weights: Sequence[WeightState]) -> None:
        """Overwrite the weights by their averages."""
        for weight in weights:
            if weight.average is not None and weight.is_trained:
                # A copy: in its next step JAX donates the memory of each variable, so
                # two variables must not share it.
                weight.write_parameter(ops.copy(read(weight.average)))


def is_trainable(variable: Any) -> bool:
    """Whether a weight is trainable now: a layer may be frozen at any time."""
    return bool(getattr(variable, "trainable", True))

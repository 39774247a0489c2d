"""What every part of a step has access to."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, NamedTuple

from keras import ops

from keras_adam.control.controls import Controls
from keras_adam.options import Options
from keras_adam.rule import adam
from keras_adam.state.optimizer_state import OptimizerState
from keras_adam.state.weight_state import WeightState


class LearningRates(NamedTuple):
    """The controlled learning rate of a step, without and with the bias correction."""

    plain: Any
    corrected: Any


@dataclasses.dataclass(frozen=True)
class StepContext:
    """The state, the options and the controls of an optimizer.

    Attributes:
        state: what is kept between steps.
        options: as they are set now.
        controls: what is added to Adam's own step.
    """

    state: OptimizerState
    options: Options
    controls: Controls

    def update_count(self) -> Any:
        """How many updates there have been: a scalar tensor."""
        return self.state.update_count(self.options)

    def decays(self, weight: WeightState) -> bool:
        """Whether weight decay shrinks a weight."""
        return self.options.weight_decay is not None and weight.is_decayed

    def learning_rates(
        self, learning_rate: Any, weights: Iterable[WeightState]
    ) -> dict[str, LearningRates]:
        """The learning rate of this step in each compute dtype.

        Computed once per step, not once per weight: it would be half of a small
        weight's graph.

        Args:
            learning_rate: the given one, before any control.
            weights: of the step.
        """
        options = self.options
        rates = {}
        learning_rate = self.controls.learning_rate.controlled(learning_rate, options)
        for dtype in sorted({weight.dtype for weight in weights}):
            plain = ops.cast(learning_rate, dtype)
            corrected = adam.bias_corrected_rate(
                plain,
                ops.cast(self.update_count() + 1, dtype),
                options.beta_1,
                options.beta_2,
            )
            rates[dtype] = LearningRates(plain, corrected)
        return rates

    def adapt_learning_rate(self, alignments: Any, learning_rate: Any) -> None:
        """Adapt the learning rate for the next step, if it is controlled."""
        if self.options.controls_learning_rate:
            self.controls.learning_rate.adapt(
                alignments, learning_rate, self.options, self.update_count()
            )

    def scalars(self) -> list[Any]:
        """The variables of a step that belong to no weight."""
        count = self.state.steps_taken.variable
        return [
            self.state.iterations,
            *self.controls.variables(),
            *([] if count is None else [count]),
        ]

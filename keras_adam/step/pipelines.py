"""The pipelines of an optimizer, each planned once."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from keras_adam.backend.gradients import is_by_rows
from keras_adam.control.averaging import is_trainable
from keras_adam.control.controls import Controls
from keras_adam.options import Options
from keras_adam.state.optimizer_state import OptimizerState
from keras_adam.state.weight_state import WeightState
from keras_adam.step.context import StepContext
from keras_adam.step.pipeline import CustomRule, Pipeline

MOST_PIPELINES = 64
"""The most pipelines that are kept, since an option may change at every step."""


class Pipelines:
    """Plans a step once for each set of weights, of gradients by rows, and of options.

    Args:
        state: of the optimizer.
        controls: of the optimizer.
        custom_rule: a subclass's own rule, which replaces Adam's.
        is_shareable: see `Pipeline`.
    """

    def __init__(
        self,
        state: OptimizerState,
        controls: Controls,
        custom_rule: CustomRule | None,
        *,
        is_shareable: bool,
    ) -> None:
        self._state = state
        self._controls = controls
        self._custom_rule = custom_rule
        self._is_shareable = is_shareable
        self._pipelines: dict[Hashable, Pipeline] = {}

    def pipeline(
        self,
        options: Options,
        weights: Sequence[WeightState],
        gradients: Sequence[Any],
    ) -> Pipeline:
        """The pipeline of a step.

        Args:
            options: as they are set now.
            weights: that have a gradient.
            gradients: one per weight.
        """
        by_rows = tuple(
            self._are_rows_stepped(options, weight, gradient)
            for weight, gradient in zip(weights, gradients, strict=True)
        )
        # Averages do not overwrite a weight that has been frozen since building.
        trainable = (
            tuple(is_trainable(weight.parameter) for weight in self._state.weights)
            if options.use_ema
            else ()
        )
        key = (tuple(w.index for w in weights), by_rows, options, trainable)
        if key not in self._pipelines:
            if len(self._pipelines) >= MOST_PIPELINES:
                self._pipelines.pop(next(iter(self._pipelines)))
            self._pipelines[key] = Pipeline(
                key,
                StepContext(self._state, options, self._controls),
                weights,
                by_rows,
                self._custom_rule,
                is_shareable=self._is_shareable,
            )
        return self._pipelines[key]

    def _are_rows_stepped(
        self, options: Options, weight: WeightState, gradient: Any
    ) -> bool:
        """Whether a weight is stepped by the rows of its gradient.

        With ``"catch_up"``, only large tables are. Stepping a small table as a whole
        costs less, and is exact where catching up is approximate.
        """
        if options.sparse_updates == "dense" or not is_by_rows(gradient):
            return False
        return not options.rows_catch_up or weight.variables.last_step is not None

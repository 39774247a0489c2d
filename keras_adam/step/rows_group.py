"""A table of which a step touches only some rows."""

from __future__ import annotations

import dataclasses
from typing import Any

from keras import ops

from keras_adam.backend.rows import SummedRows, reads_after, share_reads, sum_repeated
from keras_adam.rule import adam
from keras_adam.rule import learning_rate as rate_rule
from keras_adam.rule.learning_rate import Alignment
from keras_adam.state.weight_state import WeightState
from keras_adam.step.context import LearningRates, StepContext
from keras_adam.step.weight_step import step_weight


@dataclasses.dataclass(frozen=True)
class RowsGroup:
    """One weight, stepped by the rows of its gradient.

    Attributes:
        context: of the step.
        weight: the table.
    """

    context: StepContext
    weight: WeightState

    def prepare(self, gradient: Any) -> SummedRows:
        """The gradient with repeated ids summed.

        Args:
            gradient: ``tf.IndexedSlices``.
        """
        row = self.weight.shape[1:]
        return sum_repeated(gradient.values, gradient.indices, row)

    def step(self, gradient: SummedRows, rates: dict[str, LearningRates]) -> None:
        """Step the rows that have a gradient.

        Args:
            gradient: from `prepare`, after clipping.
            rates: learning rates by dtype.
        """
        with reads_after(gradient):
            step_weight(
                self.context, self.weight, gradient.per_id(), rates, gradient.ids
            )

    def finish(self) -> None:
        """Let reads of the whole table share its memory again."""
        share_reads(self.weight.parameter)

    def alignments(self, gradient: SummedRows) -> list[Alignment]:
        """How far the rows' gradients keep the direction of the last step.

        The moments are used as stored: those of a row that is behind have not decayed
        yet. So its part has the same direction as in a dense step, but weighs more.
        """
        options = self.context.options
        if options.rate_adaptation is None:
            return []
        moments = self.weight.read_moments(gradient.ids)
        rows = ops.cast(gradient.once_per_id(), moments.first.dtype)
        # As in a dense step, v contains this gradient: else a row would weigh too much.
        after = adam.update_moments(rows, moments, options.beta_1, options.beta_2)
        along = rate_rule.along_last_step(rows, moments.first, after.second)
        return [rate_rule.alignment([along])]

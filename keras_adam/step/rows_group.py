"""A table of which a step touches some rows only."""

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
            gradient: from `prepare`, clipped since.
            rates: by dtype.
        """
        with reads_after(gradient):
            step_weight(
                self.context, self.weight, gradient.per_id(), rates, gradient.ids
            )

    def finish(self) -> None:
        """Let reads of the whole table share its memory again."""
        share_reads(self.weight.parameter)

    def alignments(self, gradient: SummedRows) -> list[Alignment]:
        """How far the rows' gradients go on in the direction of the last step.

        Beside their moments as stored: those of a row that is behind have not decayed.
        Its part weighs more than in a dense step, in the direction that it has there.
        """
        options = self.context.options
        if options.rate_adaptation is None:
            return []
        moments = self.weight.read_moments(gradient.ids)
        rows = ops.cast(gradient.once_per_id(), moments.first.dtype)
        # As in a dense step: beside a v without this gradient, a row would outweigh.
        after = adam.update_moments(rows, moments, options.beta_1, options.beta_2)
        along = rate_rule.along_last_step(rows, moments.first, after.second)
        return [rate_rule.alignment([along])]

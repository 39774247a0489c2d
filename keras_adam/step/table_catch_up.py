"""Brings whole tables up to date after steps of only the rows that had a gradient."""

from __future__ import annotations

from typing import Any

from keras import ops

from keras_adam.backend.rows import share_reads
from keras_adam.backend.variables import is_replicated
from keras_adam.state.weight_state import WeightState
from keras_adam.step.context import StepContext
from keras_adam.step.weight_step import caught_up

_ENTRIES_AT_ONCE = 2**22
"""How many entries catch up at a time, since this needs several times their memory."""


def catch_up_table(
    context: StepContext, weight: WeightState, learning_rate: Any
) -> None:
    """Take all steps that the rows of a table have missed.

    Args:
        context: of the optimizer.
        weight: the table.
        learning_rate: the given one, scalar.
    """
    if is_replicated(weight.parameter):
        _catch_up_rows(context, weight, learning_rate, None)
        return
    rows = weight.shape[0]
    rows_at_once = max(1, rows * _ENTRIES_AT_ONCE // weight.size)
    for first in range(0, rows, rows_at_once):
        end = min(first + rows_at_once, rows)
        ids = ops.arange(first, end, dtype="int32")
        _catch_up_rows(context, weight, learning_rate, ids)
    share_reads(weight.parameter)


def _catch_up_rows(
    context: StepContext, weight: WeightState, learning_rate: Any, ids: Any | None
) -> None:
    options, state = context.options, context.state
    rate = context.controls.learning_rate.controlled(
        ops.cast(learning_rate, weight.dtype), options
    )
    parameter, moments = caught_up(
        context,
        weight,
        weight.read_parameter(ids),
        weight.read_moments(ids),
        rate,
        ids,
    )
    weight.write_moments(moments, context.update_count() + 1, ids)
    weight.write_parameter(parameter, ids)
    last_step = weight.read_last_step(ids)
    weight.write_last_step(ops.where(last_step == 0, 0, state.steps_taken.read()), ids)

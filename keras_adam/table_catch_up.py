"""Whole tables brought up to date, where rows were stepped only when they came up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from keras import ops

from keras_adam.adam_step import AdamStep
from keras_adam.backend import precision
from keras_adam.backend.rows import read_rows, share_reads
from keras_adam.backend.variables import is_replicated

_ENTRIES_AT_ONCE = 2**22
"""Catching up a whole table needs several times the memory of what is done at once."""


class TableCatchUp(AdamStep):
    """What `keras_adam.Adam` does with rows that are behind when training ends."""

    def finalize_variable_values(self, var_list: Sequence[Any]) -> None:
        """Take all missed steps of rows, then do as without rows.

        ``fit`` calls it after the last epoch; a loop of one's own should, before the
        weights are used.

        Args:
            var_list: weights, all or some of those the optimizer was built with.

        Raises:
            ValueError: other weights.
        """
        if self._catches_up():
            self._check_variables_are_known(var_list)
            for variable in var_list:
                if self._last_steps[self._get_variable_index(variable)] is not None:
                    self._catch_up_table(variable)
        super().finalize_variable_values(var_list)

    def _catch_up_table(self, variable: Any) -> None:
        if is_replicated(variable):
            self._catch_up_rows(variable, None)
            return
        rows = variable.shape[0]
        rows_at_once = max(1, rows * _ENTRIES_AT_ONCE // math.prod(variable.shape))
        for first in range(0, rows, rows_at_once):
            end = min(first + rows_at_once, rows)
            self._catch_up_rows(variable, ops.arange(first, end, dtype="int32"))
        share_reads(variable)

    def _catch_up_rows(self, variable: Any, ids: Any | None) -> None:
        state = self._state_of(variable)
        parameter, moments = self._caught_up(
            self._read_parameter(state, ids),
            self._read_moments(state, ids),
            state,
            self._controlled_rate(
                ops.cast(self.learning_rate, precision.compute_dtype(variable))
            ),
            self._decays(variable),
            ids,
        )
        stream = self._get_variable_index(variable)
        self._write_moments(state, moments, stream, ids)
        self._write_parameter(state, parameter, ids)
        last_step = read_rows(state.last_step, ids)
        step = ops.where(last_step == 0, 0, self._steps_taken.read())
        self._assign(state.last_step, step, ids)

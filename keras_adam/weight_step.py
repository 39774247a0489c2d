"""One weight's step: decay it, update its moments, move it along them.

Reads and assigns variables, and leaves every calculation to `update_rule` and
`precision`. Under ``tf.distribute`` each device runs it on its own copy of the
variables.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from keras_adam import precision, update_rule
from keras_adam.adam_state import AdamState
from keras_adam.gradients import as_dense
from keras_adam.moment_storage import Codec, largest_magnitudes, within_float32
from keras_adam.placement import read
from keras_adam.rounding_noise import random_bits
from keras_adam.sparse_rows import assign_rows, read_rows
from keras_adam.update_rule import Moments
from keras_adam.xla_fusion import fuses_several_outputs

NO_SCALES = Moments(None, None)
"""Of moments whose codes are values by themselves."""


class Rate(NamedTuple):
    """A step's learning rate, as given and with the bias correction."""

    plain: Any
    corrected: Any


class WeightStep(AdamState):
    """The step of one weight, by options that `keras_adam.Adam` sets."""

    beta_1: float
    beta_2: float
    epsilon: float

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Step one weight: decay, both moments, the weight itself.

        Args:
            gradient: of the weight's shape, clipped already.
            variable: the weight, a Keras or backend variable.
            learning_rate: scalar.
        """
        self._step_weight(gradient, variable, self._rates(learning_rate, [variable]))

    def _rates(self, learning_rate: Any, variables: Sequence[Any]) -> dict[str, Rate]:
        """The rate of this step in each dtype that is computed in.

        Once per step and not per weight: it is half of a small weight's graph.
        """
        rates = {}
        for dtype in sorted({precision.compute_dtype(v) for v in variables}):
            plain = ops.cast(learning_rate, dtype)
            corrected = update_rule.bias_corrected_rate(
                plain, ops.cast(self.iterations + 1, dtype), self.beta_1, self.beta_2
            )
            rates[dtype] = Rate(plain, corrected)
        return rates

    def _step_weight(
        self,
        gradient: Any,
        variable: Any,
        rates: dict[str, Rate],
        ids: Any | None = None,
    ) -> None:
        """Step a weight, or only the rows ``ids`` of it if they are given."""
        dtype = precision.compute_dtype(variable)
        index = self._get_variable_index(variable)
        parameter = self._read_parameter(variable, index, dtype, ids)
        moments = self._read_moments(index, ids)
        if ids is not None and self._last_steps[index] is not None:
            parameter, moments = self._caught_up(
                parameter, moments, variable, rates[dtype].plain, ids
            )
        storage = self._storage_of(variable)
        gradient = storage.arrange(ops.cast(as_dense(gradient), dtype))
        updated = update_rule.update_moments(
            gradient, moments, self.beta_1, self.beta_2
        )
        kept = self._write_moments(
            index, updated, ids, self._next_scales(index, gradient)
        )
        along = kept
        if self._is_encoded(variable):
            along = update_rule.within_largest_ratio(along, self.beta_1, self.beta_2)
            along = along.map(lambda part: storage.restore(part, variable.shape))
        elif fuses_several_outputs():
            along = self._restated(gradient, moments)
        parameter = self._moved(parameter, along, rates[dtype], self._decays(variable))
        self._write_parameter(variable, index, parameter, ids)
        self._write_last_step(index, self.iterations + 1, ids)

    def _restated(self, gradient: Any, moments: Moments) -> Moments:
        return update_rule.restated_moments(gradient, moments, self.beta_1, self.beta_2)

    def _moved(self, parameter: Any, along: Moments, rate: Rate, decays: bool) -> Any:
        """A parameter after its decay and its step; all of one shape."""
        if decays:
            parameter = update_rule.decay_weights(
                parameter, rate.plain, self.weight_decay
            )
        return update_rule.step_along_moments(
            parameter, along, rate.corrected, self.epsilon
        )

    def _decays(self, variable: Any) -> bool:
        return self.weight_decay is not None and self._use_weight_decay(variable)

    def _caught_up(
        self,
        parameter: Any,
        moments: Moments,
        variable: Any,
        learning_rate: Any,
        ids: Any,
    ) -> tuple[Any, Moments]:
        """Rows and their moments as they would be if no step had been missed."""
        last_step = read_rows(self._last_steps[self._get_variable_index(variable)], ids)
        # A row that never had a gradient has no momentum; nothing is due.
        missed = ops.where(last_step == 0, 0, self._step_count(last_step) - last_step)
        per_row = (-1, *(1 for _ in variable.shape[1:]))
        return update_rule.catch_up(
            parameter,
            moments,
            ops.cast(ops.reshape(last_step, per_row), parameter.dtype),
            ops.cast(ops.reshape(missed, per_row), parameter.dtype),
            learning_rate,
            self.beta_1,
            self.beta_2,
            self.epsilon,
            float(self.weight_decay or 0) if self._decays(variable) else 0.0,
        )

    def _step_count(self, like: Any) -> Any:
        return ops.cast(self.iterations, like.dtype)

    def _write_last_step(self, index: int, step: Any, ids: Any | None) -> None:
        """Note the step up to which rows are stepped; all rows without ``ids``."""
        variable = self._last_steps[index]
        if variable is not None:
            length = variable.shape if ids is None else ops.shape(ids)
            self._assign(variable, ops.full(length, step, "int32"), ids)

    def _read_moments(self, index: int, ids: Any | None = None) -> Moments:
        first, second = self._storage_of(self._trainable_variables[index])
        scales = self._read_scales(index)
        return Moments(
            first.decode(read_rows(self._momentums[index], ids), scales.first),
            second.decode(read_rows(self._velocities[index], ids), scales.second),
            second.decode(read_rows(self._velocity_hats[index], ids), None)
            if self.amsgrad
            else None,
        )

    def _write_moments(
        self,
        index: int,
        moments: Moments,
        ids: Any | None = None,
        scales: Moments = NO_SCALES,
    ) -> Moments:
        """Store moments; returns what will be read of them."""
        variable = self._trainable_variables[index]
        first, second = self._storage_of(variable)
        bits = None
        if self._is_encoded(variable):
            shape = self._storage_of(variable).stored_shape(variable.shape)
            bits = random_bits(self.iterations + 1, index, shape, ids)

        def keep(variables: Any, codec: Codec, values: Any, scales: Any) -> Any:
            codes = codec.encode(values, scales, bits)
            self._assign(variables[index], codes, ids)
            return codec.decode(codes, scales)

        kept = Moments(
            keep(self._momentums, first, moments.first, scales.first),
            keep(self._velocities, second, moments.second, scales.second),
            keep(self._velocity_hats, second, moments.largest_second, None)
            if self.amsgrad
            else None,
        )
        if scales.first is not None:
            self.assign(self._momentum_scales[index], scales.first)
            self.assign(self._velocity_scales[index], scales.second)
        return kept

    def _read_scales(self, index: int) -> Moments:
        if self._momentum_scales[index] is None:
            return NO_SCALES
        return Moments(
            read(self._momentum_scales[index]), read(self._velocity_scales[index])
        )

    def _next_scales(self, index: int, gradient: Any) -> Moments:
        """Bounds on the moments after a step: those of the largest entries."""
        scales = self._read_scales(index)
        if scales.first is None:
            return scales
        scales = update_rule.update_moments(
            largest_magnitudes(gradient), scales, self.beta_1, self.beta_2
        )
        return scales._replace(second=within_float32(scales.second))

    def _read_parameter(
        self, variable: Any, index: int, dtype: str, ids: Any | None = None
    ) -> Any:
        remainder = self._rounding_errors[index]
        if remainder is None:
            return ops.cast(read_rows(variable, ids), dtype)
        return precision.join(
            read_rows(variable, ids), read_rows(remainder, ids), dtype
        )

    def _write_parameter(
        self, variable: Any, index: int, parameter: Any, ids: Any | None = None
    ) -> None:
        remainder = self._rounding_errors[index]
        if remainder is None:
            self._assign(variable, parameter, ids)
            return
        rounded, lost = precision.split(
            parameter, keras.backend.standardize_dtype(variable.dtype)
        )
        self._assign(variable, rounded, ids)
        self._assign(remainder, lost, ids)

    def _assign(self, variable: Any, value: Any, ids: Any | None) -> None:
        """Assign a variable, or only the rows ``ids`` of it if they are given."""
        if ids is None:
            self.assign(variable, value)
        else:
            assign_rows(variable, ids, ops.cast(value, variable.dtype))

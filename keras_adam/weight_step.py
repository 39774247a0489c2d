"""One weight's step: decay it, update its moments, move it along them.

Reads and assigns variables, and leaves every calculation to `update_rule` and
`precision`. Under ``tf.distribute`` each device runs it on its own copy of the
variables.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from keras_adam.backend import precision
from keras_adam.backend.gradients import as_dense
from keras_adam.backend.rows import assign_rows, read_rows
from keras_adam.backend.variables import read
from keras_adam.backend.xla_fusion import fuses_several_outputs
from keras_adam.rule import adam as update_rule
from keras_adam.rule import learning_rate as rate_control
from keras_adam.rule.adam import Moments
from keras_adam.rule.learning_rate import Agreement, RateState
from keras_adam.rule.sampling import sampled, sampled_share
from keras_adam.state.weight_state import WeightState
from keras_adam.state_reading import StateReading
from keras_adam.storage import (
    Codec,
    largest_magnitudes,
    random_bits,
    within_float32,
)

NO_SCALES = Moments(None, None)
"""Of moments whose codes are values by themselves."""


class Rate(NamedTuple):
    """A step's learning rate, as given and with the bias correction."""

    plain: Any
    corrected: Any


class _Sampled(NamedTuple):
    """Entries of a gradient and of the moments that have taken it in.

    Attributes:
        gradient: flat, float32.
        first: likewise.
        second: likewise.
        weight: how many entries of the weight each of these stands for.
    """

    gradient: Any
    first: Any
    second: Any
    weight: float


def _joined(parts: Sequence[Any]) -> Any:
    return parts[0] if len(parts) == 1 else ops.concatenate(parts)


class WeightStep(StateReading):
    """The step of one weight, by options that `keras_adam.Adam` sets."""

    epsilon: float
    rate_cap_softness: float
    rate_growth_limit: float | None

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

        Args:
            learning_rate: the given one, before any control.
            variables: the weights.
        """
        rates = {}
        learning_rate = self._controlled_rate(learning_rate)
        for dtype in sorted({precision.compute_dtype(v) for v in variables}):
            plain = ops.cast(learning_rate, dtype)
            corrected = update_rule.bias_corrected_rate(
                plain,
                ops.cast(self._update_count() + 1, dtype),
                self.beta_1,
                self.beta_2,
            )
            rates[dtype] = Rate(plain, corrected)
        return rates

    def _rate_state(self, learning_rate: Any) -> RateState:
        """The controlled rate's state for a step at the given rate.

        Raises:
            ValueError: the optimizer was built without control.
        """
        if self._log_rate_multiplier is None:
            raise ValueError(
                "rate_cap or rate_adaptation was set on an optimizer that was built "
                "without both and keeps nothing for them. Create a new one with "
                "Adam(..., rate_cap=..., rate_adaptation=...) or Adam.robust(...)."
            )
        before = RateState(read(self._log_rate_multiplier), read(self._peak_rate))
        rate = ops.cast(learning_rate, "float32")
        return rate_control.capped(before, rate, self.rate_cap, self.rate_cap_softness)

    def _controlled_rate(self, learning_rate: Any) -> Any:
        if not self._controls_rate():
            return learning_rate
        learning_rate = ops.convert_to_tensor(learning_rate)
        multiplier = ops.exp(self._rate_state(learning_rate).log_multiplier)
        return learning_rate * ops.cast(multiplier, learning_rate.dtype)

    def _adapt_rate(self, agreements: Sequence[Agreement], learning_rate: Any) -> None:
        """Note what this step says of the rate of the next one."""
        if not self._controls_rate():
            return
        state = self._rate_state(learning_rate)
        if self.rate_adaptation is not None:
            state = rate_control.adapted(
                state,
                agreements,
                ops.cast(learning_rate, "float32"),
                ops.cast(self._update_count() + 1, "float32"),
                self.rate_adaptation,
                self.rate_cap,
                self.rate_growth_limit,
            )
        self.assign(self._log_rate_multiplier, state.log_multiplier)
        self.assign(self._peak_rate, state.peak)

    def _along_last_step(self, gradient: Any, after: Moments) -> list[_Sampled]:
        """What a gradient says of the rate: one sample, or none if nobody asks.

        Args:
            gradient: as it went into the moments.
            after: the moments since.
        """
        if self.rate_adaptation is None:
            return []
        share = sampled_share(math.prod(gradient.shape))
        parts = (sampled(part) for part in (gradient, after.first, after.second))
        gradient, first, second = (
            ops.cast(ops.reshape(part, (-1,)), "float32") for part in parts
        )
        return [_Sampled(gradient, first, second, 1 / share)]

    def _agreements(self, samples: Sequence[_Sampled]) -> list[Agreement]:
        """What several gradients say of the rate together, if they say anything."""
        if not samples:
            return []
        # Joined before anything is computed: XLA compiles a sum over what it has to
        # compute and to join for each of two sums twice as long.
        gradient, first, second = (
            _joined([getattr(sample, name) for sample in samples])
            for name in ("gradient", "first", "second")
        )
        before = rate_control.first_moment_before(gradient, first, self.beta_1)
        along = rate_control.along_last_step(gradient, before, second)
        if any(sample.weight != 1 for sample in samples):
            # Each entry counts alike, in whichever pack or by whichever rows it comes.
            along = along * np.concatenate(
                [
                    np.full(sample.gradient.shape, sample.weight, "float32")
                    for sample in samples
                ]
            )
        return [rate_control.agreement([along])]

    def _step_weight(
        self,
        gradient: Any,
        variable: Any,
        rates: dict[str, Rate],
        ids: Any | None = None,
    ) -> list[Any]:
        """Step a weight, or only the rows ``ids`` of it if they are given.

        Returns:
            What its gradient says of the rate, see `_along_last_step`.
        """
        return self._step_state(
            gradient,
            self._state_of(variable),
            rates[precision.compute_dtype(variable)],
            self._get_variable_index(variable),
            self._decays(variable),
            ids,
        )

    def _step_state(
        self,
        gradient: Any,
        state: WeightState,
        rate: Rate,
        stream: Any,
        decays: bool,
        ids: Any | None = None,
    ) -> list[Any]:
        """Step a weight that is known by its variables alone.

        Args:
            gradient: of the weight's shape, or one row per id.
            state: the weight's variables, Keras's or the backend's.
            rate: in the compute dtype.
            stream: of random bits, a number of the weight's own.
            decays: whether weight decay concerns it.
            ids: of rows; ``None`` for all.

        Returns:
            What its gradient says of the rate, see `_along_last_step`; nothing where
            it comes by rows.
        """
        dtype = precision.compute_dtype(state.parameter)
        shape = tuple(state.parameter.shape)
        storage = self._storage_of(state.parameter)
        parameter = self._read_parameter(state, ids)
        moments = self._read_moments(state, ids)
        if ids is not None and state.last_step is not None:
            parameter, moments = self._caught_up(
                parameter, moments, state, rate.plain, decays, ids
            )
        gradient = storage.arrange(ops.cast(as_dense(gradient), dtype))
        updated = update_rule.update_moments(
            gradient, moments, self.beta_1, self.beta_2
        )
        scales = self._next_scales(state, gradient)
        along = kept = self._write_moments(state, updated, stream, ids, scales)
        if self._is_encoded(state.parameter):
            along = update_rule.within_largest_ratio(kept, self.beta_1, self.beta_2)
            along = along.map(lambda part: storage.restore(part, shape))
        elif fuses_several_outputs():
            along = self._restated(gradient, moments)
        self._write_parameter(state, self._moved(parameter, along, rate, decays), ids)
        if state.last_step is not None:
            self._write_last_step(state, self._steps_taken.read() + 1, ids)
        return [] if ids is not None else self._along_last_step(gradient, kept)

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
        state: WeightState,
        learning_rate: Any,
        decays: bool,
        ids: Any,
    ) -> tuple[Any, Moments]:
        """Rows and their moments as they would be if no step had been missed."""
        last_step = read_rows(state.last_step, ids)
        missed = self._missed_steps(last_step)
        per_row = (-1, *(1 for _ in state.parameter.shape[1:]))
        return update_rule.catch_up(
            parameter,
            moments,
            ops.cast(ops.reshape(last_step, per_row), parameter.dtype),
            ops.cast(ops.reshape(missed, per_row), parameter.dtype),
            learning_rate,
            self.beta_1,
            self.beta_2,
            self.epsilon,
            float(self.weight_decay or 0) if decays else 0.0,
        )

    def _write_last_step(self, state: WeightState, step: Any, ids: Any | None) -> None:
        """Note the step up to which rows are stepped; all rows without ``ids``."""
        length = state.last_step.shape if ids is None else ops.shape(ids)
        self._assign(state.last_step, ops.full(length, step, "int32"), ids)

    def _read_moments(self, state: WeightState, ids: Any | None = None) -> Moments:
        """In float32, in the shape in which they are stored."""
        storage = self._storage_of(state.parameter)
        scales = self._read_scales(state)
        return Moments(
            storage.first.decode(read_rows(state.momentum, ids), scales.first),
            storage.second.decode(read_rows(state.velocity, ids), scales.second),
            None
            if state.velocity_hat is None
            else storage.second.decode(read_rows(state.velocity_hat, ids), None),
        )

    def _write_moments(
        self,
        state: WeightState,
        moments: Moments,
        stream: Any,
        ids: Any | None = None,
        scales: Moments = NO_SCALES,
    ) -> Moments:
        """Store moments; returns what will be read of them."""
        storage = self._storage_of(state.parameter)
        bits = None
        if self._is_encoded(state.parameter):
            shape = storage.stored_shape(state.parameter.shape)
            bits = random_bits(self._update_count() + 1, stream, shape, ids)

        def keep(variable: Any, codec: Codec, values: Any, scale: Any) -> Any:
            codes = codec.encode(values, scale, bits)
            self._assign(variable, codes, ids)
            return codec.decode(codes, scale)

        kept = Moments(
            keep(state.momentum, storage.first, moments.first, scales.first),
            keep(state.velocity, storage.second, moments.second, scales.second),
            None
            if state.velocity_hat is None
            else keep(state.velocity_hat, storage.second, moments.largest_second, None),
        )
        if scales.first is not None:
            self.assign(state.momentum_scale, scales.first)
            self.assign(state.velocity_scale, scales.second)
        return kept

    def _read_scales(self, state: WeightState) -> Moments:
        if state.momentum_scale is None:
            return NO_SCALES
        return Moments(read(state.momentum_scale), read(state.velocity_scale))

    def _next_scales(self, state: WeightState, gradient: Any) -> Moments:
        """Bounds on the moments after a step: those of the largest entries."""
        scales = self._read_scales(state)
        if scales.first is None:
            return scales
        scales = update_rule.update_moments(
            largest_magnitudes(gradient), scales, self.beta_1, self.beta_2
        )
        return scales._replace(second=within_float32(scales.second))

    def _read_parameter(self, state: WeightState, ids: Any | None = None) -> Any:
        dtype = precision.compute_dtype(state.parameter)
        rounded = read_rows(state.parameter, ids)
        if state.remainder is None:
            return ops.cast(rounded, dtype)
        return precision.join(rounded, read_rows(state.remainder, ids), dtype)

    def _write_parameter(
        self, state: WeightState, parameter: Any, ids: Any | None = None
    ) -> None:
        if state.remainder is None:
            self._assign(state.parameter, parameter, ids)
            return
        rounded, lost = precision.split(
            parameter, keras.backend.standardize_dtype(state.parameter.dtype)
        )
        self._assign(state.parameter, rounded, ids)
        self._assign(state.remainder, lost, ids)

    def _assign(self, variable: Any, value: Any, ids: Any | None) -> None:
        """Assign a variable, or only the rows ``ids`` of it if they are given."""
        if ids is None:
            self.assign(variable, value)
        else:
            assign_rows(variable, ids, ops.cast(value, variable.dtype))

"""One step on one device: accumulate, clip, decay, step, average.

Reads and assigns variables, and leaves every calculation to `update_rule`,
`step_control` and `precision`. Under ``tf.distribute`` each device runs it on its own
copy of the variables.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from keras_adam import precision, step_control, update_rule
from keras_adam.adam_state import AdamState
from keras_adam.conditional import assign_if
from keras_adam.gradients import as_dense
from keras_adam.packing import Pack
from keras_adam.placement import read
from keras_adam.sparse_rows import assign_rows, read_rows
from keras_adam.step_control import Controls
from keras_adam.update_rule import Moments


class _Rate(NamedTuple):
    """A step's learning rate, as given and with the bias correction."""

    plain: Any
    corrected: Any


class _Joined(NamedTuple):
    """The gradients of a step, those of small weights put together.

    Attributes:
        gradients: one flat tensor per pack.
        parameters: likewise, of the weights.
        alone: gradients of weights that are in no pack.
    """

    gradients: list[Any]
    parameters: list[Any]
    alone: list[Any]


class AdamStep(AdamState):
    """The step of `keras_adam.Adam`, which sets the options read here."""

    beta_1: float
    beta_2: float
    epsilon: float

    def _update(
        self,
        gradients: list[Any],
        variables: list[Any],
        learning_rate: Any,
        controls: Controls | None = None,
    ) -> None:
        """One step on one device; every argument is that device's own.

        ``controls`` are given where these gradients are not all of the step's.
        """
        gradients = [
            ops.cast(as_dense(gradient), precision.compute_dtype(variable))
            for gradient, variable in zip(gradients, variables, strict=True)
        ]

        def proceed() -> None:
            self._accumulate_or_step(gradients, variables, learning_rate, controls)

        if not self.skip_nonfinite:
            proceed()
            return
        assign_if(
            controls.is_finite if controls else step_control.are_all_finite(gradients),
            proceed,
            self._skip_step,
            self._all_variables(),
        )

    def _skip_step(self) -> None:
        self._count_skipped_step()
        # Keras counts every call of `apply`; this one is taken back in advance.
        self._iterations.assign_sub(1)

    def _accumulate_or_step(
        self,
        gradients: list[Any],
        variables: list[Any],
        learning_rate: Any,
        controls: Controls | None,
    ) -> None:
        micro_batches = self.gradient_accumulation_steps
        if not micro_batches:
            self._step(gradients, variables, learning_rate, controls)
            return
        sums = [
            self._accumulated_gradients[self._get_variable_index(variable)]
            for variable in variables
        ]
        totals = [
            read(total) + gradient
            for total, gradient in zip(sums, gradients, strict=True)
        ]

        def step_by_mean() -> None:
            means = [total / micro_batches for total in totals]
            self._step(means, variables, learning_rate)
            for accumulator in self._accumulated_gradients:
                if accumulator is not None:
                    zero = ops.zeros(accumulator.shape, dtype=accumulator.dtype)
                    self.assign(accumulator, zero)

        def keep_totals() -> None:
            for accumulator, total in zip(sums, totals, strict=True):
                self.assign(accumulator, total)

        assign_if(
            (self._iterations + 1) % micro_batches == 0,
            step_by_mean,
            keep_totals,
            self._all_variables(),
        )

    def _step(
        self,
        gradients: list[Any],
        variables: list[Any],
        learning_rate: Any,
        controls: Controls | None = None,
    ) -> None:
        if self._has_own_rule():
            for gradient, variable in zip(
                self._clip(gradients), variables, strict=True
            ):
                self.update_step(gradient, variable, learning_rate)
        else:
            joined = self._join(gradients, variables)
            packed = self._step_joined(joined, variables, learning_rate, controls)
            self._assign_packed(packed, variables)
        if self.use_ema:
            self._update_averages()
            self._overwrite_on_schedule()

    def _has_own_rule(self) -> bool:
        """Keras's way to another rule: a subclass that overrides `update_step`."""
        return type(self).update_step is not AdamStep.update_step

    def _packs_small_weights(self) -> bool:
        # Another rule reads the moments of each weight by itself.
        return not self._has_own_rule()

    def _is_update_separable(self) -> bool:
        """Whether joining and assigning small weights can stand outside of the step.

        Not where the step is taken under a condition, or where something reads the
        weights after it.
        """
        return bool(self._packing.packs) and not (
            self.skip_nonfinite
            or self.gradient_accumulation_steps
            or self.use_ema
            or self.clipnorm
        )

    def _join(self, gradients: list[Any], variables: list[Any]) -> _Joined:
        """Put together what is stepped as one.

        Args:
            gradients: one per weight, clipped already if that is done per weight.
            variables: the weights.
        """
        if self.clipnorm:
            gradients = self._clip(gradients)
        of_weight = {
            self._get_variable_index(variable): (gradient, variable)
            for gradient, variable in zip(gradients, variables, strict=True)
        }
        joined = _Joined([], [], [])
        for pack in self._packing.packs:
            members = {i: of_weight.pop(i) for i in pack.indices if i in of_weight}
            if members:
                joined.gradients.append(
                    pack.join(
                        {
                            i: ops.cast(as_dense(gradient), pack.dtype)
                            for i, (gradient, _) in members.items()
                        }
                    )
                )
                joined.parameters.append(
                    pack.join(
                        {i: read(variable) for i, (_, variable) in members.items()}
                    )
                )
        joined.alone.extend(gradient for gradient, _ in of_weight.values())
        return joined

    def _step_joined(
        self,
        joined: _Joined,
        variables: list[Any],
        learning_rate: Any,
        controls: Controls | None = None,
    ) -> list[Any]:
        """Step all weights; those on their own are assigned, the packs returned.

        Args:
            joined: what `_join` returned for these weights.
            variables: the weights.
            learning_rate: scalar.
            controls: given where these gradients are not all of the step's.

        Returns:
            The new parameters of each pack that has a weight among ``variables``.
        """
        gradients = [*joined.gradients, *joined.alone]
        if not self.clipnorm:
            gradients = self._clip(gradients, controls)
        rates = self._rates(learning_rate, variables)
        present = {
            self._get_variable_index(variable): variable for variable in variables
        }
        packed = []
        for pack, parameter in zip(
            self._packs_of(present), joined.parameters, strict=True
        ):
            packed.append(
                self._step_pack(pack, present, gradients.pop(0), parameter, rates)
            )
        alone = [v for i, v in present.items() if i not in self._packing.of_weight]
        for gradient, variable in zip(gradients, alone, strict=True):
            self._step_weight(gradient, variable, rates)
        return packed

    def _assign_packed(self, packed: Sequence[Any], variables: list[Any]) -> None:
        """Assign to each small weight its part of its pack's parameters."""
        present = {
            self._get_variable_index(variable): variable for variable in variables
        }
        for pack, flat in zip(self._packs_of(present), packed, strict=True):
            for index, parameter in pack.split(flat).items():
                if index in present:
                    self.assign(present[index], parameter)

    def _packs_of(self, present: dict[int, Any]) -> list[Pack]:
        return [
            pack
            for pack in self._packing.packs
            if any(index in present for index in pack.indices)
        ]

    def _step_pack(
        self,
        pack: Pack,
        present: dict[int, Any],
        gradient: Any,
        parameter: Any,
        rates: dict[str, _Rate],
    ) -> Any:
        names = ("momentum", "velocity", *(("velocity_hat",) if self.amsgrad else ()))
        before = Moments(*(read(pack.moment(name)) for name in names))
        # All members decay or none does: that is how packs are made.
        decays = self._decays(next(present[i] for i in pack.indices if i in present))
        parameter, after = self._moved(
            parameter, gradient, before, rates[pack.dtype], decays
        )
        mask = pack.mask(present)
        for name, old, new in zip(names, before, after, strict=False):
            # A weight without a gradient keeps its moments.
            kept = new if mask is None else ops.where(mask, new, old)
            self.assign(pack.moment(name), kept)
        return parameter

    def _decays(self, variable: Any) -> bool:
        return self.weight_decay is not None and self._use_weight_decay(variable)

    def _moved(
        self, parameter: Any, gradient: Any, moments: Moments, rate: _Rate, decays: bool
    ) -> tuple[Any, Moments]:
        """A parameter and its moments after one step; all of one shape."""
        if decays:
            parameter = update_rule.decay_weights(
                parameter, rate.plain, self.weight_decay
            )
        moments = update_rule.update_moments(
            gradient, moments, self.beta_1, self.beta_2
        )
        parameter = update_rule.step_along_moments(
            parameter, moments, rate.corrected, self.epsilon
        )
        return parameter, moments

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Step one weight: decay, both moments, the weight itself.

        Args:
            gradient: of the weight's shape, clipped already.
            variable: the weight, a Keras or backend variable.
            learning_rate: scalar.
        """
        self._step_weight(gradient, variable, self._rates(learning_rate, [variable]))

    def _rates(self, learning_rate: Any, variables: Sequence[Any]) -> dict[str, _Rate]:
        """The rate of this step in each dtype that is computed in.

        Once per step and not per weight: it is half of a small weight's graph.
        """
        rates = {}
        for dtype in sorted({precision.compute_dtype(v) for v in variables}):
            plain = ops.cast(learning_rate, dtype)
            corrected = update_rule.bias_corrected_rate(
                plain, ops.cast(self.iterations + 1, dtype), self.beta_1, self.beta_2
            )
            rates[dtype] = _Rate(plain, corrected)
        return rates

    def _step_weight(
        self,
        gradient: Any,
        variable: Any,
        rates: dict[str, _Rate],
        ids: Any | None = None,
    ) -> None:
        """Step a weight, or only the rows ``ids`` of it if they are given."""
        dtype = precision.compute_dtype(variable)
        index = self._get_variable_index(variable)
        parameter, moments = self._moved(
            self._read_parameter(variable, index, dtype, ids),
            ops.cast(as_dense(gradient), dtype),
            self._read_moments(index, ids),
            rates[dtype],
            self._decays(variable),
        )
        self._write_moments(index, moments, ids)
        self._write_parameter(variable, index, parameter, ids)

    def _read_moments(self, index: int, ids: Any | None = None) -> Moments:
        return Moments(
            read_rows(self._momentums[index], ids),
            read_rows(self._velocities[index], ids),
            read_rows(self._velocity_hats[index], ids) if self.amsgrad else None,
        )

    def _write_moments(
        self, index: int, moments: Moments, ids: Any | None = None
    ) -> None:
        self._assign(self._momentums[index], moments.first, ids)
        self._assign(self._velocities[index], moments.second, ids)
        if self.amsgrad:
            self._assign(self._velocity_hats[index], moments.largest_second, ids)

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

    def _clip(self, grads: list[Any], controls: Controls | None = None) -> list[Any]:
        """Keras's clipping, without spreading non-finite entries."""
        if self.clipnorm:
            return [step_control.clip_to_norm([g], self.clipnorm)[0] for g in grads]
        if self.global_clipnorm and controls:
            return [g * ops.cast(controls.factor, g.dtype) for g in grads]
        if self.global_clipnorm:
            return step_control.clip_to_norm(grads, self.global_clipnorm)
        if self.clipvalue:
            return [ops.clip(g, -self.clipvalue, self.clipvalue) for g in grads]
        return grads

    def _update_averages(self) -> None:
        is_first = ops.equal(self.iterations, 0)
        for index, variable in enumerate(self._trainable_variables):
            average = self._model_variables_moving_average[index]
            if average is None:
                continue
            parameter = self._read_parameter(
                variable, index, precision.compute_dtype(variable)
            )
            updated = update_rule.update_average(
                read(average), parameter, self.ema_momentum, is_first
            )
            self.assign(average, updated)

    def _overwrite_on_schedule(self) -> None:
        if not self.ema_overwrite_frequency:
            return
        # A layer frozen since keeps its weights.
        free = [v for v in self._trainable_variables if getattr(v, "trainable", True)]
        assign_if(
            (self.iterations + 1) % self.ema_overwrite_frequency == 0,
            lambda: self._overwrite(free),
            lambda: None,
            self._all_variables(),
        )

    def _overwrite(self, variables: Sequence[Any]) -> None:
        for variable in variables:
            index = self._get_variable_index(variable)
            average = self._model_variables_moving_average[index]
            if average is not None:
                self._write_parameter(variable, index, read(average))

    def finalize_variable_values(self, var_list: Sequence[Any]) -> None:
        """With ``use_ema``, put the average in the place of the weights.

        ``fit`` calls it after the last epoch.

        Args:
            var_list: weights, all or some of those the optimizer was built with.

        Raises:
            ValueError: other weights.
        """
        if self.use_ema:
            self._check_variables_are_known(var_list)
            self._overwrite(var_list)

    def _all_variables(self) -> list[Any]:
        return [*self.variables, *self._trainable_variables]

"""One step on one device: accumulate, clip, step every weight, average.

Under ``tf.distribute`` each device runs it on its own copy of the variables.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from keras_adam.backend import precision
from keras_adam.backend.conditional import assign_if
from keras_adam.backend.gradients import as_dense
from keras_adam.backend.variables import assignable, read
from keras_adam.backend.xla import call
from keras_adam.packed_step import PackedStep
from keras_adam.rule import adam as update_rule
from keras_adam.rule import clipping as step_control
from keras_adam.rule.clipping import Controls
from keras_adam.storage import STORAGES, names_where
from keras_adam.weight_step import WeightStep


class AdamStep(PackedStep):
    """The step of `keras_adam.Adam`, which sets the options read here."""

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
        self._count(self._skipped_steps, True)
        # Keras counts every call of `apply`; this one is taken back in advance.
        assignable(self._iterations).assign_sub(1)

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
            (read(self._iterations) + 1) % micro_batches == 0,
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
            joined, apart = self._join(gradients, variables)
            stepped = self._step_joined(joined, variables, learning_rate, controls)
            self._step_apart(apart, stepped, variables, learning_rate, run=call)
            self._assign_packed(stepped, variables)
        if self.use_ema:
            self._update_averages()
            self._overwrite_on_schedule()

    def _has_own_rule(self) -> bool:
        """Keras's way to another rule: a subclass that overrides `update_step`."""
        return type(self).update_step is not WeightStep.update_step

    def _check_moment_storage(self) -> None:
        """Refuse options that the moment storage cannot be combined with.

        Raises:
            ValueError: the storage supports no custom rule, no single rows or no
                AMSGrad, and that is what the optimizer has.
        """
        storage = STORAGES[self.moment_storage]
        received = f'moment_storage="{self.moment_storage}" cannot be combined with '
        if self._has_own_rule() and not storage.supports_custom_rule:
            raise ValueError(
                f"{received}{type(self).__name__}, which overrides update_step: "
                f"{storage.no_custom_rule_because}. Use "
                f"{names_where(lambda one: one.supports_custom_rule)}."
            )
        if self.sparse_updates != "dense" and not storage.supports_rows:
            raise ValueError(
                f"{received}sparse_updates={self.sparse_updates!r}: "
                f"{storage.no_rows_because}. Use "
                f"{names_where(lambda one: one.supports_rows)}, or "
                'sparse_updates="dense".'
            )
        if self.amsgrad and not storage.supports_amsgrad:
            raise ValueError(
                f"{received}amsgrad=True: {storage.no_amsgrad_because}. Use "
                f"{names_where(lambda one: one.supports_amsgrad)}, or amsgrad=False."
            )

    def _check_rate_control(self) -> None:
        """Refuse what the rate cannot be adapted by.

        Raises:
            ValueError: no memory of earlier gradients, another rule than Adam's, or a
                bound that bounds nothing or forbids the given rate.
        """
        if self.rate_cap_softness and self.rate_cap is None:
            raise ValueError(
                f"rate_cap_softness={self.rate_cap_softness!r} softens rate_cap, which "
                "is off. Set rate_cap, or leave rate_cap_softness at 0."
            )
        limit = self.rate_growth_limit
        if limit is not None:
            if limit < 1:
                raise ValueError(
                    f"rate_growth_limit={limit!r} would forbid the given rate itself: "
                    "use a factor of 1 (never above the given rate) or more."
                )
            if self.rate_adaptation is None:
                raise ValueError(
                    f"rate_growth_limit={limit!r} bounds what rate_adaptation does, "
                    "which is off. Set rate_adaptation, or use Adam.robust(...)."
                )
        if self.rate_adaptation is not None and self.beta_1 == 0:
            raise ValueError(
                "rate_adaptation compares gradients with the first moment, which "
                "beta_1=0 does not keep. Use beta_1 above 0, or rate_adaptation=None."
            )
        if self._controls_rate() and self._has_own_rule():
            raise ValueError(
                f"rate_cap={self.rate_cap!r} and rate_adaptation="
                f"{self.rate_adaptation!r} control the rate of Adam's own rule, but "
                f"{type(self).__name__} overrides update_step. Use None for both."
            )

    def _packs_small_weights(self) -> bool:
        # Another rule reads the moments of each weight by itself.
        return not self._has_own_rule()

    def _is_update_separable(self) -> bool:
        """Whether parts of the step can stand outside of the compiled program.

        Not where the step is taken under a condition, by another rule, or where
        something reads the weights after it.
        """
        has_parts = self._packing.packs or any(
            map(self._is_stepped_apart, self._trainable_variables)
        )
        return bool(has_parts) and not (
            self._has_own_rule()
            or self.skip_nonfinite
            or self.gradient_accumulation_steps
            or self.use_ema
            or self.clipnorm
        )

    def _update_averages(self) -> None:
        is_first = ops.equal(self._update_count(), 0)
        for index, variable in enumerate(self._trainable_variables):
            average = self._model_variables_moving_average[index]
            if average is None:
                continue
            if not precision.is_floating(variable):
                # It is not trained, and Keras's files have an average of it.
                self.assign(average, read(variable))
                continue
            parameter = self._read_parameter(self._state_of(variable))
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
            (self._update_count() + 1) % self.ema_overwrite_frequency == 0,
            lambda: self._overwrite(free),
            lambda: None,
            self._all_variables(),
        )

    def _overwrite(self, variables: Sequence[Any]) -> None:
        for variable in variables:
            index = self._get_variable_index(variable)
            average = self._model_variables_moving_average[index]
            if average is not None and precision.is_floating(variable):
                # A copy: JAX gives the memory of each variable away in the next
                # step, and would find one that two of them share gone.
                self._write_parameter(self._state_of(variable), ops.copy(read(average)))

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

    def _variables_of_update(self, variables: Sequence[Any]) -> list[Any]:
        """All that an update of these weights reads and assigns on one device."""
        present = [self._get_variable_index(variable) for variable in variables]
        # Averages, and accumulators that are set back, are those of all weights.
        is_of_all = self.use_ema or self.gradient_accumulation_steps
        touched = range(len(self._trainable_variables)) if is_of_all else present
        return [
            *self._step_scalars(),
            *(variable for index in touched for variable in self._kept_of(index)),
            *(v for pack in self._packing.packs for v in pack.moments()),
        ]

    def _all_variables(self) -> list[Any]:
        return [*self.variables, *self._trainable_variables]

"""The Keras optimizer: wires rule, execution and Keras's options together.

No arithmetic of Adam's own happens here; it stands in `update_rule` and
`step_control`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_adam import checkpoint_layout, precision, step_control, update_rule
from keras_adam.arguments import (
    check_is_one_of,
    checked_beta,
    checked_learning_rate,
    checked_positive,
)
from keras_adam.compiled_apply import CompiledApply
from keras_adam.conditional import assign_if
from keras_adam.decay_exclusions import DecayExclusions, path_of
from keras_adam.gradients import as_dense, check_match
from keras_adam.replicated_apply import apply_on_each_replica, is_replicated
from keras_adam.update_rule import Moments


@keras.saving.register_keras_serializable(package="keras_adam")
class Adam(keras.optimizers.Optimizer):
    """Adam that plugs into ``model.compile`` and runs its update as one XLA program.

    With every option at its default it trains exactly as ``keras.optimizers.Adam``
    does, save where that one is wrong: all arithmetic and all moments are float32
    (float64 for float64 weights) whatever the weights' dtype, the moving average of
    the weights advances once per update and not once per accumulated micro-batch,
    clipping does not spread a non-finite gradient to other weights, and
    ``exclude_from_weight_decay`` is saved.

    Args:
        learning_rate: a number, a ``LearningRateSchedule`` or a callable without
            arguments.
        beta_1: decay of the first moment, in [0, 1).
        beta_2: decay of the second moment, in [0, 1).
        epsilon: the paper's "epsilon hat", outside the bias correction; positive.
        amsgrad: divide by the largest second moment so far (arXiv:1904.09237).
        weight_decay: as in ``keras.optimizers.Adam``: decoupled, scaled by the rate.
        clipnorm: bound on the norm of each weight's gradient.
        clipvalue: bound on each gradient entry's magnitude.
        global_clipnorm: bound on the norm of all gradients together.
        use_ema: keep a moving average of the weights.
        ema_momentum: decay of that average.
        ema_overwrite_frequency: updates between two overwrites of the weights by
            their average; ``None``: only at the end of ``fit``.
        loss_scale_factor: as in ``keras.optimizers.Adam``.
        gradient_accumulation_steps: micro-batches whose mean gradient makes one
            update.
        name: of the optimizer.
        jit_compile: ``"auto"`` runs each update as one XLA computation where that
            is possible and says once in the log where it is not; ``True`` raises
            there; ``False`` never compiles. TensorFlow backend; JAX compiles the
            update with its train step, torch does not compile.
        skip_nonfinite: leave weights, state and step count untouched where any
            gradient entry is NaN or infinite, and count it in ``skipped_steps``.
        **kwargs: Keras's, for compatibility.

    Raises:
        TypeError: a rate of another type.
        ValueError: an option outside its range.

    **Source**: D. P. Kingma and J. Ba, arXiv:1412.6980; weight decay: I. Loshchilov
    and F. Hutter, arXiv:1711.05101.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        *,
        jit_compile: bool | str = "auto",
        skip_nonfinite: bool = False,
        **kwargs: Any,
    ) -> None:
        check_is_one_of("jit_compile", jit_compile, ("auto", True, False))
        check_is_one_of("skip_nonfinite", skip_nonfinite, (True, False))
        super().__init__(
            learning_rate=checked_learning_rate(learning_rate),
            name=name,
            weight_decay=weight_decay,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
            loss_scale_factor=loss_scale_factor,
            gradient_accumulation_steps=gradient_accumulation_steps,
            **kwargs,
        )
        self.beta_1 = checked_beta("beta_1", beta_1)
        self.beta_2 = checked_beta("beta_2", beta_2)
        self.epsilon = checked_positive("epsilon", epsilon)
        self.amsgrad = amsgrad
        self.jit_compile = jit_compile
        self.skip_nonfinite = skip_nonfinite
        self._compiled_apply = CompiledApply(jit_compile)
        self._decay_exclusions = DecayExclusions()
        self._rounding_errors: list[keras.Variable | None] = []
        self._skipped_steps: keras.Variable | None = None
        self._waiting_state: checkpoint_layout.Arrays | None = None

    # --- state ------------------------------------------------------------------

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Create the state, in the order in which Keras's Adam saves it.

        That order is: step count, rate, averages, accumulators, then both moments
        interleaved per variable, then AMSGrad's. What Keras does not have comes
        last.

        Args:
            variables: the weights to train; the optimizer serves these alone.
        """
        if self.built:
            return
        with _outside_of_graphs():
            super().build(variables)
            self._locate_decay_exclusions(variables)
            self._momentums, self._velocities = self.add_optimizer_variables(
                variables, ["momentum", "velocity"]
            )
            if self.amsgrad:
                self._velocity_hats = self.add_optimizer_variables(
                    variables, "velocity_hat"
                )
            self._rounding_errors = [
                self._add_rounding_error(variable) for variable in variables
            ]
            if self.skip_nonfinite:
                self._skipped_steps = self.add_variable(
                    shape=(),
                    dtype="int",
                    aggregation="only_first_replica",
                    name="skipped_steps",
                )
            self._load_waiting_state()

    def add_variable_from_reference(
        self,
        reference_variable: Any,
        name: str | None = None,
        initializer: Any = "zeros",
    ) -> keras.Variable:
        """Add a state variable of a weight's shape, kept in the compute dtype."""
        wanted = precision.compute_dtype(reference_variable)
        if keras.backend.standardize_dtype(reference_variable.dtype) == wanted:
            return super().add_variable_from_reference(
                reference_variable, name=name, initializer=initializer
            )
        # Keras takes the dtype from the reference; a bfloat16 moment would lose
        # beta_2 = 0.999, which rounds to 1 there.
        return self.add_variable(
            shape=reference_variable.shape,
            initializer=initializer,
            dtype=wanted,
            name=_slot_name(reference_variable, name or "var"),
            layout=getattr(reference_variable, "_layout", None),
        )

    def _add_rounding_error(self, variable: Any) -> keras.Variable | None:
        if not precision.loses_small_steps(variable):
            return None
        if self._overwrite_variable_with_gradient(variable):
            return None
        return self.add_variable(
            shape=variable.shape,
            dtype=variable.dtype,
            name=_slot_name(variable, "rounding_error"),
            layout=getattr(variable, "_layout", None),
        )

    def save_own_variables(self, store: Any) -> None:
        """Save the state in the form of ``keras.optimizers.Adam``."""
        checkpoint_layout.write_variables(store, *self._saved_variables())

    def load_own_variables(self, store: Any) -> None:
        """Load a state that this class or ``keras.optimizers.Adam`` saved.

        Before the optimizer is built the state is kept until it is.

        Raises:
            ValueError: the state belongs to another model or to other options;
                nothing has been changed.
        """
        if not self.built:
            self._waiting_state = checkpoint_layout.copy_arrays(store)
            return
        variables, extras = self._saved_variables()
        checkpoint_layout.read_variables(
            store, variables, extras, self._unbuilt_variable_count()
        )

    def _load_waiting_state(self) -> None:
        waiting, self._waiting_state = self._waiting_state, None
        if waiting:
            self.load_own_variables(waiting)

    def _saved_variables(self) -> tuple[list[Any], list[Any]]:
        """What Keras's Adam has as well, and what only ours has."""
        extras = [error for error in self._rounding_errors if error is not None]
        not_shared = [*extras, self._skipped_steps]
        shared = [v for v in self.variables if all(v is not one for one in not_shared)]
        return shared, extras

    def _unbuilt_variable_count(self) -> int:
        """Step count and, if it is a number, the rate."""
        return 1 + isinstance(self._learning_rate, keras.Variable)

    @property
    def state_bytes(self) -> int:
        """Bytes of everything kept between steps besides step count and rate.

        Raises:
            ValueError: the optimizer has not been built yet.
        """
        if not self.built:
            raise ValueError(
                "The optimizer holds no state before it is built: call "
                "build(model.trainable_variables) or train one step first."
            )
        uncounted = (self._iterations, self._learning_rate)
        return sum(
            precision.byte_count(variable)
            for variable in self.variables
            if not any(variable is one for one in uncounted)
        )

    @property
    def skipped_steps(self) -> int:
        """How many steps `skip_nonfinite` has left out so far."""
        if self._skipped_steps is None:
            return 0
        return int(ops.convert_to_numpy(self._skipped_steps.value))

    # --- one step ---------------------------------------------------------------

    def apply(
        self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None
    ) -> None:
        """Update the weights by their gradients; builds the optimizer if need be.

        Args:
            grads: one gradient per weight; ``None`` where there is none.
            trainable_variables: the weights, if not those it was built with.

        Shapes:
            each gradient has its weight's shape.

        Raises:
            ValueError: unknown weights, gradients of another shape or number, or no
                gradient at all.
        """
        grads = list(grads)
        if trainable_variables is not None:
            trainable_variables = list(trainable_variables)
        elif self.built:
            trainable_variables = self._trainable_variables
        if trainable_variables is not None:
            check_match(grads, trainable_variables)
        if self.loss_scale_factor is not None:
            # Keras divides by the scale, which sparse gradients do not support.
            grads = [as_dense(gradient) for gradient in grads]
        super().apply(grads, trainable_variables)

    def _backend_apply_gradients(
        self, grads: Sequence[Any], trainable_variables: Sequence[Any]
    ) -> None:
        """Everything between unscaled gradients and constraints.

        The one private hook of Keras that is overridden. Its own version clips
        before replicas are summed, needs a cross-replica context inside a condition,
        and advances averages on every micro-batch; none of that can be mended from
        a public method. ``tests/test_keras_hooks.py`` fails when Keras moves it.
        """
        variables = list(trainable_variables)

        def update(gradients: Sequence[Any], learning_rate: Any) -> None:
            self._update(list(gradients), variables, learning_rate)

        is_double = keras.backend.floatx() == "float64"
        learning_rate = ops.cast(
            self.learning_rate, "float64" if is_double else "float32"
        )
        if is_replicated():
            self._compiled_apply.run_uncompiled(
                "XLA does not run inside a tf.distribute strategy"
            )
            apply_on_each_replica(update, grads, learning_rate, variables[0])
            return
        self._compiled_apply(
            update,
            [as_dense(gradient) for gradient in grads],
            learning_rate,
            variables=variables,
            key=tuple(self._get_variable_index(variable) for variable in variables),
        )

    def _update(
        self, gradients: list[Any], variables: list[Any], learning_rate: Any
    ) -> None:
        """One step on one device; every argument is that device's own."""
        gradients = [
            ops.cast(as_dense(gradient), precision.compute_dtype(variable))
            for gradient, variable in zip(gradients, variables, strict=True)
        ]

        def proceed() -> None:
            self._accumulate_or_step(gradients, variables, learning_rate)

        if not self.skip_nonfinite:
            proceed()
            return
        assign_if(
            step_control.are_all_finite(gradients),
            proceed,
            self._skip_step,
            self._all_variables(),
        )

    def _skip_step(self) -> None:
        self._skipped_steps.assign_add(1)
        # Keras counts every call of `apply`; this one is taken back in advance.
        self._iterations.assign_sub(1)

    def _accumulate_or_step(
        self, gradients: list[Any], variables: list[Any], learning_rate: Any
    ) -> None:
        micro_batches = self.gradient_accumulation_steps
        if not micro_batches:
            self._step(gradients, variables, learning_rate)
            return
        sums = [
            self._accumulated_gradients[self._get_variable_index(variable)]
            for variable in variables
        ]
        totals = [
            ops.convert_to_tensor(total) + gradient
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
        self, gradients: list[Any], variables: list[Any], learning_rate: Any
    ) -> None:
        gradients = self._clip_gradients(gradients)
        for gradient, variable in zip(gradients, variables, strict=True):
            self.update_step(gradient, variable, learning_rate)
        if self.use_ema:
            self._update_model_variables_moving_average(self._trainable_variables)
            self._overwrite_on_schedule()

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Step one weight: decay, both moments, the weight itself.

        Args:
            gradient: of the weight's shape, clipped already.
            variable: the weight, a Keras or backend variable.
            learning_rate: scalar.
        """
        dtype = precision.compute_dtype(variable)
        rate = ops.cast(learning_rate, dtype)
        index = self._get_variable_index(variable)
        parameter = self._read_parameter(variable, index, dtype)
        if self.weight_decay is not None and self._use_weight_decay(variable):
            parameter = update_rule.decay_weights(parameter, rate, self.weight_decay)
        moments = update_rule.update_moments(
            ops.cast(as_dense(gradient), dtype),
            self._read_moments(index),
            self.beta_1,
            self.beta_2,
        )
        rate = update_rule.bias_corrected_rate(
            rate, ops.cast(self.iterations + 1, dtype), self.beta_1, self.beta_2
        )
        parameter = update_rule.step_along_moments(
            parameter, moments, rate, self.epsilon
        )
        self._write_moments(index, moments)
        self._write_parameter(variable, index, parameter)

    def _read_moments(self, index: int) -> Moments:
        return Moments(
            ops.convert_to_tensor(self._momentums[index]),
            ops.convert_to_tensor(self._velocities[index]),
            ops.convert_to_tensor(self._velocity_hats[index]) if self.amsgrad else None,
        )

    def _write_moments(self, index: int, moments: Moments) -> None:
        self.assign(self._momentums[index], moments.first)
        self.assign(self._velocities[index], moments.second)
        if self.amsgrad:
            self.assign(self._velocity_hats[index], moments.largest_second)

    def _read_parameter(self, variable: Any, index: int, dtype: str) -> Any:
        remainder = self._rounding_errors[index]
        if remainder is None:
            return ops.cast(ops.convert_to_tensor(variable), dtype)
        return precision.join(
            ops.convert_to_tensor(variable), ops.convert_to_tensor(remainder), dtype
        )

    def _write_parameter(self, variable: Any, index: int, parameter: Any) -> None:
        remainder = self._rounding_errors[index]
        if remainder is None:
            self.assign(variable, parameter)
            return
        rounded, lost = precision.split(
            parameter, keras.backend.standardize_dtype(variable.dtype)
        )
        self.assign(variable, rounded)
        self.assign(remainder, lost)

    def _clip_gradients(self, grads: list[Any]) -> list[Any]:
        """Keras's clipping, without spreading non-finite entries."""
        if self.clipnorm:
            return [step_control.clip_to_norm([g], self.clipnorm)[0] for g in grads]
        if self.global_clipnorm:
            return step_control.clip_to_norm(grads, self.global_clipnorm)
        if self.clipvalue:
            return [ops.clip(g, -self.clipvalue, self.clipvalue) for g in grads]
        return grads

    # --- averages of the weights --------------------------------------------------

    def _update_model_variables_moving_average(
        self, trainable_variables: Sequence[Any]
    ) -> None:
        is_first = ops.equal(self.iterations, 0)
        for index, variable in enumerate(trainable_variables):
            average = self._model_variables_moving_average[index]
            if average is None:
                continue
            parameter = self._read_parameter(
                variable, index, precision.compute_dtype(variable)
            )
            updated = update_rule.update_average(
                ops.convert_to_tensor(average), parameter, self.ema_momentum, is_first
            )
            self.assign(average, updated)

    def _overwrite_on_schedule(self) -> None:
        if not self.ema_overwrite_frequency:
            return
        assign_if(
            (self.iterations + 1) % self.ema_overwrite_frequency == 0,
            lambda: self._overwrite_model_variables_with_average_value(
                self._trainable_variables
            ),
            lambda: None,
            self._all_variables(),
        )

    def _overwrite_model_variables_with_average_value(
        self, trainable_variables: Sequence[Any]
    ) -> None:
        for index, variable in enumerate(trainable_variables):
            average = self._model_variables_moving_average[index]
            if average is not None:
                self._write_parameter(variable, index, ops.convert_to_tensor(average))

    def _all_variables(self) -> list[Any]:
        return [*self.variables, *self._trainable_variables]

    # --- weight decay -------------------------------------------------------------

    def exclude_from_weight_decay(
        self,
        var_list: Sequence[Any] | None = None,
        var_names: Sequence[str] | None = None,
    ) -> None:
        """Leave some weights out of the weight decay; saved with the optimizer.

        Args:
            var_list: weights.
            var_names: regular expressions; a weight is left out if any is found in
                its name.

        Raises:
            ValueError: the optimizer is built already.
        """
        if self.built:
            raise ValueError(
                "exclude_from_weight_decay() must be called before the optimizer is "
                "built, that is before the first step and before build(). Create a "
                "new optimizer, exclude the weights, then train."
            )
        super().exclude_from_weight_decay(var_list=var_list, var_names=var_names)
        self._decay_exclusions = DecayExclusions(
            names=tuple(var_names or ()),
            paths=tuple(path_of(variable) for variable in var_list or ()),
        )

    def _locate_decay_exclusions(self, variables: Sequence[Any]) -> None:
        known = getattr(self, "_exclude_from_weight_decay", set())
        located = self._decay_exclusions.located(
            variables, lambda variable: self._var_key(variable) in known
        )
        self._decay_exclusions = located
        self._exclude_from_weight_decay = {
            self._var_key(variables[position]) for position in located.positions or ()
        }

    # --- configuration ------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """Everything needed to create the same optimizer, without its state."""
        config = super().get_config()
        config.update(
            beta_1=self.beta_1,
            beta_2=self.beta_2,
            epsilon=self.epsilon,
            amsgrad=self.amsgrad,
            jit_compile=self.jit_compile,
            skip_nonfinite=self.skip_nonfinite,
        )
        if self._decay_exclusions:
            config["exclude_from_weight_decay"] = self._decay_exclusions.to_config()
        return config

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Adam:
        """Create an optimizer from what :meth:`get_config` returned."""
        config = dict(config)
        exclusions = config.pop("exclude_from_weight_decay", None)
        optimizer = super().from_config(config, custom_objects=custom_objects)
        if exclusions:
            exclusions = DecayExclusions.from_config(exclusions)
            optimizer.exclude_from_weight_decay(var_names=exclusions.names)
            optimizer._decay_exclusions = exclusions
        return optimizer


def _slot_name(variable: Any, suffix: str) -> str:
    return f"{path_of(variable).replace('/', '_').replace(':', '_')}_{suffix}"


def _outside_of_graphs() -> contextlib.AbstractContextManager:
    """Where variables can be created although a graph is being traced."""
    if keras.backend.backend() != "tensorflow":
        return contextlib.nullcontext()
    import tensorflow as tf  # Absent where another backend is at work.

    return tf.init_scope()

"""The Keras optimizer: its options, its state, and the hooks that Keras calls.

This module does no arithmetic: `keras_adam.rule` computes a step,
`keras_adam.step.pipeline` puts its parts in order.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops
from keras.optimizers.schedules import LearningRateSchedule

from keras_adam.backend import precision
from keras_adam.backend.executors import DirectExecutor
from keras_adam.backend.gradients import (
    as_dense,
    check_can_be_trained,
    check_match,
    divisible,
    in_form_of,
)
from keras_adam.backend.replicas import ReplicaExecutor
from keras_adam.backend.variables import (
    VariableView,
    assignable,
    is_replicated,
    native_variable,
    outside_of_graphs,
)
from keras_adam.backend.xla import XlaExecutor
from keras_adam.control.controls import Controls
from keras_adam.options import Options
from keras_adam.options.combinations import (
    check_clipping,
    check_combinations,
    warn_if_gradients_are_dense,
)
from keras_adam.options.options import (
    NOT_PART_OF_A_STEP,
    QUALIFIERS,
    check_can_change,
)
from keras_adam.options.representation import format_optimizer
from keras_adam.options.values import (
    OPTIONS,
    checked_learning_rate,
    checked_new_learning_rate,
    checked_positive,
    converted,
    deserialized_learning_rate,
)
from keras_adam.received_value import shown
from keras_adam.rule.adam import Moments
from keras_adam.state import checkpoint
from keras_adam.state.decay_exclusions import (
    DecayExclusions,
    checked_patterns,
    checked_weights,
    path_of,
)
from keras_adam.state.layout import layout_of
from keras_adam.state.optimizer_state import OptimizerState, build_state
from keras_adam.state.reading import Entries, read_entries, read_moments
from keras_adam.state.variable_creation import VariableCreation
from keras_adam.state.waiting_state import WaitingState
from keras_adam.state.weight_state import STATE_ATTRIBUTES, WeightState
from keras_adam.step.context import StepContext
from keras_adam.step.pipelines import Pipelines
from keras_adam.step.repeated_weights import RepeatedWeights
from keras_adam.step.table_catch_up import catch_up_table
from keras_adam.step.weight_step import step_weight

ROBUST: dict[str, Any] = {
    "rate_cap": 0.002,
    "rate_cap_softness": 0.15,
    "rate_adaptation": 0.2,
    "rate_growth_limit": 100,
    "spike_guard": 5,
}
"""The options of `Adam.robust`: chosen on one half of the tasks of
``benchmarks/robustness/run.py``, tested on the other half."""


@keras.saving.register_keras_serializable(package="keras_adam")
class Adam(keras.optimizers.Optimizer):
    """Adam that plugs into ``model.compile`` and whose update XLA compiles.

    With every option at its default it trains exactly as ``keras.optimizers.Adam``
    does, except where Keras is wrong:

    - All arithmetic and all moments are float32 (float64 for float64 weights),
      whatever the weights' dtype.
    - The moving average of the weights advances once per update, not once per
      accumulated micro-batch.
    - Clipping does not spread a non-finite gradient to other weights.
    - ``exclude_from_weight_decay`` is saved.

    Args:
        learning_rate: a number, a ``LearningRateSchedule`` or a callable without
            arguments.
        beta_1: decay of the first moment, in [0, 1).
        beta_2: decay of the second moment, in [0, 1).
        epsilon: the paper's "epsilon hat", outside the bias correction; positive.
        amsgrad: divide by the largest second moment so far (arXiv:1904.09237).
        weight_decay: as in ``keras.optimizers.Adam``: decoupled, multiplied by the
            learning rate.
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
        jit_compile: ``"auto"`` compiles each update with XLA where that is possible
            and logs once where it is not; ``True`` raises there; ``False`` never
            compiles. JAX compiles the update with its train step, torch does not
            compile.
        moment_storage: how the moments of weights of 65,536 entries and more are kept
            between steps: ``"float32"``; ``"bfloat16"``, half of the bytes; ``"8bit"``,
            a quarter. See docs/memory.md.
        sparse_updates: which rows of an embedding a gradient by rows
            (``tf.IndexedSlices``) steps: ``"dense"`` every row, as Keras does;
            ``"lazy"`` only the rows of the batch; ``"catch_up"`` the same rows, after
            the steps that they have missed. See docs/sparse_updates.md.
        rate_cap: bound on the learning rate of the first steps; this and the next
            three are described in docs/learning_rate_control.md.
        rate_cap_softness: in [0, 1); lets a learning rate above the cap through as
            ``cap · (learning_rate / cap)^softness``.
        rate_adaptation: how fast the learning rate is adapted: at first, the largest
            change of its logarithm per step; usually 0.1 to 0.3.
        rate_growth_limit: the largest factor by which adaptation may raise the given
            learning rate; ``None``: no such limit.
        spike_guard: scale all gradients down if the logarithm of their common norm
            lies more than this many standard deviations above its running mean;
            usually 4 to 6. `clipped_spikes` counts these steps.
        skip_nonfinite: leave weights, state and step count untouched if any gradient
            entry is NaN or infinite; `skipped_steps` counts these steps.
        **kwargs: only Keras's old ``decay``, which is ignored with a warning.

    Raises:
        TypeError: a learning rate of another type.
        ValueError: an option outside its range, or options that exclude each other.

    Example::

        model.compile(keras_adam.Adam(1e-3, weight_decay=0.004), loss="mse")

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
        moment_storage: str = "float32",
        sparse_updates: str = "dense",
        rate_cap: float | None = None,
        rate_cap_softness: float = 0.0,
        rate_adaptation: float | None = None,
        rate_growth_limit: float | None = None,
        spike_guard: float | None = None,
        skip_nonfinite: bool = False,
        **kwargs: Any,
    ) -> None:
        keras_options = converted(
            {
                "name": name,
                "weight_decay": weight_decay,
                "clipnorm": clipnorm,
                "clipvalue": clipvalue,
                "global_clipnorm": global_clipnorm,
                "use_ema": use_ema,
                "ema_momentum": ema_momentum,
                "ema_overwrite_frequency": ema_overwrite_frequency,
                "loss_scale_factor": loss_scale_factor,
                "gradient_accumulation_steps": gradient_accumulation_steps,
            }
        )
        # Keras would also refuse several kinds of clipping, with another message.
        check_clipping(keras_options)
        super().__init__(
            learning_rate=checked_learning_rate(learning_rate),
            **keras_options,
            **kwargs,
        )
        self._controls = Controls()
        self._state: OptimizerState | None = None
        self._executor: DirectExecutor | XlaExecutor = DirectExecutor()
        self._decay_exclusions = DecayExclusions()
        self._waiting_state = WaitingState()
        self._repeated_weights = RepeatedWeights()
        # Converted by `__setattr__`.
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.amsgrad = amsgrad
        self.rate_cap = rate_cap
        self.rate_cap_softness = rate_cap_softness
        self.rate_adaptation = rate_adaptation
        self.spike_guard = spike_guard
        self.rate_growth_limit = rate_growth_limit
        self.jit_compile = jit_compile
        self.sparse_updates = sparse_updates
        self.skip_nonfinite = skip_nonfinite
        self.moment_storage = moment_storage
        check_combinations(Options.of(self), self._custom_rule_name())
        warn_if_gradients_are_dense(self.sparse_updates)
        self._has_all_options = True

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; options are checked and converted as in the constructor.

        Raises:
            ValueError: an option is outside its range, excludes another option, or
                can no longer be changed because the optimizer is built.
        """
        if name not in OPTIONS:
            super().__setattr__(name, value)
            return
        value = OPTIONS[name](name, value)
        if not getattr(self, "_has_all_options", False):
            super().__setattr__(name, value)
            return
        if self.built:
            check_can_change(name, getattr(self, name), value)
        changed = {name: value}
        if value is None and name in QUALIFIERS:
            qualifier, off = QUALIFIERS[name]
            changed[qualifier] = off
        in_a_step = {n: v for n, v in changed.items() if n not in NOT_PART_OF_A_STEP}
        options = dataclasses.replace(Options.of(self), **in_a_step)
        check_combinations(options, self._custom_rule_name())
        for changed_name, changed_value in changed.items():
            super().__setattr__(changed_name, changed_value)
        if name == "sparse_updates":
            warn_if_gradients_are_dense(self.sparse_updates)

    def __repr__(self) -> str:
        """The class, and every option that is not at its default."""
        return format_optimizer(self, Adam)

    @classmethod
    def robust(cls, learning_rate: Any = 0.001, **options: Any) -> Adam:
        """An Adam that finds its learning rate in its first few hundred steps.

        It sets ``rate_cap`` and its softness, ``rate_adaptation``,
        ``rate_growth_limit`` and ``spike_guard`` to the values with which robustness
        was measured (docs/robustness.md). With them it trains almost the same from any
        learning rate between 1e-5 and 3.

        Args:
            learning_rate: number, schedule or callable; a schedule's shape is kept.
            **options: of the optimizer; they override these values.
                ``rate_adaptation=None`` also switches off ``rate_growth_limit``, and
                ``rate_cap=None`` also switches off ``rate_cap_softness``.
        """
        if "rate_adaptation" in options and options["rate_adaptation"] is None:
            options = {"rate_growth_limit": None} | options
        if "rate_cap" in options and options["rate_cap"] is None:
            options = {"rate_cap_softness": 0.0} | options
        return cls(learning_rate, **(ROBUST | options))

    def apply(
        self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None
    ) -> None:
        """Update the weights by their gradients; build the optimizer first if needed.

        Args:
            grads: one gradient per weight; ``None`` where there is none.
            trainable_variables: the weights; by default those it was built with.

        Shapes:
            each gradient has its weight's shape.

        Raises:
            ValueError: unknown weights, gradients of another shape or number, or
                ``None`` for every weight.
        """
        if self.built:
            self._load_waiting_state()
        grads = list(grads)
        if not grads:
            return  # as in Keras
        if trainable_variables is not None:
            trainable_variables = list(trainable_variables)
        elif self.built:
            trainable_variables = self._trainable_variables
        if trainable_variables is not None:
            if not self.built:
                # `build` checks this too, but the next lines may fail before that.
                for variable in trainable_variables:
                    check_can_be_trained(variable)
            check_match(grads, trainable_variables)
            grads, trainable_variables = self._once_per_weight(
                grads, trainable_variables
            )
        if self.loss_scale_factor is not None:
            # Keras divides by the scale, which sparse gradients do not support.
            support = as_dense if self.sparse_updates == "dense" else divisible
            grads = [support(gradient) for gradient in grads]
        super().apply(grads, trainable_variables)

    def _once_per_weight(
        self, gradients: list[Any], variables: Sequence[Any]
    ) -> tuple[list[Any], Sequence[Any]]:
        """Gradients and weights, each weight once: its gradients are summed."""
        if len({self._var_key(variable) for variable in variables}) == len(variables):
            return gradients, variables
        if not self.built:
            # On the full list, with repetitions: Keras's files have an entry for each.
            with keras.name_scope(self.name, caller=self):
                self.build(variables)
        return self._repeated_weights.sum(gradients, variables, self._var_key)

    def _backend_apply_gradients(
        self, grads: Sequence[Any], trainable_variables: Sequence[Any]
    ) -> None:
        """Clip, accumulate, step and average, once Keras has unscaled the gradients.

        Keras applies constraints afterwards. This is the only private hook of Keras's
        step that is overridden. Keras's own version clips before replicas are summed,
        needs a cross-replica context inside a condition, and advances averages on every
        micro-batch. No public method can fix that. ``test_keras_hooks.py`` fails when
        Keras moves the hook.
        """
        state = self._built_state()
        weights = [
            state.weights[self._get_variable_index(variable)]
            for variable in trainable_variables
        ]
        gradients = [
            in_form_of(variable, gradient)
            for gradient, variable in zip(grads, trainable_variables, strict=True)
        ]
        is_double = keras.backend.floatx() == "float64"
        learning_rate = ops.cast(
            self.learning_rate, "float64" if is_double else "float32"
        )
        pipeline = self._pipelines.pipeline(Options.of(self), weights, gradients)
        executor = self._executor
        if is_replicated(trainable_variables[0]):
            executor = ReplicaExecutor(executor.refuse)
        with state.steps_taken.counting(self._iterations):
            executor.run(pipeline, gradients, learning_rate)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Step one weight: decay, both moments, the weight itself.

        A subclass that overrides this method replaces Adam's rule by its own.

        Args:
            gradient: of the weight's shape, clipped already.
            variable: the weight, a Keras or backend variable.
            learning_rate: scalar.
        """
        weight = self._built_state().weights[self._get_variable_index(variable)]
        context = self._context()
        rates = context.learning_rates(learning_rate, [weight])
        step_weight(context, weight, gradient, rates)

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Create the state, in the order in which Keras's Adam saves it.

        That order is: step count, learning rate, averages, accumulators, then both
        moments interleaved per variable, then AMSGrad's. What Keras does not have comes
        last.

        Args:
            variables: the weights to train; `apply` accepts no others.

        Raises:
            ValueError: a weight has an undefined shape or an unsupported dtype; a
                weight that was excluded from the decay is missing; or a state that was
                loaded before does not fit.
        """
        if self.built:
            return
        variables = list(variables)
        for variable in variables:
            check_can_be_trained(variable)
        self._locate_decay_exclusions(variables)
        options, creation = Options.of(self), VariableCreation(self)
        custom_rule = self._custom_rule_name()
        with outside_of_graphs():
            super().build(variables)
            self._state = build_state(
                creation,
                variables,
                options,
                self._iterations,
                lambda: self.variables,
                self._model_variables_moving_average if self.use_ema else None,
                self._accumulated_gradients
                if self.gradient_accumulation_steps
                else None,
                # A custom rule reads the moments of each weight separately.
                packs_small_weights=custom_rule is None,
            )
            self._controls.create(options, creation)
            self._name_variables()
            if options.controls_learning_rate and isinstance(
                self._learning_rate, keras.Variable | LearningRateSchedule
            ):
                # A user's callable is not called: its next call may differ.
                first = ops.convert_to_numpy(self._get_current_learning_rate())
                control = self._controls.learning_rate
                control.warn_if_far_above_cap(float(first), options)
            self._pipelines = Pipelines(
                self._state,
                self._controls,
                None if custom_rule is None else self.update_step,
                is_shareable=_is_of_this_package(type(self)),
            )
            is_tensorflow = keras.backend.backend() == "tensorflow"
            if is_tensorflow and self.jit_compile is not False:
                self._executor = XlaExecutor(self.jit_compile)
            self._load_waiting_state()

    def _name_variables(self) -> None:
        """Set the attributes that hold the variables, named as in Keras's Adam.

        ``tf.train.Checkpoint`` finds variables by these names, and a subclass's rule
        reads them.
        """
        state, controls = self._built_state(), self._controls
        for attribute, field in STATE_ATTRIBUTES.items():
            if self.amsgrad or field != "velocity_hat":
                setattr(self, attribute, state.variables_of(field))
        self._log_rate_multiplier = controls.learning_rate.log_multiplier
        self._peak_rate = controls.learning_rate.peak
        self._norm_history = list(controls.spike_guard.history or ())
        self._clipped_spikes = controls.spike_guard.counter
        self._skipped_steps = controls.skipping.counter

    def _trackable_children(
        self, save_type: str = "checkpoint", **kwargs: Any
    ) -> dict[str, Any]:
        children = super()._trackable_children(save_type, **kwargs)
        if self._state is None:
            return children
        steps_taken = self._state.steps_taken.variable
        if steps_taken is not None:
            children["steps_taken"] = steps_taken
        if save_type == "savedmodel":
            # A SavedModel holds the backend's variables. A view has none, so the packs
            # are saved instead. Checkpoints and Keras's files are made from the views.
            for name in ("_variables", *STATE_ATTRIBUTES):
                children.pop(name, None)
            variables = map(native_variable, self.stored_variables)
            children |= {f"stored_{i}": v for i, v in enumerate(variables)}
        return children

    def assign(self, variable: Any, value: Any) -> None:
        """Assign a variable of the optimizer or a weight."""
        if isinstance(variable, VariableView):
            # Keras assigns the backend's variable, which a view does not have.
            variable.assign(value)
        else:
            super().assign(assignable(variable), value)

    def add_variable_from_reference(
        self,
        reference_variable: Any,
        name: str | None = None,
        initializer: Any = "zeros",
    ) -> keras.Variable:
        """Add a state variable of a weight's shape, kept in the compute dtype.

        If the weight cannot be trained, the variable has its dtype, as in Keras.
        """
        wanted = precision.compute_dtype(reference_variable)
        is_kept = not precision.is_floating(reference_variable)
        if is_kept or precision.dtype_of(reference_variable) == wanted:
            return super().add_variable_from_reference(
                reference_variable, name=name, initializer=initializer
            )
        # Keras would use the reference's dtype. In bfloat16, beta_2 = 0.999 rounds
        # to 1.
        return VariableCreation(self).beside(
            reference_variable, name or "var", wanted, initializer
        )

    def finalize_variable_values(self, var_list: Sequence[Any]) -> None:
        """Let rows catch up; with ``use_ema``, overwrite the weights by their averages.

        ``fit`` calls this after the last epoch; a custom loop should call it before the
        weights are used.

        Args:
            var_list: weights, all or some of those the optimizer was built with.

        Raises:
            ValueError: other weights.
        """
        options = Options.of(self)
        if not (options.rows_catch_up or options.use_ema):
            return
        self._check_variables_are_known(var_list)
        context = self._context()
        weights = [context.state.weights[self._get_variable_index(v)] for v in var_list]
        for weight in weights:
            if weight.variables.last_step is not None:
                catch_up_table(context, weight, self.learning_rate)
        if options.use_ema:
            self._controls.averaging.overwrite(weights)

    def save_own_variables(self, store: Any) -> None:
        """Save the state in the form of ``keras.optimizers.Adam``."""
        if not self.built and self._waiting_state:
            self._waiting_state.write(store)
        else:
            checkpoint.write_variables(store, self._layout())

    def load_own_variables(self, store: Any) -> None:
        """Load a state that this class or ``keras.optimizers.Adam`` saved.

        If the optimizer is not built yet, only step count and learning rate are
        assigned now; the rest waits for `build`. If the state then turns out to belong
        to other weights, because layers were frozen, unfrozen or replaced, it is
        dropped with a warning, as Keras does.

        Raises:
            ValueError: the state belongs to another model or to other options, or
                holds invalid values (NaN, infinity, a negative second moment and so
                on); nothing has been changed.
        """
        if self.built:
            checkpoint.read_variables(store, self._layout())
            self._waiting_state.forget()
        else:
            self._waiting_state.read(store, self._scalars())

    def _load_waiting_state(self) -> None:
        if self._waiting_state:
            with outside_of_graphs():
                self._waiting_state.load(
                    self._layout(), [path_of(v) for v in self._trainable_variables]
                )

    def _scalars(self) -> list[Any]:
        """Step count and, if it is a number, the learning rate."""
        rate = self._learning_rate
        return [self._iterations, *([rate] if isinstance(rate, keras.Variable) else [])]

    def _layout(self) -> checkpoint.Layout:
        options = Options.of(self)
        saved = self._controls.saved(options)
        return layout_of(self._scalars(), self._state, saved, options)

    def read_moments(self, variable: Any) -> Moments:
        """The moments of a weight, in the compute dtype.

        If ``moment_storage`` keeps codes, they are decoded. If
        ``sparse_updates="catch_up"`` has left rows behind, their moments are decayed by
        the missed steps.

        Args:
            variable: a weight that the optimizer was built with.

        Returns:
            The first moment, the second, and with AMSGrad the largest second (else
            ``None``).

        Shapes:
            that of the weight.

        Raises:
            ValueError: the optimizer is not built, or the weight has no moments.
        """
        weight, state = self._weight_of(variable), self._built_state()
        return read_moments(state, weight, Options.of(self))

    def read_entries(self, variable: Any, stride: int) -> Entries:
        """Every n-th entry of a weight, and its moments.

        Args:
            variable: a weight that the optimizer was built with.
            stride: n, the distance between two entries of the flattened weight.
        """
        weight, state = self._weight_of(variable), self._built_state()
        return read_entries(state, weight, Options.of(self), stride)

    @property
    def state_bytes(self) -> int:
        """Bytes of all state between steps, without step count and learning rate.

        Raises:
            ValueError: the optimizer has not been built yet.
        """
        self._built_state()
        uncounted = (self._iterations, self._learning_rate)
        return sum(
            precision.byte_count(variable)
            for variable in self.variables
            if not any(variable is one for one in uncounted)
        )

    @property
    def skipped_steps(self) -> int:
        """How many steps `skip_nonfinite` has skipped so far.

        Not saved, copied or pickled, because the saved state has Keras's form.
        """
        return self._controls.skipping.count

    @property
    def clipped_spikes(self) -> int:
        """How many steps `spike_guard` has clipped so far.

        Not saved, copied or pickled, because the saved state has Keras's form.
        """
        return self._controls.spike_guard.count

    @property
    def rate_multiplier(self) -> float:
        """The learning rate of the next step, divided by the given one.

        It is 1 without control, and before the first step. If a schedule reaches a new
        maximum, `rate_cap` acts on it only in the step itself, so this value does not
        show it before. Saved with the optimizer.
        """
        return self._controls.learning_rate.multiplier(Options.of(self))

    @property
    def stored_variables(self) -> list[keras.Variable]:
        """The variables that really hold the state: packs in place of their views.

        `variables` has one entry per weight and moment, as in Keras. The entries of
        small weights are views of variables that they share, and the step count for
        rows that catch up is not among them. Use `stored_variables` to reset the
        backend's variables fast, or to find them in a graph. Their order has no
        meaning.
        """
        return self.variables if self._state is None else self._state.stored_variables()

    @property
    def trace_count(self) -> int:
        """The number of compiled updates, plus the number of retracings."""
        return self._executor.trace_count

    def _context(self) -> StepContext:
        return StepContext(self._built_state(), Options.of(self), self._controls)

    def _built_state(self) -> OptimizerState:
        if self._state is None:
            raise ValueError(
                "The optimizer holds no state before it is built: call "
                "build(model.trainable_variables) or train one step first."
            )
        return self._state

    def _weight_of(self, variable: Any) -> WeightState:
        return self._built_state().weights[self._get_variable_index(variable)]

    def _custom_rule_name(self) -> str | None:
        """The name of a subclass that overrides `update_step`, Keras's hook for a rule.

        ``None`` if the rule is Adam's own.
        """
        has_own = type(self).update_step is Adam.update_step
        return None if has_own else type(self).__name__

    def _locate_decay_exclusions(self, variables: Sequence[Any]) -> None:
        known = getattr(self, "_exclude_from_weight_decay", set())
        located = self._decay_exclusions.located(
            variables, lambda variable: self._var_key(variable) in known
        )
        self._decay_exclusions = located
        self._exclude_from_weight_decay = {
            self._var_key(variables[position]) for position in located.positions or ()
        }

    @property
    def learning_rate(self) -> Any:
        """The given learning rate of the next step, not yet times `rate_multiplier`.

        Settable to a number, a schedule or a callable.

        Raises:
            TypeError: set to something else.
            ValueError: set to a negative or non-finite number, also in a tensor whose
                value is known.
        """
        return self._get_current_learning_rate()

    @learning_rate.setter
    def learning_rate(self, learning_rate: Any) -> None:
        learning_rate = checked_new_learning_rate(learning_rate)
        is_callable = callable(self._learning_rate) and not isinstance(
            self._learning_rate, (keras.Variable, LearningRateSchedule)
        )
        if is_callable and not callable(learning_rate):
            # For a schedule Keras raises a similar error itself.
            raise TypeError(
                "This optimizer was created with a callable as its learning_rate, "
                "which cannot be replaced by a number. Create it with a number to set "
                "the rate later."
            )
        keras.optimizers.Optimizer.learning_rate.fset(self, learning_rate)
        if self.built and isinstance(learning_rate, float):
            control = self._controls.learning_rate
            control.warn_if_far_above_cap(learning_rate, Options.of(self))

    def scale_rate(self, factor: float) -> None:
        """Multiply the learning rate, its cap and its recorded peak by a factor.

        Setting a higher `learning_rate` instead would look like a rising schedule,
        which ``rate_cap`` holds back.

        Args:
            factor: positive.

        Raises:
            ValueError: the factor is not positive, or a scaled value is not finite.
            TypeError: the learning rate is a schedule or a callable.
        """
        factor = checked_positive("factor", factor)
        if not isinstance(self._learning_rate, keras.Variable):
            raise TypeError(
                "scale_rate() needs a rate that is a number; this optimizer was "
                "created with a schedule or a callable."
            )
        cap = self.rate_cap
        scaled_cap = None if cap is None else checked_positive("rate_cap", cap * factor)
        rate = self._learning_rate * factor
        self.learning_rate = rate
        if scaled_cap is not None:
            self.rate_cap = scaled_cap
        peak = self._controls.learning_rate.peak
        if peak is not None:
            peak.assign(peak * factor)

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
            TypeError: ``var_list`` is not a list of weights, or ``var_names`` is not a
                list of strings.
            ValueError: the optimizer is built already, or a string is not a regular
                expression.
        """
        if self.built:
            raise ValueError(
                "exclude_from_weight_decay() must be called before the optimizer is "
                "built, that is before the first step and before build(). Create a "
                "new optimizer, exclude the weights, then train."
            )
        var_list = checked_weights(var_list)
        var_names = checked_patterns("var_names", var_names)
        super().exclude_from_weight_decay(var_list=var_list, var_names=var_names)
        self._decay_exclusions = DecayExclusions(
            names=tuple(var_names),
            paths=tuple(path_of(variable) for variable in var_list),
        )

    def get_config(self) -> dict[str, Any]:
        """Everything needed to create the same optimizer, without its state."""
        config = super().get_config()
        config.update(
            beta_1=self.beta_1,
            beta_2=self.beta_2,
            epsilon=self.epsilon,
            amsgrad=self.amsgrad,
            jit_compile=self.jit_compile,
            moment_storage=self.moment_storage,
            sparse_updates=self.sparse_updates,
            rate_cap=self.rate_cap,
            rate_cap_softness=self.rate_cap_softness,
            rate_adaptation=self.rate_adaptation,
            rate_growth_limit=self.rate_growth_limit,
            spike_guard=self.spike_guard,
            skip_nonfinite=self.skip_nonfinite,
        )
        if self._decay_exclusions:
            config["exclude_from_weight_decay"] = self._decay_exclusions.to_config()
        return config

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Adam:
        """Create an optimizer from what :meth:`get_config` returned.

        Raises:
            TypeError: the configuration is not a mapping, or an option has another
                type.
            ValueError: an option is unknown or outside its range.
        """
        if not isinstance(config, Mapping):
            raise TypeError(
                "from_config needs a mapping of options, as get_config() returns it; "
                f"received {shown(config)}."
            )
        config = dict(config)
        exclusions = DecayExclusions.from_config(
            config.pop("exclude_from_weight_decay", None)
        )
        if isinstance(config.get("learning_rate"), Mapping):
            config["learning_rate"] = deserialized_learning_rate(
                config["learning_rate"], custom_objects
            )
        optimizer = super().from_config(config, custom_objects=custom_objects)
        if exclusions:
            optimizer.exclude_from_weight_decay(var_names=exclusions.names)
            optimizer._decay_exclusions = exclusions
        return optimizer


def _is_of_this_package(cls: type) -> bool:
    return cls.__module__.split(".")[0] == __name__.split(".")[0]

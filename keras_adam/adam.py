"""The Keras optimizer: options, configuration, and how a step is executed.

The state stands in `adam_state`, the course of one step in `adam_step`, Adam's
arithmetic in `update_rule`.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import keras
from keras import ops
from keras.optimizers.schedules import LearningRateSchedule

from keras_adam import precision
from keras_adam.arguments import (
    OPTIONS,
    check_clipping,
    checked_learning_rate,
    checked_new_learning_rate,
    checked_positive,
    converted,
    deserialized_learning_rate,
)
from keras_adam.compiled_apply import CompiledApply, Update, undivided
from keras_adam.decay_exclusions import (
    DecayExclusions,
    checked_patterns,
    checked_weights,
    path_of,
)
from keras_adam.gradients import (
    as_dense,
    check_can_be_trained,
    check_match,
    divisible,
    in_form_of,
    is_by_rows,
    summed,
)
from keras_adam.placement import is_replicated
from keras_adam.received import shown
from keras_adam.replicated_apply import apply_on_each_replica
from keras_adam.sparse_rows import as_argument
from keras_adam.sparse_step import SparseStep
from keras_adam.xla_fusion import fuses_several_outputs

logger = logging.getLogger(__name__)

ROBUST: dict[str, Any] = {
    "rate_cap": 0.002,
    "rate_cap_softness": 0.15,
    "rate_adaptation": 0.2,
    "rate_growth_limit": 100,
    "spike_guard": 5,
}
"""The options of `Adam.robust`: chosen on one half of the tasks of
``benchmarks/robustness/run.py``, judged on the other."""

_CONSTANTS_OF_A_TRACE = (
    "amsgrad",
    "moment_storage",
    "sparse_updates",
    "use_ema",
    "skip_nonfinite",
    "beta_1",
    "beta_2",
    "epsilon",
    "weight_decay",
    "clipnorm",
    "clipvalue",
    "global_clipnorm",
    "ema_momentum",
    "ema_overwrite_frequency",
    "gradient_accumulation_steps",
    "rate_cap",
    "rate_cap_softness",
    "rate_adaptation",
    "rate_growth_limit",
    "spike_guard",
)
"""Options that may be set between steps; each setting needs a program of its own."""


_FIXED_ONCE_BUILT = (
    "amsgrad",
    "use_ema",
    "moment_storage",
    "sparse_updates",
    "skip_nonfinite",
    "jit_compile",
)
"""Options that decide which variables there are, or which programs."""

_QUALIFIERS: dict[str, tuple[str, Any]] = {
    "rate_cap": ("rate_cap_softness", 0.0),
    "rate_adaptation": ("rate_growth_limit", None),
}
"""What means nothing without an option, and is switched off together with it."""


@keras.saving.register_keras_serializable(package="keras_adam")
class Adam(SparseStep):
    """Adam that plugs into ``model.compile`` and whose update XLA compiles.

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
        jit_compile: ``"auto"`` compiles each update with XLA where that
            is possible and says once in the log where it is not; ``True`` raises
            there; ``False`` never compiles. TensorFlow backend; JAX compiles the
            update with its train step, torch does not compile.
        moment_storage: how the moments of weights of 65,536 entries and more are kept
            between steps (small ones are float32): ``"float32"``; ``"bfloat16"``, half
            of the bytes; ``"8bit"``, a quarter. The arithmetic is float32 in each case.
            Moments are rounded stochastically, by a hash that is the same on every
            device and in a resumed run. Files hold what is stored; where the option of
            the optimizer that loads them is another, they are converted. ``"8bit"``
            does not go with ``amsgrad`` nor with ``sparse_updates`` by rows, and none
            but ``"float32"`` with a subclass that overrides ``update_step``.
        sparse_updates: what an embedding's gradient (``tf.IndexedSlices``) does; ids
            that are repeated are summed in both cases. ``"dense"`` steps every row, as
            ``keras.optimizers.Adam`` does: a row without an id in the batch goes on by
            its momentum, and its moments decay. ``"lazy"`` steps the rows of the batch
            and no others, at a cost that does not depend on the size of the table. It
            is another algorithm: moments of untouched rows do not decay and the rows
            do not move by momentum, so a rare row's next step has its last step's
            momentum in full; the bias correction counts the optimizer's steps and not
            the row's. Weight decay shrinks touched rows only; clipping sees the norm
            of the summed rows, which is the dense norm; ``use_ema`` averages every
            row at every step, at the cost of a pass over the table. ``"catch_up"``
            steps the same rows of large tables (of 65,536 entries and more; small
            ones are dense), and has them make up first, in closed form, for the steps
            that they missed: moments decay, and the row goes on by its momentum (and
            weight decay) as in dense Adam, at the rate of now. What remains is that
            the model saw the row where it stood before; at the end of ``fit``, or by
            `finalize_variable_values`, all rows catch up. Rows that never had a
            gradient stay as they are. It keeps four bytes per row. Neither goes with
            ``gradient_accumulation_steps``, nor with a subclass that overrides
            ``update_step``. Dense gradients are stepped as ever. On JAX and torch
            every gradient is dense, which is said in the log.
        rate_cap: bound on the rate of the first steps, whatever the given one. Where a
            schedule rises, the rate follows it up to the cap; only adaptation, or a
            softness, goes beyond. The multiplier of `rate_multiplier` keeps a
            schedule's shape.
        rate_cap_softness: in [0, 1); how much is left of a rate above the cap, which
            becomes ``rate_cap · (rate / rate_cap) ** rate_cap_softness``. With 0
            all rates above the cap train alike.
        rate_adaptation: how fast the rate is adapted, as its logarithm's largest move
            per step at first (0.1 to 0.3): up while gradients go on in the direction
            of the steps, down while they turn back; slower with the steps. The
            decoupled weight decay follows the rate. Needs ``beta_1`` above 0, and does
            not go with a subclass that overrides ``update_step``.
        rate_growth_limit: how many times the given rate adaptation may reach at most;
            ``None``: any. Where a small rate is meant to be small, as in fine-tuning,
            1 to 10 keeps it so.
        spike_guard: where the norm of all gradients together lies this many standard
            deviations of its logarithm above its running mean, they are scaled down
            to there; 4 to 6. It looks at some 4,096 entries of each large gradient,
            or one in 32, always the same ones, and at all of them where there is a
            ``global_clipnorm``, with which it goes; ``clipped_spikes`` counts.
        skip_nonfinite: leave weights, state and step count untouched where any
            gradient entry is NaN or infinite, and count it in ``skipped_steps``.
            Keras applies constraints after such a step as well, and writes what it
            overwrites by gradients (float8 scales) before.
        **kwargs: only Keras's old ``decay``, which is ignored with a warning.

    Raises:
        TypeError: a rate of another type.
        ValueError: an option outside its range, or options that exclude each other.

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
        check_clipping(keras_options)
        super().__init__(
            learning_rate=checked_learning_rate(learning_rate),
            **keras_options,
            **kwargs,
        )
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
        self._check_sparse_updates()
        self._check_moment_storage()
        self._check_rate_control()
        self._compiled_apply = CompiledApply(self.jit_compile)
        self._has_all_options = True

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; an option as the constructor would take it.

        Raises:
            ValueError: an option outside its range, one that excludes another, or one
                that cannot be changed any more because the optimizer is built.
        """
        if name not in OPTIONS:
            super().__setattr__(name, value)
            return
        value = OPTIONS[name](name, value)
        if not getattr(self, "_has_all_options", False):
            super().__setattr__(name, value)
            return
        before = getattr(self, name)
        if self.built:
            self._check_can_change(name, before, value)
        super().__setattr__(name, value)
        try:
            self._check_combinations_of(name)
        except ValueError:
            super().__setattr__(name, before)
            raise
        if value is None and name in _QUALIFIERS:
            qualifier, off = _QUALIFIERS[name]
            super().__setattr__(qualifier, off)
        if name == "jit_compile":
            self._compiled_apply = CompiledApply(self.jit_compile)

    def _check_can_change(self, name: str, before: Any, value: Any) -> None:
        """Refuse what decides the state, or how steps are run, once that exists."""
        is_switched = (before is None) != (value is None)
        # rate_cap, rate_adaptation and spike_guard are refused by the next step, if
        # nothing is kept for them.
        if (name in _FIXED_ONCE_BUILT and value != before) or (
            name == "gradient_accumulation_steps" and is_switched
        ):
            raise ValueError(
                f"{name} cannot be changed from {before!r} to {value!r}: the optimizer "
                f"is built, and what it keeps between steps was created for "
                f"{name}={before!r}. Create a new optimizer with {name}={value!r}, "
                "and compile the model with it."
            )

    def _check_combinations_of(self, name: str) -> None:
        if name in ("clipnorm", "clipvalue", "global_clipnorm"):
            check_clipping(self.get_config())
        if name.startswith("rate_") or name == "beta_1":
            is_off = name in _QUALIFIERS and getattr(self, name) is None
            if not is_off:
                self._check_rate_control()
        if name in ("sparse_updates", "gradient_accumulation_steps") or (
            name in ("beta_1", "beta_2") and self.sparse_updates == "catch_up"
        ):
            self._check_sparse_updates()
        if name in ("moment_storage", "sparse_updates", "amsgrad"):
            self._check_moment_storage()

    @classmethod
    def robust(cls, learning_rate: Any = 0.001, **options: Any) -> Adam:
        """An Adam that finds its rate in its first few hundred steps.

        ``rate_cap`` with its softness, ``rate_adaptation``, ``rate_growth_limit`` and
        ``spike_guard`` have the values with which robustness was measured
        (docs/robustness.md): from any rate between 1e-5 and 3 it trains nearly alike.

        Args:
            learning_rate: number, schedule or callable; a schedule's shape is kept.
            **options: of the optimizer; those given win. With
                ``rate_adaptation=None`` there is no limit on growth either, and with
                ``rate_cap=None`` there is nothing to soften.
        """
        if "rate_adaptation" in options and options["rate_adaptation"] is None:
            options = {"rate_growth_limit": None} | options
        if "rate_cap" in options and options["rate_cap"] is None:
            options = {"rate_cap_softness": 0.0} | options
        return cls(learning_rate, **(ROBUST | options))

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
        if self._waiting_state is not None and self.built:
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
                # `build` says so too, but what follows may fail on it first.
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
        """Gradients and weights, those of a weight that is listed twice summed."""
        by_weight: dict[Any, list[Any]] = {}
        for gradient, variable in zip(gradients, variables, strict=True):
            by_weight.setdefault(self._var_key(variable), []).append(gradient)
        if len(by_weight) == len(gradients):
            return gradients, variables
        if not self.built:
            # On the list as it is: Keras's files have an entry for each place in it.
            with keras.name_scope(self.name, caller=self):
                self.build(variables)
        weights = {self._var_key(variable): variable for variable in variables}
        if not self._has_warned_of_repeated_weights:
            self._has_warned_of_repeated_weights = True
            logger.warning(
                "Some weights given to apply() are in the list more than once (%d of "
                "%d), for example %r. The gradients of each are summed and make one "
                "step.",
                sum(len(parts) > 1 for parts in by_weight.values()),
                len(by_weight),
                path_of(
                    next(weights[k] for k, parts in by_weight.items() if len(parts) > 1)
                ),
            )
        sums = [
            summed([g if g is None else in_form_of(weights[key], g) for g in parts])
            for key, parts in by_weight.items()
        ]
        return sums, list(weights.values())

    def _backend_apply_gradients(
        self, grads: Sequence[Any], trainable_variables: Sequence[Any]
    ) -> None:
        """Everything between unscaled gradients and constraints.

        The one private hook of Keras that is overridden. Its own version clips
        before replicas are summed, needs a cross-replica context inside a condition,
        and advances averages on every micro-batch; none of that can be mended from
        a public method. ``test_keras_hooks.py`` fails when Keras moves it.
        """
        with self._steps_taken.counting(self._iterations):
            self._apply_dense_and_sparse(grads, list(trainable_variables))

    def _apply_dense_and_sparse(
        self, grads: Sequence[Any], variables: list[Any]
    ) -> None:
        gradients = [
            in_form_of(variable, gradient)
            for gradient, variable in zip(grads, variables, strict=True)
        ]
        is_double = keras.backend.floatx() == "float64"
        learning_rate = ops.cast(
            self.learning_rate, "float64" if is_double else "float32"
        )

        gradients = self._dense_where_small(gradients, variables)
        by_rows = self._are_rows_stepped(gradients)
        update_all = self._update_by_rows if by_rows else self._update

        def update_whole(gradients: Sequence[Any], learning_rate: Any) -> None:
            update_all(list(gradients), variables, learning_rate)

        if is_replicated(variables[0]):
            self._compiled_apply.refuse("XLA does not run inside tf.distribute")
            apply_on_each_replica(update_whole, gradients, learning_rate, variables[0])
            return
        key = (
            tuple(self._get_variable_index(variable) for variable in variables),
            *(getattr(self, option) for option in _CONSTANTS_OF_A_TRACE),
            # A weight that is frozen later keeps its value where averages overwrite.
            tuple(map(_is_trainable, self._trainable_variables))
            if self.use_ema
            else (),
        )
        if by_rows:
            self._apply_by_rows(gradients, variables, learning_rate, key)
            return
        self._compiled_apply(
            self._update_in_parts(variables)
            if self._is_update_separable()
            else undivided(update_whole, lambda: self._variables_of_update(variables)),
            [as_dense(gradient) for gradient in gradients],
            learning_rate,
            variables=lambda: [*variables, *self.stored_variables],
            key=key,
            structure=lambda: self._structure(key),
        )

    def _apply_by_rows(
        self,
        gradients: Sequence[Any],
        variables: Sequence[Any],
        learning_rate: Any,
        key: tuple[Any, ...],
    ) -> None:
        key = (*key, tuple(map(is_by_rows, gradients)))

        def compiled(stage: Update, given: Any, rate: Any, name: str) -> Any:
            return self._compiled_apply(
                stage,
                given,
                rate,
                variables=lambda: [*variables, *self.stored_variables],
                key=(name, *key),
                structure=lambda: self._structure((name, *key)),
            )

        def step(gradients: Sequence[Any], learning_rate: Any) -> None:
            self._update_by_rows(gradients, variables, learning_rate, run=compiled)

        if self.jit_compile is not False:
            step = self._as_one_graph(key, step)
        step([as_argument(gradient) for gradient in gradients], learning_rate)

    def _structure(self, key: Hashable) -> Hashable | None:
        """All that decides what an update computes, but for the variables' values.

        Args:
            key: of the update: options, and which weights have a gradient.

        Returns:
            ``None`` for a subclass, which may compute something else.
        """
        if type(self).__module__.split(".")[0] != __name__.split(".")[0]:
            return None
        weights = tuple(
            (
                tuple(variable.shape),
                precision.dtype_of(variable),
                self._decays(variable),
                self._get_variable_index(variable),
                tuple(part is None for part in self._state_of(variable)),
            )
            for variable in self._trainable_variables
        )
        packs = tuple(pack.form() for pack in self._packing.packs)
        built = tuple(variable.name for variable in self._step_scalars())
        environment = keras.backend.floatx(), fuses_several_outputs()
        return key, weights, packs, built, environment

    def _update_in_parts(self, variables: list[Any]) -> Update:
        """What is better done outside of one program for all: see `Update`."""
        return Update(
            prepare=lambda gradients: self._join(list(gradients), variables),
            compute=lambda joined, rate: self._step_joined(joined, variables, rate),
            finish=lambda stepped: self._assign_packed(stepped, variables),
            variables=lambda: self._variables_of_joined(variables),
            step_apart=lambda apart, stepped, rate, run: self._step_apart(
                apart, stepped, variables, rate, run
            ),
        )

    @property
    def learning_rate(self) -> Any:
        """The rate that is given for the next step, before `rate_multiplier`.

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
            # Of a schedule Keras says the like itself.
            raise TypeError(
                "This optimizer was created with a callable as its learning_rate, "
                "which cannot be replaced by a number. Create it with a number to set "
                "the rate later."
            )
        keras.optimizers.Optimizer.learning_rate.fset(self, learning_rate)
        if self.built and isinstance(learning_rate, float):
            self._warn_of_rate_far_above_cap(learning_rate)

    def scale_rate(self, factor: float) -> None:
        """Multiply the rate, and what is known of it, by a factor.

        A controlled rate would take a higher one for a schedule that rises, and hold it
        where it was; here it goes along, its cap too.

        Args:
            factor: positive.

        Raises:
            ValueError: the factor is not positive, or what it leads to is not finite.
            TypeError: the rate is a schedule or a callable.
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
        if self._peak_rate is not None:
            self._peak_rate.assign(self._peak_rate * factor)

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
            TypeError: what is no weight, or no text; one text in the place of a list.
            ValueError: the optimizer is built already, or a text is no regular
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
            TypeError: the configuration is no mapping, or an option has another type.
            ValueError: an option outside its range, or one that is not known.
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


def _is_trainable(variable: Any) -> bool:
    return bool(getattr(variable, "trainable", True))

"""What the optimizer keeps between steps: created, counted, saved and loaded."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops
from keras.optimizers.schedules import LearningRateSchedule

from keras_adam.backend import precision
from keras_adam.backend.gradients import check_can_be_trained
from keras_adam.backend.variables import (
    assignable,
    colocated_with,
    native_variable,
    outside_of_graphs,
    read,
)
from keras_adam.rule.clipping import NormHistory
from keras_adam.state import checkpoint as checkpoint_layout
from keras_adam.state import checkpoint_laws as state_laws
from keras_adam.state import packing
from keras_adam.state.checkpoint import StoredMoment
from keras_adam.state.decay_exclusions import DecayExclusions, path_of
from keras_adam.state.packing import Pack, PackedVariable, Packing, plan_packs
from keras_adam.state.step_count import StepCount
from keras_adam.state.weight_state import WeightState
from keras_adam.storage import STORAGES, UNENCODED, Codec, MomentStorage

logger = logging.getLogger(__name__)

FAR_ABOVE_CAP = 1000
"""How many times `rate_cap` a learning rate may be without a warning."""

LARGE_TABLE = 65_536
"""Entries from which a table's rows catch up; a smaller one is stepped as a whole."""

_LISTS_WITH_VIEWS = ("_variables", "_momentums", "_velocities", "_velocity_hats")


class AdamState(keras.optimizers.Optimizer):
    """The state of `keras_adam.Adam`, which sets the options read here.

    The variables' attribute names are Keras's: ``tf.train.Checkpoint`` finds them by
    name.
    """

    amsgrad: bool
    skip_nonfinite: bool
    sparse_updates: str
    moment_storage: str
    rate_cap: float | None
    rate_adaptation: float | None
    rate_cap_softness: float
    spike_guard: float | None

    def __init__(self, **keras_options: Any) -> None:
        super().__init__(**keras_options)
        self._decay_exclusions = DecayExclusions()
        self._momentum_scales: list[keras.Variable | None] = []
        self._velocity_scales: list[keras.Variable | None] = []
        self._rounding_errors: list[keras.Variable | None] = []
        self._last_steps: list[keras.Variable | None] = []
        self._steps_taken = StepCount()
        self._skipped_steps: keras.Variable | None = None
        self._log_rate_multiplier: keras.Variable | None = None
        self._peak_rate: keras.Variable | None = None
        self._norm_history: list[keras.Variable] = []
        self._clipped_spikes: keras.Variable | None = None
        self._waiting_state: checkpoint_layout.Arrays | None = None
        self._scalars_before_loading: tuple[float, ...] | None = None
        self._packing = Packing()
        self._has_warned_of_repeated_weights = False
        self._has_warned_of_rate = False

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Create the state, in the order in which Keras's Adam saves it.

        That order is: step count, rate, averages, accumulators, then both moments
        interleaved per variable, then AMSGrad's. What Keras does not have comes
        last.

        Args:
            variables: the weights to train; the optimizer serves these alone.

        Raises:
            ValueError: a weight of undefined shape or of a dtype that cannot be
                trained; weights to be left out of the decay are not among them; or a
                state that was loaded before does not fit.
        """
        if self.built:
            return
        variables = list(variables)
        for variable in variables:
            check_can_be_trained(variable)
        self._locate_decay_exclusions(variables)
        with outside_of_graphs():
            super().build(variables)
            if self._packs_small_weights():
                factor = (
                    packing.BESIDE_CONTROLS if self._looks_at_all_gradients() else 1
                )
                packs = plan_packs(
                    variables,
                    lambda v: bool(self._use_weight_decay(v)),
                    packing.SMALL * factor,
                )
                self._packing = Packing(packs)
            first, second = self._add_moments(variables, ("momentum", "velocity"))
            self._momentums, self._momentum_scales = first
            self._velocities, self._velocity_scales = second
            if self.amsgrad:
                (largest,) = self._add_moments(variables, ("velocity_hat",))
                self._velocity_hats, _ = largest
            self._rounding_errors = [
                self._add_rounding_error(variable) for variable in variables
            ]
            self._last_steps = [
                self._add_last_steps(variable) for variable in variables
            ]
            if any(last_step is not None for last_step in self._last_steps):
                self._steps_taken.create()
            if self._controls_rate():
                self._log_rate_multiplier = self._add_scalar("log_rate_multiplier")
                self._peak_rate = self._add_scalar("peak_rate")
                if isinstance(
                    self._learning_rate, keras.Variable | LearningRateSchedule
                ):
                    # A user's function may return something else when called again.
                    first = ops.convert_to_numpy(self._get_current_learning_rate())
                    self._warn_of_rate_far_above_cap(float(first))
            if self.spike_guard:
                self._norm_history = [
                    self._add_scalar(f"norm_history_{name}")
                    for name in NormHistory._fields
                ]
                self._clipped_spikes = self._add_scalar("clipped_spikes", "int")
            if self.skip_nonfinite:
                self._skipped_steps = self._add_scalar("skipped_steps", "int")
            self._load_waiting_state()

    def _controls_rate(self) -> bool:
        """Whether a step's rate is another one than the given."""
        return self.rate_cap is not None or self.rate_adaptation is not None

    def _warn_of_rate_far_above_cap(self, given: float) -> None:
        """Log once if the given learning rate is far above the cap."""
        if self.rate_cap is None or self._has_warned_of_rate:
            return
        if given <= FAR_ABOVE_CAP * self.rate_cap:
            return
        self._has_warned_of_rate = True
        first = self.rate_cap * (given / self.rate_cap) ** self.rate_cap_softness
        logger.warning(
            "The learning rate %g is %.0f times rate_cap=%g: training starts at a "
            "learning rate of %.2g instead. If the weights really need such large "
            "steps, as the pixels of an image do, give rate_cap=%g as well.",
            given,
            given / self.rate_cap,
            self.rate_cap,
            first,
            given,
        )

    def _looks_at_all_gradients(self) -> bool:
        """Whether something is computed from all gradients of a step together."""
        has_common_norm = self.global_clipnorm or self.spike_guard
        return bool(has_common_norm) or self._controls_rate()

    def _update_count(self) -> Any:
        """How many updates there have been, as `iterations` says: a scalar tensor."""
        count = read(self._iterations)
        micro_batches = self.gradient_accumulation_steps
        return count // micro_batches if micro_batches else count

    def _step_scalars(self) -> list[Any]:
        """The variables of a step that belong to no weight."""
        scalars = (
            self._iterations,
            self._log_rate_multiplier,
            self._peak_rate,
            *self._norm_history,
            self._clipped_spikes,
            self._skipped_steps,
            self._steps_taken.variable,
        )
        return [scalar for scalar in scalars if scalar is not None]

    def _kept_of(self, index: int) -> list[Any]:
        """The weight of an index and all that is kept of it, packs apart."""
        per_weight = [
            self._trainable_variables,
            self._momentums,
            self._velocities,
            self._velocity_hats if self.amsgrad else (),
            self._momentum_scales,
            self._velocity_scales,
            self._rounding_errors,
            self._last_steps,
            self._model_variables_moving_average if self.use_ema else (),
            self._accumulated_gradients if self.gradient_accumulation_steps else (),
        ]
        found = (variables[index] for variables in per_weight if variables)
        return [
            variable
            for variable in found
            if variable is not None and not isinstance(variable, PackedVariable)
        ]

    def _add_scalar(self, name: str, dtype: str = "float32") -> keras.Variable:
        return self.add_variable(
            shape=(), dtype=dtype, aggregation="only_first_replica", name=name
        )

    def _packs_small_weights(self) -> bool:
        return True

    def _storage_of(self, variable: Any) -> MomentStorage:
        """How the moments of a weight are kept.

        Small weights keep the dtype they are computed in: their moments are a small
        part of the memory, and lie in packs.
        """
        storage = STORAGES[self.moment_storage]
        is_encoded = _can_be_encoded(variable) and storage.encodes(variable.shape)
        return storage if is_encoded else UNENCODED

    def _is_encoded(self, variable: Any) -> bool:
        """Whether the moments of a weight lose digits between steps."""
        return not self._storage_of(variable).is_exact

    def _state_of(self, variable: Any) -> WeightState:
        """All variables of a weight, or of the device's copy of it that is given."""
        index = self._get_variable_index(variable)
        return WeightState(
            variable,
            self._momentums[index],
            self._velocities[index],
            self._velocity_hats[index] if self.amsgrad else None,
            self._momentum_scales[index],
            self._velocity_scales[index],
            self._rounding_errors[index],
            self._last_steps[index],
        )

    def _add_moments(
        self, variables: Sequence[Any], names: Sequence[str]
    ) -> list[tuple[list[keras.Variable | None], list[keras.Variable | None]]]:
        """Codes and scales of each weight, a pair of lists per name.

        Created in Keras's order; scales are ``None`` where there are none.
        """
        moments = [([], []) for _ in names]
        for index, variable in enumerate(variables):
            for name, (codes, scales) in zip(names, moments, strict=True):
                if self._overwrite_variable_with_gradient(variable):
                    code, scale = None, None
                else:
                    code, scale = self._add_moment(index, variable, name)
                codes.append(code)
                scales.append(scale)
        return moments

    def _add_moment(
        self, index: int, variable: Any, name: str
    ) -> tuple[keras.Variable, keras.Variable | None]:
        pack = self._packing.of_weight.get(index)
        if pack is not None:
            return self._add_view(pack, index, variable, name), None
        if not self._is_encoded(variable):
            return self.add_variable_from_reference(variable, name=name), None
        storage = self._storage_of(variable)
        codec: Codec = storage.first if name == "momentum" else storage.second
        if not codec.has_scales:
            return self._add_variable_beside(variable, name, codec.dtype), None
        shape = storage.stored_shape(variable.shape)
        return (
            self._add_variable_beside(variable, name, codec.dtype, shape=shape),
            self._add_variable_beside(
                variable, f"{name}_scale", "float32", shape=(shape[0], 1)
            ),
        )

    def _add_view(
        self, pack: Pack, index: int, variable: Any, moment: str
    ) -> keras.Variable:
        name = f"{path_of(variable).replace('/', '_').replace(':', '_')}_{moment}"
        with keras.name_scope(self.name, caller=self):
            view = PackedVariable(pack, index, moment, variable.shape, name)
        self._track_variable(view)
        return view

    def _trackable_children(
        self, save_type: str = "checkpoint", **kwargs: Any
    ) -> dict[str, Any]:
        children = super()._trackable_children(save_type, **kwargs)
        if self._steps_taken.variable is not None:
            children["steps_taken"] = self._steps_taken.variable
        if save_type == "savedmodel":
            # A SavedModel holds the backend's variables, which views are not: the packs
            # themselves stand in their place. Checkpoints and Keras's files have views.
            for name in _LISTS_WITH_VIEWS:
                children.pop(name, None)
            variables = map(native_variable, self.stored_variables)
            children |= {f"stored_{i}": v for i, v in enumerate(variables)}
        return children

    def assign(self, variable: Any, value: Any) -> None:
        """Assign a variable of the optimizer or a weight."""
        if isinstance(variable, PackedVariable):
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

        Of a weight that cannot be trained, in its own dtype as in Keras.
        """
        wanted = precision.compute_dtype(reference_variable)
        is_kept = not precision.is_floating(reference_variable)
        if is_kept or precision.dtype_of(reference_variable) == wanted:
            return super().add_variable_from_reference(
                reference_variable, name=name, initializer=initializer
            )
        # Keras takes the dtype from the reference; a bfloat16 moment would lose
        # beta_2 = 0.999, which rounds to 1 there.
        return self._add_variable_beside(
            reference_variable, name or "var", wanted, initializer
        )

    def _add_rounding_error(self, variable: Any) -> keras.Variable | None:
        if not precision.loses_small_steps(variable):
            return None
        if self._overwrite_variable_with_gradient(variable):
            return None
        return self._add_variable_beside(variable, "rounding_error", variable.dtype)

    def _add_last_steps(self, variable: Any) -> keras.Variable | None:
        """Per row the last step that was taken; 0 before the first one.

        Counted by `_steps_taken`: the optimizer's step count may be set by the user,
        for warm restarts for example, and no row has missed a step by that.
        """
        is_table = len(variable.shape) > 1 and math.prod(variable.shape) >= LARGE_TABLE
        if not (is_table and self._catches_up() and precision.is_floating(variable)):
            return None
        if self._overwrite_variable_with_gradient(variable):
            return None
        shape = variable.shape[:1]
        return self._add_variable_beside(variable, "last_step", "int32", shape=shape)

    def _missed_steps(self, last_steps: Any) -> Any:
        """How many steps without a gradient rows have to make up for.

        0 where a row never had a gradient: it has no momentum.

        Args:
            last_steps: of the rows, as `_last_steps` holds them.
        """
        missed = ops.maximum(self._steps_taken.read() - last_steps, 0)
        return ops.where(last_steps == 0, 0, missed)

    def _catches_up(self) -> bool:
        # On the other backends every gradient is dense: no row is ever behind.
        is_tensorflow = keras.backend.backend() == "tensorflow"
        return self.sparse_updates == "catch_up" and is_tensorflow

    def _add_variable_beside(
        self,
        reference: Any,
        suffix: str,
        dtype: Any,
        initializer: Any = "zeros",
        shape: Sequence[int] | None = None,
    ) -> keras.Variable:
        """A state variable on the reference's device, of its shape if none is given."""
        name = f"{path_of(reference).replace('/', '_').replace(':', '_')}_{suffix}"
        with colocated_with(reference):
            return self.add_variable(
                shape=reference.shape if shape is None else shape,
                initializer=initializer,
                dtype=dtype,
                name=name,
                layout=getattr(reference, "_layout", None) if shape is None else None,
            )

    def save_own_variables(self, store: Any) -> None:
        """Save the state in the form of ``keras.optimizers.Adam``."""
        if not self.built and self._waiting_state is not None:
            for key, array in self._waiting_state.items():
                store[key] = array
            return
        checkpoint_layout.write_variables(store, self._layout())

    def load_own_variables(self, store: Any) -> None:
        """Load a state that this class or ``keras.optimizers.Adam`` saved.

        Before the optimizer is built only step count and rate are assigned; the rest
        is kept until then. If it turns out to be of other weights, because layers were
        frozen, unfrozen or replaced, it is given up with a warning, as Keras does.

        Raises:
            ValueError: the state belongs to another model or to other options, or
                holds what no state can (NaN, infinity, a negative second moment and
                so on); nothing has been changed.
        """
        if self.built:
            checkpoint_layout.read_variables(store, self._layout())
            self._waiting_state = self._scalars_before_loading = None
            return
        before = tuple(variable.numpy().item() for variable in self._scalars())
        self._waiting_state = checkpoint_layout.read_scalars(store, self._scalars())
        if self._scalars_before_loading is None:
            self._scalars_before_loading = before

    def _load_waiting_state(self) -> None:
        if self._waiting_state:
            # Forgotten only once it fits: training on from zero must not be the
            # outcome of a refusal that somebody caught. Step count and rate have
            # been assigned already, and the rate may have been set since.
            with outside_of_graphs():
                layout, state = self._layout(), self._waiting_state
                if checkpoint_layout.is_of_other_weights(state, layout):
                    self._start_from_zero(state)
                else:
                    checkpoint_layout.read_variables(state, layout, with_scalars=False)
        self._waiting_state = self._scalars_before_loading = None

    def _start_from_zero(self, state: checkpoint_layout.Arrays) -> None:
        """Give up the waiting state, as if it had not been loaded, and log it.

        Keras loads no state before building and trains on from zero. That is right
        where layers were frozen, unfrozen or replaced: with the step count of the file
        there is no bias correction, and the first steps of weights that the file does
        not know would be several times too large.
        """
        before = self._scalars_before_loading or ()
        for number, (variable, value) in enumerate(
            zip(self._scalars(), before, strict=False)
        ):
            loaded, now = state[str(number)], variable.numpy()
            # What was set since then stays.
            if loaded.shape == () and now == loaded.astype(now.dtype):
                variable.assign(value)
        logger.warning(
            "The optimizer state that was loaded before the first step is of other "
            "weights than those that are trained: layers were frozen, unfrozen or "
            "replaced since it was saved. It is not used. Step count, and learning "
            "rate unless it was set since, are those from before loading, and the "
            "state of all weights starts from zero: %s",
            ", ".join(path_of(weight) for weight in self._trainable_variables),
        )

    def _scalars(self) -> list[Any]:
        """Step count and, if it is a number, the rate."""
        rate = self._learning_rate
        return [self._iterations, *([rate] if isinstance(rate, keras.Variable) else [])]

    def _layout(self) -> checkpoint_layout.Layout:
        def existing(name: str) -> list[Any]:
            found = getattr(self, name, None) or []
            return [variable for variable in found if variable is not None]

        weights = self._trainable_variables if self.built else []

        def moments(codes: str, scales: str | None = None) -> list[StoredMoment]:
            none = [None] * len(weights)
            all_codes = getattr(self, codes, None) or none
            all_scales = none if scales is None else getattr(self, scales) or none
            return [
                StoredMoment(code, scale, tuple(weight.shape), _can_be_encoded(weight))
                for weight, code, scale in zip(
                    weights, all_codes, all_scales, strict=True
                )
                if code is not None
            ]

        return checkpoint_layout.Layout(
            scalars=self._scalars(),
            averages=existing("_model_variables_moving_average"),
            accumulators=existing("_accumulated_gradients"),
            first_moments=moments("_momentums", "_momentum_scales"),
            second_moments=moments("_velocities", "_velocity_scales"),
            largest_second_moments=moments("_velocity_hats"),
            moment_storage=self.moment_storage,
            remainders=existing("_rounding_errors"),
            last_steps=[
                (variable, self._velocities[index])
                for index, variable in enumerate(self._last_steps)
                if variable is not None
            ],
            steps_taken=self._steps_taken.variable,
            micro_batches=self.gradient_accumulation_steps or 1,
            controls=self._saved_controls(),
        )

    def _saved_controls(self) -> list[tuple[Any, state_laws.Law]]:
        """The scalars that control a step, as far as their options are on."""
        controls: list[tuple[Any, state_laws.Law]] = []
        if self._log_rate_multiplier is not None and self._controls_rate():
            controls += [
                (self._log_rate_multiplier, state_laws.CONTROL),
                (self._peak_rate, state_laws.CONTROL_OF_AT_LEAST_0),
            ]
        if self._norm_history and self.spike_guard:
            log_mean, log_variance, count = self._norm_history
            controls += [
                (log_mean, state_laws.CONTROL),
                (log_variance, state_laws.CONTROL_OF_AT_LEAST_0),
                (count, state_laws.CONTROL_OF_AT_LEAST_0),
            ]
        return controls

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
        """How many steps `skip_nonfinite` has left out so far.

        Not saved, copied or pickled: saved state has Keras's form.
        """
        return _counted(self._skipped_steps)

    @property
    def clipped_spikes(self) -> int:
        """How many steps `spike_guard` has clipped so far.

        Not saved, copied or pickled: saved state has Keras's form.
        """
        return _counted(self._clipped_spikes)

    @property
    def stored_variables(self) -> list[keras.Variable]:
        """What the state is really kept in: packs in place of their views.

        `variables` has one entry per weight and moment, as Keras has; what it shows
        of small weights is part of a variable that they share, and the count by which
        rows catch up is not among them. Whoever needs the
        variables of the backend (to reset them fast, to look for them in a graph)
        finds them here; the order is of no meaning.
        """
        alone = [v for v in self.variables if not isinstance(v, PackedVariable)]
        if self._steps_taken.variable is not None:
            alone.append(self._steps_taken.variable)
        return [*alone, *(v for pack in self._packing.packs for v in pack.moments())]

    @property
    def rate_multiplier(self) -> float:
        """How many times the given rate the next step's is; 1 without rate control.

        As the last step has left it: 1 before the first, and a schedule that rises
        above all it was meets `rate_cap` only in the step itself. Saved with the
        optimizer.
        """
        if self._log_rate_multiplier is None or not self._controls_rate():
            return 1.0
        return math.exp(ops.convert_to_numpy(self._log_rate_multiplier.value))

    def _count(self, counter: keras.Variable | None, happens: Any) -> None:
        if counter is not None:
            assignable(counter).assign_add(ops.cast(happens, counter.dtype))

    def _locate_decay_exclusions(self, variables: Sequence[Any]) -> None:
        known = getattr(self, "_exclude_from_weight_decay", set())
        located = self._decay_exclusions.located(
            variables, lambda variable: self._var_key(variable) in known
        )
        self._decay_exclusions = located
        self._exclude_from_weight_decay = {
            self._var_key(variables[position]) for position in located.positions or ()
        }


def _counted(counter: keras.Variable | None) -> int:
    return 0 if counter is None else int(ops.convert_to_numpy(counter.value))


def _can_be_encoded(variable: Any) -> bool:
    """Whether the moments of a weight are float32, which storages encode."""
    is_float32 = precision.compute_dtype(variable) == "float32"
    return is_float32 and precision.is_floating(variable)

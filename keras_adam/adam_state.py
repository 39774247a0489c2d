"""What the optimizer keeps between steps: created, counted, saved and loaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_adam import checkpoint_layout, precision
from keras_adam.compiled_apply import outside_of_graphs
from keras_adam.decay_exclusions import DecayExclusions, path_of


class AdamState(keras.optimizers.Optimizer):
    """The state of `keras_adam.Adam`, which sets the options read here.

    The variables' attribute names are Keras's: ``tf.train.Checkpoint`` finds them by
    name.
    """

    amsgrad: bool
    skip_nonfinite: bool

    def __init__(self, **keras_options: Any) -> None:
        super().__init__(**keras_options)
        self._decay_exclusions = DecayExclusions()
        self._rounding_errors: list[keras.Variable | None] = []
        self._skipped_steps: keras.Variable | None = None
        self._waiting_state: checkpoint_layout.Arrays | None = None

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
        with outside_of_graphs():
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
        if self._waiting_state:
            # Forgotten only once it fits: training on from zero must not be the
            # outcome of a refusal that somebody caught.
            with outside_of_graphs():
                self.load_own_variables(self._waiting_state)
        self._waiting_state = None

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

    def _count_skipped_step(self) -> None:
        if self._skipped_steps is not None:
            self._skipped_steps.assign_add(1)

    def _locate_decay_exclusions(self, variables: Sequence[Any]) -> None:
        known = getattr(self, "_exclude_from_weight_decay", set())
        located = self._decay_exclusions.located(
            variables, lambda variable: self._var_key(variable) in known
        )
        self._decay_exclusions = located
        self._exclude_from_weight_decay = {
            self._var_key(variables[position]) for position in located.positions or ()
        }


def _slot_name(variable: Any, suffix: str) -> str:
    return f"{path_of(variable).replace('/', '_').replace(':', '_')}_{suffix}"

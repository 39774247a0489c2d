"""Everything that an optimizer keeps between steps, except its controls' scalars."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from keras_adam.backend import precision
from keras_adam.backend.variables import VariableView, outside_of_graphs, read
from keras_adam.options import Options
from keras_adam.state import packing as packs
from keras_adam.state.packing import Pack, Packing, plan_packs
from keras_adam.state.step_count import StepCount
from keras_adam.state.variable_creation import VariableCreation
from keras_adam.state.weight_state import WeightState, WeightVariables
from keras_adam.storage import STORAGES, UNENCODED, MomentStorage

LARGE_TABLE = 65_536
"""The rows of a table with at least this many entries catch up; a smaller table is
stepped as a whole."""


class OptimizerState:
    """The weights, what is kept of each, and the count of steps.

    Attributes:
        weights: in the optimizer's order.
        packing: which small weights share their variables.
        iterations: Keras's step count, which counts micro-batches.
        steps_taken: counts steps for rows that catch up.
        assign: assigns a variable with the optimizer's method, which subclasses may
            override.
    """

    def __init__(
        self,
        weights: Sequence[WeightState],
        packing: Packing,
        iterations: keras.Variable,
        steps_taken: StepCount,
        tracked: Callable[[], list[keras.Variable]],
        assign: Callable[[Any, Any], None],
    ) -> None:
        self.weights = list(weights)
        self.packing = packing
        self.iterations = iterations
        self.steps_taken = steps_taken
        self._tracked = tracked
        self.assign = assign

    def variables_of(self, name: str) -> list[Any]:
        """One kind of variable of all weights, ``None`` where a weight has none.

        Args:
            name: of a field of `WeightVariables`.
        """
        return [getattr(weight.variables, name) for weight in self.weights]

    def update_count(self, options: Options) -> Any:
        """How many updates there have been by `iterations`: a scalar tensor."""
        count = read(self.iterations)
        micro_batches = options.gradient_accumulation_steps
        return count // micro_batches if micro_batches else count

    def missed_steps(self, last_steps: Any) -> Any:
        """How many steps without a gradient rows have to make up for.

        0 where a row never had a gradient: it has no momentum.

        Args:
            last_steps: of the rows, as `WeightVariables.last_step` holds them.
        """
        missed = ops.maximum(self.steps_taken.read() - last_steps, 0)
        return ops.where(last_steps == 0, 0, missed)

    def all_variables(self) -> list[Any]:
        """The optimizer's variables and the weights."""
        return [*self._tracked(), *(weight.parameter for weight in self.weights)]

    def stored_variables(self) -> list[keras.Variable]:
        """The variables that really hold the state: packs in place of their views."""
        alone = [v for v in self._tracked() if not isinstance(v, VariableView)]
        if self.steps_taken.variable is not None:
            alone.append(self.steps_taken.variable)
        return [*alone, *(v for pack in self.packing.packs for v in pack.moments())]


def build_state(
    creation: VariableCreation,
    variables: Sequence[Any],
    options: Options,
    iterations: keras.Variable,
    tracked: Callable[[], list[keras.Variable]],
    averages: Sequence[Any] | None = None,
    accumulators: Sequence[Any] | None = None,
    *,
    packs_small_weights: bool,
) -> OptimizerState:
    """Create the state of an optimizer, in the order in which Keras's Adam saves it.

    That order is: both moments interleaved per weight, then AMSGrad's. What Keras does
    not have comes last.

    Args:
        creation: creates variables of the optimizer.
        variables: the weights.
        options: of the optimizer.
        iterations: Keras's step count.
        tracked: returns all variables of the optimizer.
        averages: of the weights, which Keras has created; ``None``: none.
        accumulators: of gradients, which Keras has created; ``None``: none.
        packs_small_weights: whether small weights may share variables.
    """
    with outside_of_graphs():
        is_decayed = [creation.is_decayed(v) for v in variables]
        packing = Packing()
        if packs_small_weights:
            factor = packs.BESIDE_CONTROLS if options.looks_at_all_gradients else 1
            packing = Packing(plan_packs(variables, is_decayed, packs.SMALL * factor))
        storages = [storage_of(variable, options) for variable in variables]
        moments: list[dict[str, Any]] = [{} for _ in variables]
        amsgrad = [("velocity_hat",)] if options.amsgrad else []
        for names in (("momentum", "velocity"), *amsgrad):
            for index, (variable, storage) in enumerate(
                zip(variables, storages, strict=True)
            ):
                for name in names:
                    pack = packing.of_weight.get(index)
                    moments[index] |= _add_moment(
                        creation, pack, index, variable, name, storage
                    )
        for variable, kept in zip(variables, moments, strict=True):
            kept["rounding_error"] = _add_rounding_error(creation, variable)
        for variable, kept in zip(variables, moments, strict=True):
            kept["last_step"] = _add_last_step(creation, variable, options)
        steps_taken = StepCount()
        if any(kept["last_step"] is not None for kept in moments):
            steps_taken.create()
    weights = [
        WeightState(
            index,
            WeightVariables(variable, **moments[index]),
            storages[index],
            is_decayed[index],
            creation.assign,
            averages[index] if averages else None,
            accumulators[index] if accumulators else None,
            index,
        )
        for index, variable in enumerate(variables)
    ]
    return OptimizerState(
        weights,
        packing,
        iterations,
        steps_taken,
        tracked,
        creation.assign,
    )


def storage_of(variable: Any, options: Options) -> MomentStorage:
    """How the moments of a weight are stored.

    Moments of small weights keep the compute dtype: they are a small part of the
    memory, and may lie in packs.
    """
    storage = STORAGES[options.moment_storage]
    is_encoded = can_be_encoded(variable) and storage.encodes(variable.shape)
    return storage if is_encoded else UNENCODED


def can_be_encoded(variable: Any) -> bool:
    """Whether the moments of a weight are float32: storages encode no others."""
    is_float32 = precision.compute_dtype(variable) == "float32"
    return is_float32 and precision.is_floating(variable)


def _add_moment(
    creation: VariableCreation,
    pack: Pack | None,
    index: int,
    variable: Any,
    name: str,
    storage: MomentStorage,
) -> dict[str, Any]:
    """The variables of one moment, by their fields in `WeightVariables`."""
    if creation.is_overwritten(variable):
        return {name: None}
    if pack is not None:
        return {name: creation.view(pack, index, variable, name)}
    codec = storage.first if name == "momentum" else storage.second
    if storage.is_exact:
        return {name: creation.like(variable, name)}
    if not codec.has_scales:
        return {name: creation.beside(variable, name, codec.dtype)}
    shape = storage.stored_shape(variable.shape)
    scale = f"{name}_scale"
    return {
        name: creation.beside(variable, name, codec.dtype, shape=shape),
        scale: creation.beside(variable, scale, "float32", shape=(shape[0], 1)),
    }


def _add_rounding_error(creation: VariableCreation, variable: Any) -> Any:
    if not precision.loses_small_steps(variable):
        return None
    if creation.is_overwritten(variable):
        return None
    return creation.beside(variable, "rounding_error", variable.dtype)


def _add_last_step(creation: VariableCreation, variable: Any, options: Options) -> Any:
    """A variable with the last step that each row took; 0 before its first.

    The steps are those of `StepCount`. Users may set the optimizer's step count, for
    example for warm restarts, which does not make a row miss a step.
    """
    is_table = len(variable.shape) > 1 and math.prod(variable.shape) >= LARGE_TABLE
    if not (is_table and options.rows_catch_up and precision.is_floating(variable)):
        return None
    if creation.is_overwritten(variable):
        return None
    return creation.beside(variable, "last_step", "int32", shape=variable.shape[:1])

"""How an optimizer creates the variables that it keeps between steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from keras_adam.backend.variables import colocated_with
from keras_adam.state.decay_exclusions import path_of
from keras_adam.state.packing import Pack, PackedVariable


class VariableCreation:
    """Creates and assigns variables of an optimizer, which tracks them as its own.

    Args:
        optimizer: a Keras optimizer.
    """

    def __init__(self, optimizer: keras.optimizers.Optimizer) -> None:
        self._optimizer = optimizer

    def scalar(self, name: str, dtype: str = "float32") -> keras.Variable:
        """A scalar that every replica has a copy of."""
        return self._optimizer.add_variable(
            shape=(), dtype=dtype, aggregation="only_first_replica", name=name
        )

    def like(self, weight: Any, name: str) -> keras.Variable:
        """A variable of a weight's shape, in the compute dtype."""
        return self._optimizer.add_variable_from_reference(weight, name=name)

    def beside(
        self,
        weight: Any,
        suffix: str,
        dtype: Any,
        initializer: Any = "zeros",
        shape: Sequence[int] | None = None,
    ) -> keras.Variable:
        """A variable on a weight's device, of its shape if none is given."""
        with colocated_with(weight):
            return self._optimizer.add_variable(
                shape=weight.shape if shape is None else shape,
                initializer=initializer,
                dtype=dtype,
                name=f"{_file_name(weight)}_{suffix}",
                layout=getattr(weight, "_layout", None) if shape is None else None,
            )

    def view(self, pack: Pack, index: int, weight: Any, moment: str) -> PackedVariable:
        """A variable that shows a weight's part of a pack."""
        optimizer = self._optimizer
        with keras.name_scope(optimizer.name, caller=optimizer):
            view = PackedVariable(
                pack, index, moment, weight.shape, f"{_file_name(weight)}_{moment}"
            )
        optimizer._track_variable(view)
        return view

    def assign(self, variable: Any, value: Any) -> None:
        """Assign a variable with the optimizer's method, looked up at every call."""
        self._optimizer.assign(variable, value)

    def is_overwritten(self, weight: Any) -> bool:
        """Whether a weight's gradient is its new value: nothing is kept for it."""
        return self._optimizer._overwrite_variable_with_gradient(weight)

    def is_decayed(self, weight: Any) -> bool:
        """Whether the weight decay applies to a weight."""
        return bool(self._optimizer._use_weight_decay(weight))


def _file_name(weight: Any) -> str:
    return path_of(weight).replace("/", "_").replace(":", "_")

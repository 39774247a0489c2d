"""What every control has in common."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_adam.backend.variables import assignable
from keras_adam.options import Options
from keras_adam.state.checkpoint_laws import Law
from keras_adam.state.variable_creation import VariableCreation


class Control:
    """Keeps nothing between steps, unless a subclass overrides these methods."""

    def create(self, options: Options, creation: VariableCreation) -> None:
        """Create what the control keeps between steps, if it is on."""

    def variables(self) -> list[keras.Variable]:
        """The scalars that the control keeps."""
        return []

    def saved(self, options: Options) -> list[tuple[keras.Variable, Law]]:
        """The variables that files hold, each with the law that its value must obey."""
        del options
        return []


def count_if(counter: keras.Variable | None, happens: Any) -> None:
    """Add one to a counter, if there is one and if a scalar bool is true."""
    if counter is not None:
        assignable(counter).assign_add(ops.cast(happens, counter.dtype))


def counted(counter: keras.Variable | None) -> int:
    """What a counter has counted; 0 where there is none."""
    return 0 if counter is None else int(ops.convert_to_numpy(counter.value))

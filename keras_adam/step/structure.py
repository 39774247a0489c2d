"""Everything that determines what a step computes, except the variables' values."""

from __future__ import annotations

from collections.abc import Hashable

import keras

from keras_adam.backend import precision
from keras_adam.backend.xla_fusion import fuses_several_outputs
from keras_adam.step.context import StepContext


def structure_of(key: Hashable, context: StepContext) -> Hashable:
    """What two optimizers must have in common to share compiled programs.

    Args:
        key: of the pipeline.
        context: of the step.
    """
    weights = tuple(
        (
            weight.shape,
            precision.dtype_of(weight.parameter),
            context.decays(weight),
            weight.index,
            tuple(part is None for part in weight.variables),
        )
        for weight in context.state.weights
    )
    packs = tuple(pack.form() for pack in context.state.packing.packs)
    built = tuple(variable.name for variable in context.scalars())
    environment = keras.backend.floatx(), fuses_several_outputs()
    return key, weights, packs, built, environment

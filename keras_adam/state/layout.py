"""Which of an optimizer's variables are saved, and of which kind each of them is."""

from __future__ import annotations

from typing import Any

from keras_adam.options import Options
from keras_adam.state.checkpoint import Layout, StoredMoment
from keras_adam.state.checkpoint_laws import Law
from keras_adam.state.optimizer_state import OptimizerState, can_be_encoded
from keras_adam.state.weight_state import WeightState


def layout_of(
    scalars: list[Any],
    state: OptimizerState | None,
    controls: list[tuple[Any, Law]],
    options: Options,
) -> Layout:
    """The layout of an optimizer's variables.

    Args:
        scalars: step count and, if it is a number, the learning rate.
        state: of the optimizer; ``None`` before it is built.
        controls: scalars that control a step, each with its law.
        options: of the optimizer.
    """
    weights = [] if state is None else state.weights

    def existing(variables: list[Any]) -> list[Any]:
        return [variable for variable in variables if variable is not None]

    def of(field: str) -> list[Any]:
        return existing([getattr(weight.variables, field) for weight in weights])

    return Layout(
        scalars=scalars,
        averages=existing([weight.average for weight in weights]),
        accumulators=existing([weight.accumulator for weight in weights]),
        first_moments=_moments(weights, "momentum"),
        second_moments=_moments(weights, "velocity"),
        largest_second_moments=_moments(weights, "velocity_hat"),
        moment_storage=options.moment_storage,
        remainders=of("rounding_error"),
        last_steps=[
            (weight.variables.last_step, weight.variables.velocity)
            for weight in weights
            if weight.variables.last_step is not None
        ],
        steps_taken=None if state is None else state.steps_taken.variable,
        micro_batches=options.gradient_accumulation_steps or 1,
        controls=controls,
    )


def _moments(weights: list[WeightState], name: str) -> list[StoredMoment]:
    return [
        StoredMoment(
            getattr(weight.variables, name),
            getattr(weight.variables, f"{name}_scale", None),
            weight.shape,
            can_be_encoded(weight.parameter),
        )
        for weight in weights
        if getattr(weight.variables, name) is not None
    ]

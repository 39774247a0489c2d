"""The step of one weight: decay it, update its moments, move it along them."""

from __future__ import annotations

from typing import Any

from keras import ops

from keras_adam.backend.gradients import as_dense
from keras_adam.backend.xla_fusion import fuses_several_outputs
from keras_adam.control.learning_rate import Sample, samples_of
from keras_adam.options import Options
from keras_adam.rule import adam
from keras_adam.rule.adam import Moments
from keras_adam.rule.missed_steps import catch_up
from keras_adam.state.weight_state import WeightState
from keras_adam.step.context import LearningRates, StepContext


def step_weight(
    context: StepContext,
    weight: WeightState,
    gradient: Any,
    rates: dict[str, LearningRates],
    ids: Any | None = None,
) -> list[Sample]:
    """Step a weight, or only the rows ``ids`` of it if they are given.

    Args:
        context: of the step.
        weight: the weight and its state.
        gradient: of the weight's shape, or one row per id; clipped already.
        rates: learning rates by dtype.
        ids: of rows; ``None`` for all.

    Returns:
        The samples that adapt the learning rate; none if ids are given.
    """
    options, storage = context.options, weight.storage
    rate = rates[weight.dtype]
    parameter = weight.read_parameter(ids)
    moments = weight.read_moments(ids)
    catches_up = weight.variables.last_step is not None
    if ids is not None and catches_up:
        parameter, moments = caught_up(
            context, weight, parameter, moments, rate.plain, ids
        )
    gradient = storage.arrange(ops.cast(as_dense(gradient), weight.dtype))
    updated = adam.update_moments(gradient, moments, options.beta_1, options.beta_2)
    scales = weight.next_scales(gradient, options.beta_1, options.beta_2)
    # Only stochastic rounding needs the step.
    step = context.update_count() + 1 if weight.is_encoded else None
    along = kept = weight.write_moments(updated, step, ids, scales)
    if weight.is_encoded:
        along = adam.within_largest_ratio(kept, options.beta_1, options.beta_2)
        along = along.map(lambda part: storage.restore(part, weight.shape))
    elif fuses_several_outputs():
        along = restated(gradient, moments, options)
    moved = move_parameter(parameter, along, rate, options, context.decays(weight))
    weight.write_parameter(moved, ids)
    if catches_up:
        weight.write_last_step(context.state.steps_taken.read() + 1, ids)
    return [] if ids is not None else samples_of(gradient, kept, options)


def restated(gradient: Any, moments: Moments, options: Options) -> Moments:
    """The moments after a gradient, see `rule.adam.restated_moments`."""
    return adam.restated_moments(gradient, moments, options.beta_1, options.beta_2)


def move_parameter(
    parameter: Any,
    along: Moments,
    rate: LearningRates,
    options: Options,
    decays: bool,
) -> Any:
    """A parameter after its decay and its step; all of one shape."""
    if decays and options.weight_decay is not None:
        parameter = adam.decay_weights(parameter, rate.plain, options.weight_decay)
    return adam.step_along_moments(parameter, along, rate.corrected, options.epsilon)


def caught_up(
    context: StepContext,
    weight: WeightState,
    parameter: Any,
    moments: Moments,
    learning_rate: Any,
    ids: Any | None,
) -> tuple[Any, Moments]:
    """Rows and their moments as they would be if no step had been missed."""
    options = context.options
    last_step = weight.read_last_step(ids)
    missed = context.state.missed_steps(last_step)
    per_row = (-1, *(1 for _ in weight.shape[1:]))
    return catch_up(
        parameter,
        moments,
        ops.cast(ops.reshape(last_step, per_row), parameter.dtype),
        ops.cast(ops.reshape(missed, per_row), parameter.dtype),
        learning_rate,
        options.beta_1,
        options.beta_2,
        options.epsilon,
        float(options.weight_decay or 0) if context.decays(weight) else 0.0,
    )

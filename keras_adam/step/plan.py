"""Which group each weight of a step is in."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from keras_adam.state.weight_state import WeightState
from keras_adam.step.context import StepContext
from keras_adam.step.groups import PackedGroup, StandaloneGroup, WeightGroup
from keras_adam.step.rows_group import RowsGroup

LARGE = 1 << 20
"""Entries from which a weight is stepped by a program of its own as soon as its
gradient is there. One program of all weights starts when the last gradient is known,
and until then all gradients stay in memory."""

WORTH_A_SECOND_PROGRAM = 32_768
"""Entries of all weights of middle size from which half of them are stepped by a second
program, at the same time where there is a core for it. Its call costs some 60
microseconds, as much as stepping that many entries."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """The groups of a step.

    Attributes:
        packed: many small weights each, as a few long vectors.
        together: weights that share the packs' program.
        standalone: weights with a program of their own.
        rows: tables of which some rows have a gradient.
        is_divided: whether the groups run as several programs, and are prepared and
            finished outside of them.
    """

    packed: Sequence[PackedGroup]
    together: WeightGroup
    standalone: Sequence[StandaloneGroup]
    rows: Sequence[RowsGroup]
    is_divided: bool


def plan_step(
    context: StepContext, weights: Sequence[WeightState], by_rows: Sequence[bool]
) -> Plan:
    """Split the weights of a step into groups.

    Args:
        context: of the step.
        weights: that have a gradient, in the order of the gradients.
        by_rows: for each, whether only rows of its gradient are given.
    """
    rows = [
        RowsGroup(context, weight)
        for weight, is_given in zip(weights, by_rows, strict=True)
        if is_given
    ]
    left = {
        weight.index: weight
        for weight, is_given in zip(weights, by_rows, strict=True)
        if not is_given
    }
    packed = []
    for pack in context.state.packing.packs:
        members = {i: left.pop(i) for i in pack.indices if i in left}
        if members:
            packed.append(PackedGroup(context, pack, members))
    second_half = _second_half(context)
    alone, middle, standalone = [], [], []
    for index, weight in left.items():
        if _has_own_program(weight):
            standalone.append(StandaloneGroup(context, [weight]))
        elif index in second_half:
            middle.append(weight)
        else:
            alone.append(weight)
    if middle:
        standalone.append(StandaloneGroup(context, middle))
    return Plan(
        packed,
        WeightGroup(context, alone),
        standalone,
        rows,
        _can_be_divided(context, second_half),
    )


def _can_be_divided(context: StepContext, second_half: frozenset[int]) -> bool:
    """Whether parts of a step can stand outside of the compiled program.

    Not where the step is taken under a condition, or something reads the weights after
    it.
    """
    options, state = context.options, context.state
    has_parts = (
        state.packing.packs or second_half or any(map(_has_own_program, state.weights))
    )
    return bool(has_parts) and not (
        options.skip_nonfinite
        or options.gradient_accumulation_steps
        or options.use_ema
        or options.clipnorm
    )


def _has_own_program(weight: WeightState) -> bool:
    """Whether a weight is stepped by another program than most.

    Encoded weights are much code, which is better compiled once for all weights of a
    shape; large ones are better stepped as soon as their gradient is there.
    """
    return weight.is_encoded or weight.size >= LARGE


def _second_half(context: StepContext) -> frozenset[int]:
    """Which weights of middle size a second program steps.

    So that both programs have as many entries, and keep two cores busy. None where a
    common norm or learning rate makes one program wait for the other.
    """
    packing, weights = context.state.packing, context.state.weights
    if context.options.looks_at_all_gradients:
        return frozenset()
    middle = [
        weight
        for weight in weights
        if weight.index not in packing.of_weight and not _has_own_program(weight)
    ]
    if sum(weight.size for weight in middle) < WORTH_A_SECOND_PROGRAM:
        return frozenset()
    first = sum(weights[index].size for index in packing.of_weight)
    second = 0
    half = set()
    for weight in sorted(middle, key=lambda weight: weight.size, reverse=True):
        if first <= second:
            first += weight.size
        else:
            second += weight.size
            half.add(weight.index)
    return frozenset(half)

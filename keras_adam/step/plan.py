"""Which group each weight of a step is in."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from keras_adam.state.weight_state import WeightState
from keras_adam.step.context import StepContext
from keras_adam.step.groups import PackedGroup, StandaloneGroup, WeightGroup
from keras_adam.step.rows_group import RowsGroup

LARGE = 1 << 20
"""A weight of at least this many entries is stepped by a program of its own as soon as
its gradient is there. A program of all weights can only start when the last gradient is
known, and until then all gradients stay in memory."""

WORTH_A_SECOND_PROGRAM = 32_768
"""If all weights of middle size have at least this many entries together, a second
program steps half of them, in parallel if a core is free. Its call costs about 60
microseconds, as much as stepping that many entries."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """The groups of a step.

    Attributes:
        packed: many small weights, stepped as a few long vectors.
        together: weights that share the packs' program.
        standalone: weights with a program of their own.
        rows: tables of which only some rows have a gradient.
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
    """Whether a step can be divided into several programs.

    It cannot if it is taken under a condition, if averages read the weights after it,
    or if ``clipnorm`` reads each gradient before it.
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
    """Whether a weight is stepped by a program of its own.

    An encoded weight needs much code, which is better compiled once for all weights of
    a shape. A large weight is better stepped as soon as its gradient is there.
    """
    return weight.is_encoded or weight.size >= LARGE


def _second_half(context: StepContext) -> frozenset[int]:
    """Which weights of middle size a second program steps.

    They are chosen so that both programs have about as many entries and keep two cores
    busy. None are chosen if a common norm or the control of the learning rate would
    make one program wait for the other.
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

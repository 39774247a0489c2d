"""What all gradients of a step decide together, if some are given by rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from keras_adam.backend.executors import RunPart
from keras_adam.backend.rows import SummedRows
from keras_adam.rule.clipping import norm_of_finite
from keras_adam.rule.finite import are_all_finite
from keras_adam.rule.learning_rate import Alignment
from keras_adam.step.context import StepContext


class Decision(NamedTuple):
    """What all gradients of a step decide together, for programs that see only some.

    Attributes:
        is_finite: whether all are finite, scalar bool; ``None`` without
            ``skip_nonfinite``.
        factor: scalar by which every gradient is clipped; ``None`` if none is.
        alignments: of the gradients by rows, to adapt the learning rate.
    """

    is_finite: Any | None
    factor: Any | None
    alignments: Sequence[Alignment] = ()


def decide(
    context: StepContext,
    dense: list[Any],
    rows: Sequence[SummedRows],
    learning_rate: Any,
    run: RunPart,
) -> Decision:
    """Decide for all gradients of a step, if some are given by rows.

    Each gradient by rows is represented by a scalar, its norm.

    Args:
        context: of the step.
        dense: the other gradients.
        rows: the gradients by rows, with repeated ids summed.
        learning_rate: the given one, scalar.
        run: runs a part whose shapes are fixed.
    """
    options = context.options
    clipping, guard = context.controls.clipping, context.controls.spike_guard
    if not (options.skip_nonfinite or options.has_common_norm):
        return Decision(None, None)
    # As in a dense step, the common norm is that of the gradients after `clipnorm`.
    sums = clipping.each([gradient.sums for gradient in rows], options)
    norms = [norm_of_finite([one]) for one in sums]
    rows_are_finite = are_all_finite(sums) if options.skip_nonfinite else None

    def decide_together(gradients: Any, norms: Any, is_finite: Any, _: Any) -> Decision:
        if gradients and is_finite is not None:
            is_finite = is_finite & are_all_finite(gradients)
        if not options.has_common_norm:
            return Decision(is_finite, None)
        is_counted = True if is_finite is None else is_finite
        clipped = clipping.each(gradients, options)
        factor = clipping.factor([*clipped, *norms], options, guard, is_counted)
        return Decision(is_finite, factor)

    return run(
        "decision",
        decide_together,
        context.scalars(),
        dense,
        norms,
        rows_are_finite,
        learning_rate,
    )

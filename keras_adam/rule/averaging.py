"""The moving average of a weight: a pure function of tensors."""

from __future__ import annotations

from typing import Any

from keras import ops

Tensor = Any


def update_average(
    average: Tensor, parameter: Tensor, momentum: float, is_first: Tensor
) -> Tensor:
    """Take the parameter into its moving average; the first parameter starts it.

    ``a ← momentum · a + (1 - momentum) · w``, and ``a ← w`` where ``is_first``.

    Args:
        average: a, of the parameter's shape.
        parameter: w, after its step.
        momentum: between 0 and 1.
        is_first: scalar bool, true at the first update.

    **Source**: B. T. Polyak and A. B. Juditsky 1992, exponentially weighted as in
    Keras's ``use_ema``.
    """
    kept = ops.where(is_first, 0.0, ops.cast(momentum, average.dtype))
    return kept * average + (1 - kept) * parameter

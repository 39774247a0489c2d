"""The steps that rows without a gradient have missed, taken all at once."""

from __future__ import annotations

import math
from typing import Any

from keras import ops

from keras_adam.rule.adam import Moments, bias_corrected_rate, step_along_moments

Tensor = Any


def catch_up(
    parameter: Tensor,
    moments: Moments,
    last_step: Tensor,
    missed: Tensor,
    learning_rate: Tensor,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    decay: float = 0.0,
) -> tuple[Tensor, Moments]:
    """Take the steps without a gradient that a row has missed, all k at once.

    ``m ← β₁ᵏ m``, ``v ← β₂ᵏ v``, and momentum moves the row as far as Adam would have
    moved it, ``Σⱼ rate(s + j) · β₁ʲ m / (√(β₂ʲ v) + ε)`` for j = 1 … k after step s.
    Two approximations make this a geometric series: ε shrinks with √v, and all terms
    have the bias correction of their mean step s + j̄::

        w ← (1 - learning_rate · decay)ᵏ (w - rate(s + j̄) · Σⱼ rʲ · m / (√v + ε))
        r = β₁ / √β₂,   Σⱼ rʲ = r (1 - rᵏ) / (1 - r)
        j̄ = 1 / (1 - r) - k rᵏ / (1 - rᵏ)

    With AMSGrad v̂ takes v's place and does not decay: r = β₁.

    Args:
        parameter: w, rows of a weight.
        moments: of these rows, after step s.
        last_step: s, at least 1 where a step was missed.
        missed: k; 0 leaves a row unchanged.
        learning_rate: scalar, used for all missed steps.
        beta_1: decay of the first moment, below √β₂.
        beta_2: decay of the second moment.
        epsilon: the paper's "epsilon hat".
        decay: of the weights, decoupled.

    Shapes:
        ``parameter`` and every moment are ``[n, *row]``; ``last_step`` and ``missed``
        broadcast against them and have their dtype.
    """
    dtype = parameter.dtype
    keeps_second = moments.largest_second is not None
    r = beta_1 if keeps_second else beta_1 / math.sqrt(beta_2)
    power = ops.power(ops.convert_to_tensor(r, dtype), missed)
    # At least one step: the mean over no steps is undefined, and is not used.
    counted = ops.maximum(missed, 1)
    counted_power = ops.power(ops.convert_to_tensor(r, dtype), counted)
    mean = 1 / (1 - r) - counted * counted_power / (1 - counted_power)
    rate = bias_corrected_rate(
        learning_rate, ops.maximum(last_step, 1) + mean, beta_1, beta_2
    )
    parameter = step_along_moments(
        parameter, moments, rate * (r * (1 - power) / (1 - r)), epsilon
    )
    if decay:
        # Decay comes last, because momentum moves the row early in the missed steps.
        parameter = parameter * ops.power(1 - learning_rate * decay, missed)
    first = moments.first * ops.power(ops.convert_to_tensor(beta_1, dtype), missed)
    second = moments.second * ops.power(ops.convert_to_tensor(beta_2, dtype), missed)
    return parameter, Moments(first, second, moments.largest_second)

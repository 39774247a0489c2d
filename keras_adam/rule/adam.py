"""Adam's mathematics: pure functions of tensors, on every Keras backend.

Nothing here holds state, knows a variable or chooses a precision: the caller hands
in tensors of one floating dtype (float32, or float64 for float64 weights) and gets
new tensors of that dtype back.

**Source**: D. P. Kingma and J. Ba, "Adam: A Method for Stochastic Optimization",
arXiv:1412.6980, in the form given just before its section 2.1, where epsilon stands
outside the bias correction ("epsilon hat"), as in Keras and TensorFlow.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from keras import ops

from keras_adam.rule.square_root import square_root

Tensor = Any


class Moments(NamedTuple):
    """What Adam remembers of the gradients, each of the parameter's shape.

    Attributes:
        first: exponential moving average of the gradient, m.
        second: exponential moving average of its square, v.
        largest_second: the largest v so far (AMSGrad), ``None`` without AMSGrad.
    """

    first: Tensor
    second: Tensor
    largest_second: Tensor | None = None

    def map(self, change: Callable[[Tensor], Tensor]) -> Moments:
        """Each moment that there is, changed alike."""
        return Moments(*(None if part is None else change(part) for part in self))


def bias_corrected_rate(
    learning_rate: Tensor, step: Tensor, beta_1: float, beta_2: float
) -> Tensor:
    """The rate that makes up for moments that started at zero.

    ``rate = learning_rate · √(1 - β₂ᵗ) / (1 - β₁ᵗ)``

    Args:
        learning_rate: scalar.
        step: scalar t of the rate's dtype; 1 at the first update.
        beta_1: decay of the first moment.
        beta_2: decay of the second moment.

    Returns:
        A scalar of the rate's dtype.

    **Source**: arXiv:1412.6980, before section 2.1.
    """
    dtype = learning_rate.dtype
    # Cast and so rounded to float32 first, as in Keras, for float64 weights too.
    beta_1_power = ops.power(ops.cast(beta_1, dtype), step)
    beta_2_power = ops.power(ops.cast(beta_2, dtype), step)
    return learning_rate * ops.sqrt(1 - beta_2_power) / (1 - beta_1_power)


def update_moments(
    gradient: Tensor, moments: Moments, beta_1: float, beta_2: float
) -> Moments:
    """Take one more gradient into both moving averages.

    ``m ← m + (1 - β₁)(g - m)``, ``v ← v + (1 - β₂)(g² - v)``, and with AMSGrad
    ``v̂ ← max(v̂, v)``.

    Shapes:
        ``gradient`` and every moment have the parameter's shape, which is kept.

    **Source**: arXiv:1412.6980, Algorithm 1; AMSGrad: Reddi et al. 2018,
    arXiv:1904.09237, Algorithm 2.
    """
    first = moments.first + (gradient - moments.first) * (1 - beta_1)
    second = moments.second + (ops.square(gradient) - moments.second) * (1 - beta_2)
    if moments.largest_second is None:
        return Moments(first, second)
    return Moments(first, second, ops.maximum(moments.largest_second, second))


def restated_moments(
    gradient: Tensor, moments: Moments, beta_1: float, beta_2: float
) -> Moments:
    """The moments of :func:`update_moments`, in words that XLA does not recognise.

    ``m ← β₁ m + (1 - β₁) g``, ``v ← β₂ v + (√(1 - β₂) g)²``. They differ by rounding.

    Written twice in the same words, an expression is computed once, and what needs
    it waits for another pass over memory. Where XLA fuses computations with several
    outputs, a parameter that is stepped along these moments is computed in the same
    pass as those that are kept.

    Shapes:
        ``gradient`` and every moment have the parameter's shape, which is kept.
    """
    first = moments.first * beta_1 + gradient * (1 - beta_1)
    second = moments.second * beta_2 + ops.square(gradient * math.sqrt(1 - beta_2))
    if moments.largest_second is None:
        return Moments(first, second)
    return Moments(first, second, ops.maximum(moments.largest_second, second))


def within_largest_ratio(moments: Moments, beta_1: float, beta_2: float) -> Moments:
    """Moments whose ratio is one that gradients can bring about.

    ``|m| ≤ √v · (1 - β₁) / √(1 - β₂) / √(1 - β₁² / β₂)``

    Exact moments always are (Cauchy-Schwarz over the two sums of past gradients), so
    this changes what storage has made of them and nothing else: a v that was rounded
    down would let the step explode. Without effect for β₁² ≥ β₂, where there is no
    bound.

    Shapes:
        every moment has the parameter's shape, which is kept.
    """
    if beta_1**2 >= beta_2:
        return moments
    largest = (1 - beta_1) / math.sqrt((1 - beta_2) * (1 - beta_1**2 / beta_2))
    bound = ops.sqrt(moments.second) * largest
    return moments._replace(first=ops.clip(moments.first, -bound, bound))


def step_along_moments(
    parameter: Tensor, moments: Moments, rate: Tensor, epsilon: float
) -> Tensor:
    """Move the parameter by one Adam step.

    ``w ← w - rate · m / (√v + ε)``, with AMSGrad's v̂ in place of v.

    Args:
        parameter: w.
        moments: m and v, after this step's gradient.
        rate: scalar from :func:`bias_corrected_rate`.
        epsilon: the paper's "epsilon hat".

    Shapes:
        ``parameter`` and every moment have the same shape, which is kept.

    **Source**: arXiv:1412.6980, before section 2.1.
    """
    second = (
        moments.second if moments.largest_second is None else moments.largest_second
    )
    return parameter - moments.first * rate / (square_root(second) + epsilon)


def decay_weights(parameter: Tensor, learning_rate: Tensor, decay: float) -> Tensor:
    """Shrink the parameter towards zero, apart from the gradient's step.

    ``w ← w - learning_rate · decay · w``

    **Source**: I. Loshchilov and F. Hutter, "Decoupled Weight Decay Regularization",
    arXiv:1711.05101, Algorithm 2.
    """
    return parameter - parameter * decay * learning_rate


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

    ``m ← β₁ᵏ m``, ``v ← β₂ᵏ v``, and the row goes on by its momentum as far as Adam
    would have moved it, ``Σⱼ rate(s + j) · β₁ʲ m / (√(β₂ʲ v) + ε)`` for j = 1 … k after
    step s. Two things are approximate: ε shrinks with √v, and the bias correction is
    that of the mean j̄ of the terms. What is left is a geometric series::

        w ← (1 - learning_rate · decay)ᵏ (w - rate(s + j̄) · Σⱼ rʲ · m / (√v + ε))
        r = β₁ / √β₂,   Σⱼ rʲ = r (1 - rᵏ) / (1 - r)
        j̄ = 1 / (1 - r) - k rᵏ / (1 - rᵏ)

    With AMSGrad v̂ takes v's place and does not decay: r = β₁.

    Args:
        parameter: w, rows of a weight.
        moments: of these rows, after step s.
        last_step: s, at least 1 where a step was missed.
        missed: k; 0 leaves a row as it is.
        learning_rate: scalar, taken for all the missed steps.
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
    # Of at least one step: the mean of none is not defined, and not used.
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
        # Afterwards: momentum moves the row in the first of the missed steps.
        parameter = parameter * ops.power(1 - learning_rate * decay, missed)
    first = moments.first * ops.power(ops.convert_to_tensor(beta_1, dtype), missed)
    second = moments.second * ops.power(ops.convert_to_tensor(beta_2, dtype), missed)
    return parameter, Moments(first, second, moments.largest_second)


def update_average(
    average: Tensor, parameter: Tensor, momentum: float, is_first: Tensor
) -> Tensor:
    """Take the parameter into its moving average; the first one starts it.

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

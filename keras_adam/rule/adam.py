"""Adam's mathematics: pure functions of tensors, on every Keras backend.

Nothing here holds state, knows variables or chooses a precision. The caller passes
tensors of one floating dtype (float32, or float64 for float64 weights) and gets new
tensors of that dtype back.

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
        """Apply a function to each moment that exists."""
        return Moments(*(None if part is None else change(part) for part in self))


def bias_corrected_rate(
    learning_rate: Tensor, step: Tensor, beta_1: float, beta_2: float
) -> Tensor:
    """The learning rate, corrected for moments that started at zero.

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
    # As in Keras, the cast rounds to float32 first, for float64 weights too.
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
    """The moments of :func:`update_moments`, in a form that XLA does not merge with it.

    ``m ← β₁ m + (1 - β₁) g``, ``v ← β₂ v + (√(1 - β₂) g)²``. They differ by rounding.

    XLA computes an expression that occurs twice only once, and whatever reads it waits
    for another pass over memory. If XLA fuses computations with several outputs, a
    parameter that is stepped along these moments is computed in the same pass as the
    stored moments.

    Shapes:
        ``gradient`` and every moment have the parameter's shape, which is kept.
    """
    first = moments.first * beta_1 + gradient * (1 - beta_1)
    second = moments.second * beta_2 + ops.square(gradient * math.sqrt(1 - beta_2))
    if moments.largest_second is None:
        return Moments(first, second)
    return Moments(first, second, ops.maximum(moments.largest_second, second))


def within_largest_ratio(moments: Moments, beta_1: float, beta_2: float) -> Moments:
    """Bound the ratio m / √v by the largest that any gradients can produce.

    ``|m| ≤ √v · (1 - β₁) / √(1 - β₂) / √(1 - β₁² / β₂)``

    Exact moments always obey the bound (Cauchy-Schwarz over the two sums of past
    gradients). So only moments that were changed by storage are clipped: without the
    bound, a second moment that was rounded down would make the step explode. For
    β₁² ≥ β₂ there is no bound, and nothing is changed.

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
    """Shrink the parameter towards zero, separately from the gradient's step.

    ``w ← w - learning_rate · decay · w``

    **Source**: I. Loshchilov and F. Hutter, "Decoupled Weight Decay Regularization",
    arXiv:1711.05101, Algorithm 2.
    """
    return parameter - parameter * decay * learning_rate

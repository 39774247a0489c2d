"""Controls of one step: what bounds a gradient, and whether a step is taken at all.

Pure functions of tensors. A gradient entry that is NaN or infinite stays what it is
and stays where it is: clipping neither hides it nor spreads it to finite entries.
What sets the rate of a step stands in `rate_control`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from keras_adam.rule.learning_rate import Agreement
from keras_adam.rule.sampling import sampled, sampled_share
from keras_adam.rule.square_root import square_root

Tensor = Any


class Controls(NamedTuple):
    """What all gradients of a step decide together, where only some are at hand.

    Attributes:
        is_finite: scalar bool; ``None`` if nobody asks.
        factor: scalar by which every gradient is clipped; ``None`` if none is.
        agreements: what the gradients that are not at hand say of the rate.
    """

    is_finite: Tensor | None
    factor: Tensor | None
    agreements: Sequence[Agreement] = ()


def are_all_finite(tensors: Sequence[Tensor]) -> Tensor:
    """Whether no entry of any tensor is NaN or infinite.

    Args:
        tensors: at least one, of any shapes.

    Returns:
        A scalar bool.
    """
    return ops.all(ops.stack([ops.all(ops.isfinite(t)) for t in tensors]))


def norm_of_finite(tensors: Sequence[Tensor]) -> Tensor:
    """Euclidean norm over the finite entries of all tensors together.

    Entries are divided by the largest before they are squared, so that a spike of
    1e30 has a norm in float32 as well.

    Args:
        tensors: at least one, of any shapes and one floating dtype.

    Returns:
        A scalar; 0 where no entry is finite.
    """
    finite = [ops.where(ops.isfinite(t), t, ops.zeros_like(t)) for t in tensors]
    largest = ops.max(ops.stack([_largest_magnitude(t) for t in finite]))
    limit = float(np.finfo(keras.backend.standardize_dtype(largest.dtype)).max)
    # Compilers multiply by the inverse, which for the largest numbers counts as zero.
    scale = ops.where(largest > 0, ops.minimum(largest, limit / 8), 1.0)
    squares = [ops.sum(ops.square(t / scale)) for t in finite]
    root = square_root(ops.sum(ops.stack(squares)))
    # The norm of many entries near the largest number has no place in the dtype.
    norm = scale * ops.minimum(root, limit / ops.maximum(scale, 1.0))
    return ops.where(largest > 0, norm, ops.zeros_like(norm))


def norm_of_samples(tensors: Sequence[Tensor]) -> Tensor:
    """What the norm of all tensors together is, judged by samples of the large ones.

    Always the same entries, so that one step's norm can be held against another's.

    Args:
        tensors: at least one, of any shapes and one floating dtype.

    Returns:
        A scalar; 0 where no entry that was looked at is finite.
    """
    # Joined, because to compile two reductions of each gradient takes seconds.
    parts = [
        ops.reshape(sampled(tensor), (-1,))
        * (1 / math.sqrt(sampled_share(math.prod(tensor.shape))))
        for tensor in tensors
    ]
    return norm_of_finite([ops.concatenate(parts)])


def clip_to_norm(tensors: Sequence[Tensor], largest_norm: float) -> list[Tensor]:
    """Scale all tensors by one factor so that their common norm is bounded.

    ``t ← t · min(1, largest_norm / ‖tensors‖)``

    Args:
        tensors: at least one; one tensor alone is Keras's ``clipnorm``, all
            gradients together its ``global_clipnorm``.
        largest_norm: positive bound.

    **Source**: R. Pascanu et al., "On the difficulty of training recurrent neural
    networks", arXiv:1211.5063, Algorithm 1.
    """
    factor = factor_within(norm_of_finite(tensors), largest_norm)
    return [t * factor for t in tensors]


class NormHistory(NamedTuple):
    """What is kept of the gradients' norms between steps; scalars.

    Attributes:
        log_mean: running mean of the norm's logarithm.
        log_variance: of it.
        count: how many norms are in both.
    """

    log_mean: Tensor
    log_variance: Tensor
    count: Tensor


NORMS_REMEMBERED = 50
"""Time constant, in steps, of the running mean and variance."""

LEAST_SPREAD = 0.1
"""A standard deviation of the log-norm below which norms are taken to vary anyway;
with few norms known by their number's inverse more, since little is known of it."""


LARGEST = 3e38
"""A norm that none exceeds, near the largest float32. No infinity, which tools that
look for the first one in a training would report."""


def largest_usual_norm(history: NormHistory, deviations: float) -> Tensor:
    """The norm beyond which a gradient is a spike; `LARGEST` while none is known.

    ``exp(mean + deviations · max(standard deviation, LEAST_SPREAD + 1 / count))`` of
    log-norms: of the second gradient one hundreds of times as large as the first.

    Args:
        history: of the steps before.
        deviations: how many standard deviations are usual.

    **Source**: the z-score of the norm as in A. Kumar et al., "ZClip",
    arXiv:2504.02507; here of its logarithm, which spikes do not skew.
    """
    least = LEAST_SPREAD + 1 / ops.maximum(history.count, 1.0)
    spread = ops.maximum(square_root(history.log_variance), least)
    log_norm = history.log_mean + deviations * spread
    norm = ops.exp(ops.minimum(log_norm, math.log(LARGEST)))
    return ops.where(history.count > 0, norm, LARGEST)


def with_norm(history: NormHistory, norm: Tensor, largest: Tensor) -> NormHistory:
    """The history with one more norm, a spike's counting as the largest usual one.

    A norm that is 0 or not finite is left out.
    """
    log_mean, log_variance, count = history
    is_taken = ops.isfinite(norm) & (norm > 0)
    log_norm = ops.log(ops.where(is_taken, ops.minimum(norm, largest), 1.0))
    # The mean of all while they are few, then one that forgets.
    weight = 1 / ops.minimum(count + 1, float(NORMS_REMEMBERED))
    difference = log_norm - log_mean
    taken = NormHistory(
        log_mean + weight * difference,
        (1 - weight) * (log_variance + weight * ops.square(difference)),
        count + 1,
    )
    return NormHistory(
        *(
            ops.where(is_taken, new, old)
            for new, old in zip(taken, history, strict=True)
        )
    )


def factor_within(norm: Tensor, largest: Tensor | float) -> Tensor:
    """The factor that brings a norm to the largest allowed, at most 1."""
    is_within = norm <= largest
    return ops.where(is_within, 1.0, largest / ops.where(is_within, 1.0, norm))


def _largest_magnitude(tensor: Tensor) -> Tensor:
    # A tensor without entries has no maximum: 0 stands in for it.
    return ops.max(ops.abs(ops.reshape(tensor, (-1,))), initial=0.0)

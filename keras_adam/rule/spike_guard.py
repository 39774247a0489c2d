"""Spikes in the common norm of all gradients: pure functions of scalars."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from keras import ops

from keras_adam.rule.square_root import square_root

Tensor = Any


class NormHistory(NamedTuple):
    """What is kept of the gradients' norms between steps; scalars.

    Attributes:
        log_mean: running mean of the norm's logarithm.
        log_variance: running variance of the norm's logarithm.
        count: how many norms both were computed from.
    """

    log_mean: Tensor
    log_variance: Tensor
    count: Tensor


NORMS_REMEMBERED = 50
"""Time constant, in steps, of the running mean and variance."""

LEAST_SPREAD = 0.1
"""The smallest standard deviation of the log-norm that is assumed. ``1 / count`` is
added to it, since few norms say little about their spread."""


LARGEST = 3e38
"""A bound that no norm exceeds, near the largest float32. Not infinity: tools that look
for the first infinity in a training would report it."""


def largest_usual_norm(history: NormHistory, deviations: float) -> Tensor:
    """The norm beyond which a gradient is a spike; `LARGEST` while none is known.

    ``exp(mean + deviations · max(standard deviation, LEAST_SPREAD + 1 / count))`` of
    log-norms. For the second gradient and 5 deviations, this is about 245 times the
    norm of the first gradient.

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
    """The history with one more norm; a spike counts as the largest usual norm.

    A norm that is 0 or not finite is left out.
    """
    log_mean, log_variance, count = history
    is_taken = ops.isfinite(norm) & (norm > 0)
    log_norm = ops.log(ops.where(is_taken, ops.minimum(norm, largest), 1.0))
    # At first the mean of all norms, later an exponential moving average.
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

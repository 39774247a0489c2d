"""The rate of a step, where it is more than the number that the user gave.

One scalar for the whole model, the logarithm L of a multiplier: every step is Adam's
own at the rate ``learning_rate · exp(L)``. A *cap* bounds the first steps, which are
long before anything is known of the gradients. *Adaptation* then moves L by how far
each gradient agrees with the step before it: where gradients go on agreeing the rate
was too small, where they turn back it was too large.

Pure functions of scalars and tensors in float32. The multiplier keeps the shape of a
schedule: a rate of 0 is a step of 0, and L moves in proportion to the scheduled rate.

**Source**: the direction of a gradient against the step before it as a hypergradient
of the rate: A. G. Baydin et al., arXiv:1703.04782; here multiplicative, normalised
and over all weights together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from keras import ops

from keras_adam.rule.square_root import square_root

Tensor = Any

SATURATION = 0.3
"""The alignment at which adaptation is near its full speed."""

BIAS = 0.05
"""What is added to the alignment's part: the rate rests where gradients turn back a
little, not where they are blind to each other."""

HORIZON = 50
"""Steps after which adaptation has a quarter of its first speed, then a ninth, ...: all
its moves together stay below ``gain · HORIZON · (1 + BIAS)``."""

REACH = 10.0
"""How far above the cap adaptation may bring the rate: so many times."""


class Alignment(NamedTuple):
    """How far gradients go on in the direction of the step before; sums of products.

    Attributes:
        aligned: Σ g · u, scalar.
        total: Σ |g · u|, scalar.
    """

    aligned: Tensor
    total: Tensor


class RateState(NamedTuple):
    """What is kept of the rate between steps; scalars.

    Attributes:
        log_multiplier: L.
        peak: the largest scheduled rate so far.
    """

    log_multiplier: Tensor
    peak: Tensor


def capped(
    state: RateState, learning_rate: Tensor, cap: float | None, softness: float = 0.0
) -> RateState:
    """The state for a step at this scheduled rate.

    Where the schedule rises above all it was, the rate follows it as far as the cap;
    above the cap by a power of it, ``cap · (rate / cap)^softness``:
    ``L ← min(L, max((1 - softness) · log(cap / rate), L + log(peak / rate)))``.
    At the first step that is ``min(0, (1 - softness) · log(cap / rate))``. What
    adaptation has brought above the cap stays, as a rate.

    Args:
        state: after the step before.
        learning_rate: scheduled, scalar, at least 0.
        cap: on the rate; ``None``: none.
        softness: in [0, 1); 0: nothing is above the cap.
    """
    log_multiplier, peak = state
    rises = learning_rate > peak
    if cap is not None:
        rate = ops.where(rises, learning_rate, ops.ones_like(learning_rate))
        kept = log_multiplier + ops.log(ops.maximum(peak, _TINY) / rate)
        bound = ops.maximum((1 - softness) * ops.log(cap / rate), kept)
        log_multiplier = ops.where(
            rises, ops.minimum(log_multiplier, bound), log_multiplier
        )
    return RateState(log_multiplier, ops.maximum(peak, learning_rate))


def along_last_step(gradient: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """How far each entry of a gradient goes on in the direction of the last step.

    ``g · u`` with ``u = m / √v``.

    Args:
        gradient: g.
        first: m, without this gradient (see :func:`first_moment_before`).
        second: v, with it.

    Shapes:
        all three have one shape.
    """
    return gradient * first / (square_root(second) + _TINY_ROOT)


def alignment(products: Sequence[Tensor]) -> Alignment:
    """The alignment of all weights together.

    Args:
        products: of each weight, from :func:`along_last_step`; at least one.

    Shapes:
        products: any.
    """
    # Joined, because to compile two reductions for each weight takes seconds.
    flat = [ops.cast(ops.reshape(part, (-1,)), "float32") for part in products]
    joined = flat[0] if len(flat) == 1 else ops.concatenate(flat)
    return Alignment(ops.sum(joined), ops.sum(ops.abs(joined)))


def first_moment_before(gradient: Tensor, first: Tensor, beta_1: float) -> Tensor:
    """The first moment before it took in a gradient: ``(m - (1 - β₁) g) / β₁``.

    From the new one because XLA updates moments in place: whoever reads the old ones
    beside that makes it copy them.
    """
    return (first - gradient * (1 - beta_1)) * (1 / beta_1)


def adapted(
    state: RateState,
    alignments: Sequence[Alignment],
    learning_rate: Tensor,
    step: Tensor,
    gain: float,
    cap: float | None,
    largest_growth: float | None,
) -> RateState:
    """The state after a step.

    ``L ← L + κ (tanh(A / SATURATION) + BIAS)`` with ``A = Σ g · u / Σ |g · u|`` and
    ``κ = gain / (1 + step / HORIZON)² · learning_rate / peak``. L stays where there is
    nothing to agree with, as at the first step, and where A is no number. It grows no
    further than to ``log(largest_growth)``, and to a rate of ``REACH`` caps.

    Adaptation dies out because what it sees is near: over thousands of steps a rate at
    which gradients turn back, and that noise rules, is often the better one, and where
    the data is learnt by heart they agree for ever.

    Args:
        state: of this step, as :func:`capped` returned it.
        alignments: of all weights.
        learning_rate: scheduled, scalar.
        step: scalar; 1 at the first one.
        gain: of log(rate) per step.
        cap: on the rate of the first steps; ``None``: none.
        largest_growth: the largest multiplier; ``None``: none.
    """
    log_multiplier, peak = state
    aligned, total = (
        ops.sum(ops.stack(parts)) for parts in zip(*alignments, strict=True)
    )
    is_known = ops.isfinite(aligned) & ops.isfinite(total) & (total > 0) & (step > 1)
    ratio = ops.where(is_known, aligned, 0.0) / ops.where(is_known, total, 1.0)
    speed = gain / ops.square(1 + step / HORIZON)
    share = learning_rate / ops.maximum(peak, _TINY)
    direction = ops.tanh(ratio / SATURATION) + BIAS
    moved = log_multiplier + ops.where(is_known, speed * share * direction, 0.0)
    if largest_growth is not None:
        moved = ops.minimum(moved, math.log(largest_growth))
    if cap is not None:
        highest = ops.log(cap * REACH / ops.maximum(peak, _TINY))
        moved = ops.minimum(moved, ops.maximum(log_multiplier, highest))
    return RateState(moved, peak)


_TINY = 1e-37
"""Below any rate, and a normal float32."""

_TINY_ROOT = 1e-12
"""Below any root of a second moment that matters."""

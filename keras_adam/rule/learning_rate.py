"""Control of the learning rate: a cap on the first steps, then adaptation.

One scalar for the whole model is controlled: L, the logarithm of a multiplier. Every
step is Adam's own, at the learning rate ``learning_rate · exp(L)``. A *cap* bounds the
first steps, because they are large while nothing is known of the gradients yet.
*Adaptation* then moves L by the alignment of each gradient with the step before it. If
gradients keep their direction, the learning rate was too small; if they turn back, it
was too large.

Pure functions of scalars and tensors in float32. The multiplier keeps the shape of a
schedule: a learning rate of 0 is a step of 0, and L moves in proportion to the
scheduled learning rate.

**Source**: the alignment of a gradient with the step before it, as a hypergradient of
the learning rate: A. G. Baydin et al., arXiv:1703.04782; here multiplicative,
normalised and over all weights together.
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
"""Added to the alignment's part of a move: the learning rate rests where gradients turn
back a little, not where they are unrelated."""

HORIZON = 50
"""Adaptation has a quarter of its first speed after this many steps, a ninth after
twice as many, and so on: all its moves add up to less than
``gain · HORIZON · (1 + BIAS)``."""

REACH = 10.0
"""Adaptation may raise the learning rate to this many times the cap."""


class Alignment(NamedTuple):
    """How far gradients keep the direction of the step before, as sums of products.

    Attributes:
        aligned: Σ g · u, scalar.
        total: Σ |g · u|, scalar.
    """

    aligned: Tensor
    total: Tensor


class RateState(NamedTuple):
    """What the control of the learning rate keeps between steps; scalars.

    Attributes:
        log_multiplier: L.
        peak: the largest scheduled learning rate so far.
    """

    log_multiplier: Tensor
    peak: Tensor


def capped(
    state: RateState, learning_rate: Tensor, cap: float | None, softness: float = 0.0
) -> RateState:
    """The state for a step at this scheduled learning rate.

    While the schedule rises above its peak so far, the learning rate follows it up to
    the cap, and above the cap as ``cap · (rate / cap)^softness``:
    ``L ← min(L, max((1 - softness) · log(cap / rate), L + log(peak / rate)))``.
    At the first step this is ``min(0, (1 - softness) · log(cap / rate))``. A learning
    rate that adaptation has already raised above the cap is kept.

    Args:
        state: after the step before.
        learning_rate: scheduled, scalar, at least 0.
        cap: on the learning rate; ``None``: no cap.
        softness: in [0, 1); 0: the schedule cannot exceed the cap.
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
    """How far each entry of a gradient keeps the direction of the last step.

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
    # Joined, because compiling two reductions for each weight takes seconds.
    flat = [ops.cast(ops.reshape(part, (-1,)), "float32") for part in products]
    joined = flat[0] if len(flat) == 1 else ops.concatenate(flat)
    return Alignment(ops.sum(joined), ops.sum(ops.abs(joined)))


def first_moment_before(gradient: Tensor, first: Tensor, beta_1: float) -> Tensor:
    """The first moment before it took in a gradient: ``(m - (1 - β₁) g) / β₁``.

    Computed from the new moment, because XLA updates moments in place: a second reader
    of the old ones would make XLA copy them.
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
    ``κ = gain / (1 + step / HORIZON)² · learning_rate / peak``. L stays as it is at the
    first step, which has no step before it, and where A is 0 / 0 or not finite. L grows
    to at most ``log(largest_growth)``, and the learning rate to ``REACH`` caps.

    Adaptation dies out because it compares neighbouring steps only. Over thousands of
    steps, the better learning rate is often one at which noise dominates and gradients
    turn back. And once the data are memorised, gradients stay aligned for ever.

    Args:
        state: of this step, as :func:`capped` returned it.
        alignments: of all weights.
        learning_rate: scheduled, scalar.
        step: scalar; 1 at the first one.
        gain: about the largest change of L per step, at first.
        cap: on the learning rate of the first steps; ``None``: no cap.
        largest_growth: the largest multiplier; ``None``: no limit.
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
"""Below any learning rate, and still a normal float32."""

_TINY_ROOT = 1e-12
"""Below any root of a second moment that matters."""

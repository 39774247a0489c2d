"""Compensated summation: keeps what a low-precision weight loses by rounding.

A bfloat16 weight near 1 can only move in steps of 0.008: with a learning rate of 0.001,
rounding to nearest would undo every step. So the rounding error is kept beside the
weight as its compensation, in the weight's own dtype, and added back before the next
step. Together the two carry about 16 bits of mantissa (bfloat16) or 22 (float16).

**Source**: W. Kahan 1965, "Further remarks on reducing truncation errors"; for
bfloat16 training: P. Zamirai et al., "Revisiting BFloat16 Training",
arXiv:2010.06192.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

Tensor = Any

_MANTISSA_BITS = {"bfloat16": 8, "float16": 11, "float32": 24, "float64": 53}
"""By dtype, including the leading 1."""


def split(parameter: Tensor, dtype: str) -> tuple[Tensor, Tensor]:
    """Split a parameter into the nearest value of ``dtype`` and the rounding error.

    Args:
        parameter: in the compute dtype.
        dtype: of the weight.

    Returns:
        ``(rounded, lost)``, both in ``dtype``. Their sum is the parameter, up to the
        rounding of ``lost``. ``lost`` is 0 where ``rounded`` is not finite.
    """
    rounded = ops.cast(parameter, dtype)
    lost = parameter - ops.cast(rounded, parameter.dtype)
    lost = ops.where(ops.isfinite(lost), lost, ops.zeros_like(lost))
    return rounded, ops.cast(lost, dtype)


def join(rounded: Tensor, lost: Tensor, dtype: str) -> Tensor:
    """The parameter that :func:`split` took apart, in the compute dtype.

    If ``lost`` is more than half a grid step, it cannot belong to this weight: the
    weight has been assigned since. ``lost`` then counts as 0.
    """
    bits = _MANTISSA_BITS[keras.backend.standardize_dtype(rounded.dtype)]
    weight, lost = ops.cast(rounded, dtype), ops.cast(lost, dtype)
    # float16 has a coarser, absolute grid below its smallest normal number.
    largest = ops.maximum(ops.abs(weight) * 2.0**-bits, 2.0**-25)
    return weight + ops.where(ops.abs(lost) <= largest, lost, ops.zeros_like(lost))

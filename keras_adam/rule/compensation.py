"""Compensated summation: what a low-precision weight would lose by rounding.

A bfloat16 weight near 1 moves in steps of 0.008: at a learning rate of 0.001,
rounding to the nearest would return it to where it was at every step. What rounding
took away is therefore kept beside such a weight, in the weight's own dtype, and added
back before the next step: the weight and its compensation together carry about 16 bits
of mantissa (bfloat16) or 22 (float16).

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
"""By dtype, the leading 1 included."""


def split(parameter: Tensor, dtype: str) -> tuple[Tensor, Tensor]:
    """A parameter as the nearest value of ``dtype`` and what rounding took away.

    Args:
        parameter: in the compute dtype.
        dtype: of the weight.

    Returns:
        ``(rounded, lost)``, both in ``dtype``; their sum is the parameter up to
        the rounding of ``lost``, which is 0 where the rounded value is
        not finite.
    """
    rounded = ops.cast(parameter, dtype)
    lost = parameter - ops.cast(rounded, parameter.dtype)
    lost = ops.where(ops.isfinite(lost), lost, ops.zeros_like(lost))
    return rounded, ops.cast(lost, dtype)


def join(rounded: Tensor, lost: Tensor, dtype: str) -> Tensor:
    """The parameter that :func:`split` took apart, in the compute dtype.

    If ``lost`` is more than half a grid step, it cannot belong to this weight: somebody
    has assigned the weight since, and it counts as 0.
    """
    bits = _MANTISSA_BITS[keras.backend.standardize_dtype(rounded.dtype)]
    weight, lost = ops.cast(rounded, dtype), ops.cast(lost, dtype)
    # float16 has a coarser, absolute grid below its smallest normal number.
    largest = ops.maximum(ops.abs(weight) * 2.0**-bits, 2.0**-25)
    return weight + ops.where(ops.abs(lost) <= largest, lost, ops.zeros_like(lost))

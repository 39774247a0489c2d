"""In which dtype to compute, and what low-precision weights would lose.

A bfloat16 weight near 1 moves in steps of 0.008: at a rate of 0.001 round-to-nearest
would return it to where it was at every step. What rounding took away is therefore
kept beside such a weight, in the weight's own dtype, and added back before the next
step (compensated summation): weight and remainder together carry about 16 bits of
mantissa (bfloat16) or 22 (float16).

**Source**: W. Kahan 1965, "Further remarks on reducing truncation errors"; for
bfloat16 training: P. Zamirai et al., "Revisiting BFloat16 Training",
arXiv:2010.06192.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

Tensor = Any


_MANTISSA_BITS = {"bfloat16": 8, "float16": 11, "float32": 24, "float64": 53}
"""Of the dtypes in which a weight can be trained, the leading 1 included."""


def dtype_of(variable: Any) -> str:
    """The dtype of a Keras or backend variable, by its name."""
    return keras.backend.standardize_dtype(variable.dtype)


def is_floating(variable: Any) -> bool:
    """Whether a weight can be trained: integers and bools have no gradient."""
    return dtype_of(variable) in _MANTISSA_BITS


def check_dtype(variable: Any, name: str) -> None:
    """Refuse a weight that no step can be computed for.

    Integers and bools are allowed: they never have a gradient, and stay as they are.

    Args:
        variable: a weight.
        name: by which the user knows it.

    Raises:
        ValueError: any other dtype: complex numbers, fewer bits than bfloat16, text.
    """
    dtype = dtype_of(variable)
    if is_floating(variable) or dtype == "bool" or "int" in dtype:
        return
    advice = (
        "Keep its real and its imaginary part as two float32 weights."
        if "complex" in dtype
        else "Keep it in float32 and cast it where it is used."
    )
    raise ValueError(
        f"The weight {name!r} has dtype {dtype}. keras_adam.Adam trains weights of "
        f"{', '.join(_MANTISSA_BITS)}. {advice}"
    )


def compute_dtype(variable: Any) -> str:
    """The dtype in which a weight is updated: float64 for float64, else float32."""
    return "float64" if dtype_of(variable) == "float64" else "float32"


def loses_small_steps(variable: Any) -> bool:
    """Whether the weight's own dtype is coarser than the compute dtype."""
    return is_floating(variable) and dtype_of(variable) != compute_dtype(variable)


def split(parameter: Tensor, dtype: str) -> tuple[Tensor, Tensor]:
    """A parameter as the nearest value of ``dtype`` and the remainder.

    Args:
        parameter: in the compute dtype.
        dtype: of the weight.

    Returns:
        ``(rounded, remainder)``, both in ``dtype``; their sum is the parameter up to
        the remainder's own rounding. The remainder is 0 where the rounded value is
        not finite.
    """
    rounded = ops.cast(parameter, dtype)
    lost = parameter - ops.cast(rounded, parameter.dtype)
    lost = ops.where(ops.isfinite(lost), lost, ops.zeros_like(lost))
    return rounded, ops.cast(lost, dtype)


def join(rounded: Tensor, remainder: Tensor, dtype: str) -> Tensor:
    """The parameter that :func:`split` took apart, in the compute dtype.

    A remainder beyond half a grid step cannot be that of this weight: somebody has
    assigned the weight since, and the remainder counts as 0.
    """
    bits = _MANTISSA_BITS[keras.backend.standardize_dtype(rounded.dtype)]
    weight, lost = ops.cast(rounded, dtype), ops.cast(remainder, dtype)
    # float16 has a coarser, absolute grid below its smallest normal number.
    largest = ops.maximum(ops.abs(weight) * 2.0**-bits, 2.0**-25)
    return weight + ops.where(ops.abs(lost) <= largest, lost, ops.zeros_like(lost))


def byte_count(variable: Any) -> int:
    """Bytes of a variable's entries, on one device."""
    # Through an array of that dtype: NumPy alone knows no "bfloat16", and TensorFlow
    # cannot convert a scalar of it.
    dtype = keras.backend.standardize_dtype(variable.dtype)
    item_bytes = ops.convert_to_numpy(ops.zeros((1,), dtype=dtype)).itemsize
    return math.prod(variable.shape) * item_bytes

"""Which dtype a weight is updated in, and which weights can be trained."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

TRAINABLE = ("bfloat16", "float16", "float32", "float64")
"""The dtypes in which a weight can be trained."""


def dtype_of(variable: Any) -> str:
    """The dtype of a Keras or backend variable, by its name."""
    return keras.backend.standardize_dtype(variable.dtype)


def is_floating(variable: Any) -> bool:
    """Whether a weight can be trained: integers and bools have no gradient."""
    return dtype_of(variable) in TRAINABLE


def check_dtype(variable: Any, name: str) -> None:
    """Refuse a weight for which no step can be computed.

    Integers and bools are allowed: they never have a gradient, and keep their values.

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
        f"{', '.join(TRAINABLE)}. {advice}"
    )


def compute_dtype(variable: Any) -> str:
    """The dtype in which a weight is updated: float64 for float64, else float32."""
    return "float64" if dtype_of(variable) == "float64" else "float32"


def loses_small_steps(variable: Any) -> bool:
    """Whether the weight's own dtype is coarser than the compute dtype."""
    return is_floating(variable) and dtype_of(variable) != compute_dtype(variable)


def byte_count(variable: Any) -> int:
    """Bytes of a variable's entries, on one device."""
    # Taken from an array of the dtype: NumPy alone does not know "bfloat16", and
    # TensorFlow cannot convert a bfloat16 scalar.
    dtype = keras.backend.standardize_dtype(variable.dtype)
    item_bytes = ops.convert_to_numpy(ops.zeros((1,), dtype=dtype)).itemsize
    return math.prod(variable.shape) * item_bytes

"""The bits of float32 numbers as integers, and the numbers at the ends of its range."""

from __future__ import annotations

from typing import Any

from keras import ops

Tensor = Any

SMALLEST = 2.0**-126
"""The smallest normal float32: smaller numbers may be read as zero."""

LARGEST = (2 - 2.0**-23) * 2.0**127
"""The largest finite float32."""


def bits_of(values: Tensor) -> Tensor:
    """The bits of float32 values, as int32 of the same shape."""
    return ops.view(values, "int32")


def as_float(bits: Tensor) -> Tensor:
    """The float32 values that have these bits."""
    return ops.view(bits, "float32")


def int32(pattern: int) -> Tensor:
    """A scalar int32 tensor with a 32-bit pattern.

    Patterns from 2**31 on are negative numbers. Their products wrap around like those
    of unsigned integers.
    """
    pattern %= 2**32
    value = pattern - 2**32 if pattern >= 2**31 else pattern
    return ops.convert_to_tensor(value, dtype="int32")

"""Stochastic rounding: its random bits and its expected error.

The bits are a hash of an entry's place and the step, so there is no state to keep.
Every replica, every backend and every resumed run draws the same bits. A hash takes a
few integer operations; a random generator would take longer than the step itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from keras import ops

from keras_adam.storage.float_bits import as_float, bits_of, int32

Tensor = Any


def random_bits(
    step: Tensor, stream: Tensor | int, shape: Sequence[int], ids: Tensor | None = None
) -> Tensor:
    """32 random bits for each entry of a tensor, or of some of its rows.

    An entry's bits depend on its place in the tensor, not on which other rows are
    asked for.

    Args:
        step: scalar integer.
        stream: scalar integer, a different one for each weight of a step.
        shape: of the tensor.
        ids: of rows; ``None`` for the whole tensor.

    Returns:
        int32, uniform over all of its values.

    Shapes:
        ``shape``; with ``ids`` of ``[n]``, ``[n, *shape[1:]]``.
    """
    # Odd multipliers without small factors: entries for which two steps or streams
    # give the same sums, and so the same bits, are far apart.
    start = ops.cast(step, "int32") * int32(0x9E3779B1)
    start = start + ops.cast(stream, "int32") * int32(0x85EBCA77)
    row = math.prod(shape[1:]) if ids is not None else _row_length(shape)
    result = (-1, *shape[1:])
    if ids is None:
        ids = ops.arange(math.prod(shape) // max(row, 1), dtype="int32")
        result = tuple(shape)
    # The step is added before the places are broadcast to all entries. Otherwise a
    # compiler would keep a constant of the tensor's size.
    first = ops.cast(ids, "int32") * int32(row) + start
    within = ops.arange(row, dtype="int32")
    bits = _hash(ops.expand_dims(first, 1) + ops.expand_dims(within, 0))
    return ops.reshape(bits, result)


def _row_length(shape: Sequence[int]) -> int:
    """The row length that is used to number the entries of a tensor."""
    size = math.prod(shape)
    usual = 128
    return usual if size and size % usual == 0 else math.prod(shape[1:])


def upper_bits(bits: Tensor, count: int) -> Tensor:
    """The upper bits of an int32, as a number in [0, 2**count)."""
    return _shifted(bits, 32 - count)


def lower_bits(bits: Tensor, count: int) -> Tensor:
    """The lower bits of an int32, as a number in [0, 2**count)."""
    return ops.bitwise_and(bits, int32(2**count - 1))


def _hash(x: Tensor) -> Tensor:
    """Mix the bits of an int32, so that each bit depends on all.

    **Source**: the constants are those of C. Wellons's "lowbias32"
    (https://nullprogram.com/blog/2018/07/31/, public domain).
    """
    x = ops.bitwise_xor(x, _shifted(x, 16)) * int32(0x7FEB352D)
    x = ops.bitwise_xor(x, _shifted(x, 15)) * int32(0x846CA68B)
    return ops.bitwise_xor(x, _shifted(x, 16))


def _shifted(x: Tensor, count: int) -> Tensor:
    """Bits shifted to the right, filled up with zeros; int32 would repeat its sign."""
    shifted = ops.bitwise_right_shift(x, int32(count))
    return ops.bitwise_and(shifted, int32(2 ** (32 - count) - 1))


def variance_of_rounding(
    values: Tensor, mantissa_bits: int, is_stochastic: bool
) -> Tensor:
    """The expected square of the rounding error of each value.

    Let d be the distance between the two neighbouring codes. Stochastic rounding goes
    up with probability p, which has the variance d² p (1 - p): d² / 6 on average over
    all values between the two. Rounding to nearest has d² / 12. Below a power of two, d
    is half as large as above it; for the power itself the mean of both is taken.

    Args:
        values: the decoded values.
        mantissa_bits: of the codes, which are floating-point numbers.
        is_stochastic: how the values were rounded.
    """
    power = as_float(ops.bitwise_and(bits_of(values), int32(0x7F800000)))
    distance = power * 2.0**-mantissa_bits
    mean_of_both = ops.where(power == ops.abs(values), (1 + 1 / 4) / 2, 1.0)
    return ops.square(distance) * mean_of_both / (6 if is_stochastic else 12)

"""Blocks of entries that share a scale, and the scales themselves."""

from __future__ import annotations

from typing import Any

from keras import ops

from keras_adam.storage.float_bits import LARGEST

Tensor = Any

BLOCK = 128
"""Entries that share a scale."""


def largest_magnitudes(blocks: Tensor) -> Tensor:
    """The largest magnitude of each block; 0 where an entry is not finite.

    Shapes:
        ``[blocks, BLOCK]`` to ``[blocks, 1]``.
    """
    # From the largest and the smallest value: a CPU would write the magnitudes to
    # memory first. In two stages of 16 and 8: XLA would split it in the same way, but
    # in code that is slower to compile.
    parts = ops.reshape(blocks, (-1, BLOCK // 8))
    highest = ops.max(ops.reshape(ops.max(parts, axis=1), (-1, 8)), axis=1)
    lowest = ops.min(ops.reshape(ops.min(parts, axis=1), (-1, 8)), axis=1)
    largest = ops.expand_dims(ops.maximum(highest, -lowest), 1)
    return ops.where(ops.isfinite(largest), largest, 0.0)


def within_float32(scales: Tensor) -> Tensor:
    """Scales, with infinity replaced by the largest float32.

    The square of a finite number may be infinite.
    """
    return ops.minimum(scales, LARGEST)

"""A part of a large tensor that stands for all of it where a sum is asked for.

What is summed over a whole large gradient is one more pass over memory, which is what
a step is made of. A sum over a few thousand entries, always the same ones, costs next
to nothing and shows as well where gradients point and how large they are.
"""

from __future__ import annotations

import math
from typing import Any

from keras import ops

Tensor = Any

SMALL = 4_096
"""Entries up to which a tensor is taken whole; a sample has as many at least."""

LARGEST_DIVISOR = 32
"""One entry in so many is in the sample of a very large tensor."""

PIECES = 64
"""Runs of neighbours that make the sample, spread evenly: memory is read in lines."""


def sampled(tensor: Tensor) -> Tensor:
    """A small tensor as it is, a large one's evenly spread runs of neighbours.

    Whatever is summed over a sample is a share of the sum: see :func:`sampled_share`.

    Shapes:
        a large tensor's sample is [PIECES, entries of a run].
    """
    size = math.prod(tensor.shape)
    if size <= SMALL:
        return tensor
    length = size // PIECES
    whole = ops.reshape(tensor, (-1,))[: PIECES * length]
    return ops.reshape(whole, (PIECES, length))[:, : _run_length(size)]


def sampled_share(size: int) -> float:
    """Which part of so many entries :func:`sampled` keeps."""
    return 1.0 if size <= SMALL else PIECES * _run_length(size) / size


def _run_length(size: int) -> int:
    return max(SMALL, size // LARGEST_DIVISOR) // PIECES

"""Samples of large tensors, to estimate sums over all of their entries.

A step spends its time on passes over memory, and a sum over a whole large gradient is
one more pass. A sum over a few thousand entries, always the same ones, costs almost
nothing. It shows just as well where gradients point and how large they are.
"""

from __future__ import annotations

import math
from typing import Any

from keras import ops

Tensor = Any

SMALL = 4_096
"""A tensor of up to this many entries is taken whole; a sample has at least as many."""

LARGEST_DIVISOR = 32
"""The sample of a very large tensor has one entry in this many."""

PIECES = 64
"""A sample consists of this many runs of neighbouring entries, spread evenly. Runs are
cheap, because memory is read in cache lines."""


def sampled(tensor: Tensor) -> Tensor:
    """A small tensor itself; of a large one, evenly spread runs of neighbours.

    A sum over a sample is about :func:`sampled_share` times the sum of all entries.

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
    """The share that :func:`sampled` keeps of a tensor with this many entries."""
    return 1.0 if size <= SMALL else PIECES * _run_length(size) / size


def _run_length(size: int) -> int:
    return max(SMALL, size // LARGEST_DIVISOR) // PIECES

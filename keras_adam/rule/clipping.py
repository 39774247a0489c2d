"""Norms of gradients, and gradients scaled to a norm.

Pure functions of tensors. A gradient entry that is NaN or infinite stays as it is:
clipping neither hides it nor spreads it to finite entries.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_adam.rule.sampling import sampled, sampled_share
from keras_adam.rule.square_root import square_root

Tensor = Any


def norm_of_finite(tensors: Sequence[Tensor]) -> Tensor:
    """Euclidean norm over the finite entries of all tensors together.

    Entries are divided by the largest before they are squared, so that even a spike of
    1e30 has a finite norm in float32.

    Args:
        tensors: at least one, of any shapes and one floating dtype.

    Returns:
        A scalar; 0 where no entry is finite.
    """
    finite = [ops.where(ops.isfinite(t), t, ops.zeros_like(t)) for t in tensors]
    largest = ops.max(ops.stack([_largest_magnitude(t) for t in finite]))
    limit = float(np.finfo(keras.backend.standardize_dtype(largest.dtype)).max)
    # Compilers multiply by 1 / scale, which counts as zero for the largest numbers.
    scale = ops.where(largest > 0, ops.minimum(largest, limit / 8), 1.0)
    squares = [ops.sum(ops.square(t / scale)) for t in finite]
    root = square_root(ops.sum(ops.stack(squares)))
    # The norm of many entries near the largest number would overflow.
    norm = scale * ops.minimum(root, limit / ops.maximum(scale, 1.0))
    return ops.where(largest > 0, norm, ops.zeros_like(norm))


def norm_of_samples(tensors: Sequence[Tensor]) -> Tensor:
    """The norm of all tensors together, estimated from samples of the large ones.

    Every step samples the same entries, so that the norms of steps can be compared.

    Args:
        tensors: at least one, of any shapes and one floating dtype.

    Returns:
        A scalar; 0 where no sampled entry is finite.
    """
    # Joined, because compiling two reductions for each gradient takes seconds.
    parts = [
        ops.reshape(sampled(tensor), (-1,))
        * (1 / math.sqrt(sampled_share(math.prod(tensor.shape))))
        for tensor in tensors
    ]
    return norm_of_finite([ops.concatenate(parts)])


def clip_to_norm(tensors: Sequence[Tensor], largest_norm: float) -> list[Tensor]:
    """Scale all tensors by one factor so that their common norm is bounded.

    ``t ← t · min(1, largest_norm / ‖tensors‖)``

    Args:
        tensors: at least one; one tensor alone is Keras's ``clipnorm``, all
            gradients together its ``global_clipnorm``.
        largest_norm: positive bound.

    **Source**: R. Pascanu et al., "On the difficulty of training recurrent neural
    networks", arXiv:1211.5063, Algorithm 1.
    """
    factor = factor_within(norm_of_finite(tensors), largest_norm)
    return [t * factor for t in tensors]


def factor_within(norm: Tensor, largest: Tensor | float) -> Tensor:
    """The factor that brings a norm to the largest allowed, at most 1."""
    is_within = norm <= largest
    return ops.where(is_within, 1.0, largest / ops.where(is_within, 1.0, norm))


def _largest_magnitude(tensor: Tensor) -> Tensor:
    # A tensor without entries has no maximum: 0 stands in for it.
    return ops.max(ops.abs(ops.reshape(tensor, (-1,))), initial=0.0)

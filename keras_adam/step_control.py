"""Controls of one step: what bounds a gradient, and whether a step is taken at all.

Pure functions of tensors. A gradient entry that is NaN or infinite stays what it is
and stays where it is: clipping neither hides it nor spreads it to finite entries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

Tensor = Any


def are_all_finite(tensors: Sequence[Tensor]) -> Tensor:
    """Whether no entry of any tensor is NaN or infinite.

    Args:
        tensors: at least one, of any shapes.

    Returns:
        A scalar bool.
    """
    return ops.all(ops.stack([ops.all(ops.isfinite(t)) for t in tensors]))


def norm_of_finite(tensors: Sequence[Tensor]) -> Tensor:
    """Euclidean norm over the finite entries of all tensors together.

    Entries are divided by the largest before they are squared, so that a spike of
    1e30 has a norm in float32 as well.

    Args:
        tensors: at least one, of any shapes and one floating dtype.

    Returns:
        A scalar; 0 where no entry is finite.
    """
    finite = [ops.where(ops.isfinite(t), t, ops.zeros_like(t)) for t in tensors]
    largest = ops.max(ops.stack([_largest_magnitude(t) for t in finite]))
    scale = ops.where(largest > 0, largest, ops.ones_like(largest))
    squares = [ops.sum(ops.square(t / scale)) for t in finite]
    return scale * ops.sqrt(ops.sum(ops.stack(squares)))


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
    norm = norm_of_finite(tensors)
    factor = largest_norm / ops.maximum(norm, largest_norm)
    return [t * factor for t in tensors]


def _largest_magnitude(tensor: Tensor) -> Tensor:
    # A tensor without entries has no maximum: 0 stands in for it.
    return ops.max(ops.abs(ops.reshape(tensor, (-1,))), initial=0.0)

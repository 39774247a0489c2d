"""Whether gradients are finite, which decides whether a step is taken."""

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

"""A square root with a finite derivative, so that steps can be differentiated."""

from __future__ import annotations

from typing import Any

from keras import ops

Tensor = Any

SMALLEST = 2.0**-126
"""The smallest normal float32."""


def square_root(square: Tensor) -> Tensor:
    """The square root; at 0 it is 1e-19, and its derivative 0.

    At 0 the derivative of `ops.sqrt` is infinite. The derivative of a step, which
    meta-learning needs, would then be NaN for every entry that never had a gradient.
    1e-19 is far below any epsilon, norm or deviation that it is compared with or added
    to.

    Args:
        square: at least 0, of any shape.
    """
    return ops.sqrt(ops.maximum(square, SMALLEST))

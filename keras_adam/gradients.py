"""What arrives as a gradient: made dense, and checked against its weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


def as_dense(gradient: Any) -> Any:
    """A dense tensor; rows that an embedding's gradient repeats are summed.

    Keras squares the repeated rows of an ``IndexedSlices`` before it sums them,
    which gives the second moment a² + b² where it should be (a + b)².

    Args:
        gradient: tensor, ``tf.IndexedSlices``, a JAX ``BCOO``, or ``None``, which
            stays ``None``.
    """
    if gradient is None:
        return None
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf  # Absent where another backend is at work.

        if isinstance(gradient, tf.IndexedSlices):
            return tf.convert_to_tensor(gradient)
    return ops.convert_to_tensor(gradient, sparse=False)


def in_dtype(gradient: Any, dtype: str) -> Any:
    """The gradient in the dtype that is computed in; a sparse one stays sparse.

    Args:
        gradient: tensor, NumPy array or ``tf.IndexedSlices``.
        dtype: floating.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf  # Absent where another backend is at work.

        if isinstance(gradient, tf.IndexedSlices):
            # A strategy takes no tuples or arrays in the place of tensors.
            shape = gradient.dense_shape
            return tf.IndexedSlices(
                tf.cast(gradient.values, dtype),
                tf.convert_to_tensor(gradient.indices),
                None if shape is None else tf.convert_to_tensor(shape),
            )
    return ops.cast(gradient, dtype)


class _DivisibleRows:
    """An ``IndexedSlices`` that can be divided by a number, which gives another."""

    def __init__(self, slices: Any) -> None:
        self._slices = slices

    def __truediv__(self, scale: Any) -> Any:
        values, ids = self._slices.values / scale, self._slices.indices
        return type(self._slices)(values, ids, self._slices.dense_shape)


def divisible(gradient: Any) -> Any:
    """The gradient as something that Keras can divide by its loss scale."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf  # Absent where another backend is at work.

        if isinstance(gradient, tf.IndexedSlices):
            return _DivisibleRows(gradient)
    return gradient


def check_match(gradients: Sequence[Any], variables: Sequence[Any]) -> None:
    """See that there is one gradient of the right shape per weight.

    Raises:
        ValueError: another number of gradients, or a shape that is known and
            differs from its weight's.
    """
    if len(gradients) != len(variables):
        raise ValueError(
            f"Received {len(gradients)} gradients for {len(variables)} variables; "
            "there must be one gradient, or None, per variable."
        )
    for gradient, variable in zip(gradients, variables, strict=True):
        received = _known_shape(gradient)
        if received is not None and received != tuple(variable.shape):
            name = getattr(variable, "path", variable.name)
            raise ValueError(
                f"The gradient of variable {name!r} has the shape {received}, the "
                f"variable has {tuple(variable.shape)}. Were gradients and variables "
                "paired in the same order?"
            )


def _known_shape(gradient: Any) -> tuple[int, ...] | None:
    shape = getattr(gradient, "shape", None)
    if shape is None or getattr(shape, "rank", 0) is None:
        return None
    sizes = tuple(shape)
    return sizes if all(isinstance(size, int) for size in sizes) else None

"""Checks and conversions of the weights and gradients that `apply` receives."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_adam.backend import precision


def is_by_rows(gradient: Any) -> bool:
    """Whether a gradient is given for some rows only."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf  # May be missing on other backends.

    return isinstance(gradient, tf.IndexedSlices)


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
        import tensorflow as tf  # May be missing on other backends.

        if isinstance(gradient, tf.IndexedSlices):
            return tf.convert_to_tensor(gradient)
    return ops.convert_to_tensor(gradient, sparse=False)


def in_form_of(variable: Any, gradient: Any) -> Any:
    """The gradient of a weight in the compute dtype, with a known shape.

    While TensorFlow traces a graph, a gradient can have an unknown size where its
    weight has a known one: for example that of ``Dense`` on sequences, for batches of
    any size.

    Args:
        variable: the weight.
        gradient: tensor, NumPy array or ``tf.IndexedSlices``, which stays one.

    Raises:
        tf.errors.InvalidArgumentError: when the graph runs, if the sizes that were
            unknown are not the weight's.
    """
    dtype = precision.compute_dtype(variable)
    shape = tuple(variable.shape)
    if is_by_rows(gradient):
        return _rows_in_form(gradient, dtype, shape)
    gradient = ops.cast(gradient, dtype)
    if keras.backend.backend() != "tensorflow":
        return gradient
    import tensorflow as tf  # May be missing on other backends.

    is_known = gradient.shape.is_fully_defined()
    return gradient if is_known else tf.ensure_shape(gradient, shape)


def _rows_in_form(gradient: Any, dtype: str, shape: tuple[int, ...]) -> Any:
    import tensorflow as tf  # Only TensorFlow's gradients come by rows.

    ids = tf.convert_to_tensor(gradient.indices)
    values = tf.cast(gradient.values, dtype)
    row = shape[1:]
    is_flat = ids.shape.rank == 1 and values.shape.rank is not None
    if not (is_flat and tuple(values.shape[1:]) == row):
        ids = tf.reshape(ids, [-1])
        values = tf.reshape(
            values, tf.concat([tf.shape(ids), tf.constant(row, tf.int32)], axis=0)
        )
    return tf.IndexedSlices(values, ids, tf.constant(shape, tf.int64))


class _DivisibleRows:
    """Wraps an ``IndexedSlices``; dividing it by a number returns another one."""

    def __init__(self, slices: Any) -> None:
        self._slices = slices

    def __truediv__(self, scale: Any) -> Any:
        values, ids = self._slices.values / scale, self._slices.indices
        return type(self._slices)(values, ids, self._slices.dense_shape)


def divisible(gradient: Any) -> Any:
    """The gradient in a form that Keras can divide by its loss scale."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf  # May be missing on other backends.

        if isinstance(gradient, tf.IndexedSlices):
            return _DivisibleRows(gradient)
    return gradient


def summed(gradients: Sequence[Any]) -> Any:
    """The sum of several gradients of one weight.

    Args:
        gradients: as :func:`in_form_of` returns them; ``None`` counts as zero.

    Returns:
        ``tf.IndexedSlices`` where all are, ``None`` where all are, else a tensor.
    """
    present = [gradient for gradient in gradients if gradient is not None]
    if len(present) < 2:
        return present[0] if present else None
    if not all(map(is_by_rows, present)):
        return functools.reduce(operator.add, map(as_dense, present))
    import tensorflow as tf  # Only TensorFlow's gradients come by rows.

    return tf.IndexedSlices(
        tf.concat([rows.values for rows in present], axis=0),
        tf.concat([tf.cast(rows.indices, tf.int64) for rows in present], axis=0),
        present[0].dense_shape,
    )


def check_can_be_trained(variable: Any) -> None:
    """Refuse a weight for which no state can be kept.

    Raises:
        ValueError: its shape is undefined, or its dtype is not supported.
    """
    name = _name_of(variable)
    precision.check_dtype(variable, name)
    is_defined = getattr(variable.shape, "rank", 0) is not None
    if not is_defined or None in tuple(variable.shape):
        raise ValueError(
            f"The weight {name!r} has the undefined shape {variable.shape}, so it is "
            "unknown how many moments to keep for it. Create it with a shape of "
            "numbers, for example tf.Variable(value) without a shape argument."
        )


def check_match(gradients: Sequence[Any], variables: Sequence[Any]) -> None:
    """Check that there is one gradient of the right shape per weight.

    Raises:
        ValueError: the number of gradients differs, a gradient cannot have its weight's
            shape, or a weight with a gradient cannot be trained.
    """
    if len(gradients) != len(variables):
        raise ValueError(
            f"Received {len(gradients)} gradients for {len(variables)} variables; "
            "there must be one gradient, or None, per variable."
        )
    for gradient, variable in zip(gradients, variables, strict=True):
        if gradient is None:
            continue
        name = _name_of(variable)
        if not (
            precision.is_floating(variable)
            or getattr(variable, "overwrite_with_gradient", False)
        ):
            raise ValueError(
                f"Received a gradient for the variable {name!r} of dtype "
                f"{precision.dtype_of(variable)}, which cannot be trained. Pass None "
                "for it, or leave it out."
            )
        if not _can_be_shape(gradient, tuple(variable.shape)):
            raise ValueError(
                f"The gradient of variable {name!r} has the shape "
                f"{tuple(gradient.shape)}, the variable has {tuple(variable.shape)}. "
                "Were gradients and variables paired in the same order?"
            )


def _name_of(variable: Any) -> str:
    return getattr(variable, "path", None) or variable.name


def _can_be_shape(gradient: Any, wanted: tuple[int, ...]) -> bool:
    """Whether a gradient, whose sizes may be unknown, can have this shape."""
    shape = getattr(gradient, "shape", None)
    if shape is None or getattr(shape, "rank", 0) is None:
        return True
    return len(shape) == len(wanted) and all(
        size is None or size == wanted_size
        for size, wanted_size in zip(shape, wanted, strict=True)
    )

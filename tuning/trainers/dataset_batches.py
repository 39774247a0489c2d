"""Batches of a ``tf.data.Dataset``: whether it has any, and others in their place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras


def is_dataset(data: Any) -> bool:
    """Whether something is a ``tf.data.Dataset``."""
    return hasattr(data, "element_spec") and hasattr(data, "unbatch")


def is_batched(dataset: Any, model: Any) -> bool:
    """Whether the elements of a ``tf.data.Dataset`` are batches.

    A scalar is none. Otherwise elements have as many dimensions as the model's inputs;
    where the model does not say how many these are, elements are taken for batches if
    all components agree in their first dimension.
    """
    shapes = _shapes(dataset)
    if any(shape.rank == 0 for shape in shapes):
        return False
    for shape, wanted in _input_shapes(dataset.element_spec, model):
        if shape.rank is not None:
            return _is_batch(tuple(shape), tuple(wanted))
    return len({shape[0] for shape in shapes}) == 1


def _is_batch(shape: tuple[int | None, ...], wanted: tuple[int | None, ...]) -> bool:
    """Whether elements of a shape are batches for a model's input.

    Keras adds or removes a last dimension of 1: ``[32, 28, 28]`` is a batch for an
    input of ``[None, 28, 28, 1]``.
    """
    if len(shape) == len(wanted):
        return True
    if len(shape) == len(wanted) + 1:
        return shape[-1] == 1
    is_example = len(shape) == len(wanted) - 1 and all(
        w is None or d == w for d, w in zip(shape, wanted[1:], strict=True)
    )
    return len(shape) == len(wanted) - 1 and wanted[-1] == 1 and not is_example


def _shapes(dataset: Any) -> list[Any]:
    specs = keras.tree.flatten(dataset.element_spec)
    # Elements such as (x, y, None) have a part without a shape.
    return [spec.shape for spec in specs if hasattr(spec, "shape")]


def _input_shapes(element_spec: Any, model: Any) -> list[tuple[Any, Any]]:
    """Shapes of a dataset's inputs, each with that of the model's input."""
    given = element_spec[0] if isinstance(element_spec, tuple) else element_spec
    inputs = keras.tree.flatten(getattr(model, "inputs", None) or [])
    if isinstance(given, Mapping):
        named = {tensor.name: tensor for tensor in inputs}
        pairs = [(spec, named[name]) for name, spec in given.items() if name in named]
    else:
        pairs = list(zip(keras.tree.flatten(given), inputs, strict=False))
    return [(spec.shape, tensor.shape) for spec, tensor in pairs]


def batched(dataset: Any, batch_size: int, model: Any, name: str) -> Any:
    """The dataset in batches of a size, whatever its elements were.

    Raises:
        ValueError: TensorFlow cannot cut its batches anew.
    """
    if not is_batched(dataset, model):
        return dataset.batch(batch_size)
    sizes = {shape[0] for shape in _shapes(dataset)}
    if sizes == {batch_size}:
        return dataset
    drops_rest = None not in sizes  # only then is the size of every batch known
    try:
        return dataset.rebatch(batch_size, drop_remainder=drops_rest)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"the batches of the tf.data.Dataset of workload {name!r} cannot be cut "
            f"anew to {batch_size} examples ({error}). Make data a function with a "
            "parameter batch_size that makes the batches itself."
        ) from error

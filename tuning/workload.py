"""What is trained: a model, its data and its loss, as one plain value."""

from __future__ import annotations

import dataclasses
import pkgutil
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np


class Data(NamedTuple):
    """Arrays to learn from and arrays to judge by; the first axis counts examples."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_val: np.ndarray
    y_val: np.ndarray


@dataclasses.dataclass(frozen=True)
class Workload:
    """A learning task that a sweep trains again and again.

    Attributes:
        name: stands in records and reports.
        build_model: returns a new, uncompiled ``keras.Model`` with freshly
            initialised weights. Called after the seeds have been set.
        load_data: returns `Data`. Called once per sweep.
        loss: as for ``model.compile``.
        metrics: returns new metrics for ``model.compile``; called per model,
            because a metric object belongs to one model.
        epochs: passes over the training data, unless the grid says otherwise.
        learning_rates: swept by default.
        batch_sizes: swept by default.
        target_val_loss: a validation loss worth reaching; ``steps_to_target`` in
            the records counts the steps until then. ``None``: not counted.
        description: one sentence for people, shown in lists and reports.
    """

    name: str
    build_model: Callable[[], Any]
    load_data: Callable[[], Data]
    loss: Any
    metrics: Callable[[], Sequence[Any]] = list
    epochs: int = 10
    learning_rates: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1)
    batch_sizes: tuple[int, ...] = (32, 128)
    target_val_loss: float | None = None
    description: str = ""


def load_checked_data(workload: Workload, batch_sizes: Sequence[int]) -> Data:
    """Load the workload's data and see that every batch size can be used on it.

    Raises:
        TypeError: ``load_data`` returned something else than four arrays.
        ValueError: arrays disagree in length, are empty, or a batch is larger than
            the training data.
    """
    try:
        data = Data(*(np.asarray(array) for array in workload.load_data()))
    except TypeError:
        raise TypeError(
            f"load_data of workload {workload.name!r} must return "
            "(x_train, y_train, x_val, y_val)."
        ) from None
    sizes = [array.shape[0] if array.ndim else 0 for array in data]
    if sizes[0] != sizes[1] or sizes[2] != sizes[3] or 0 in sizes:
        named = ", ".join(f"{n}: {s}" for n, s in zip(Data._fields, sizes, strict=True))
        raise ValueError(
            f"workload {workload.name!r} needs as many targets as inputs and at "
            f"least one example each; received {named}."
        )
    too_large = [size for size in batch_sizes if size > sizes[0]]
    if too_large:
        raise ValueError(
            f"batch sizes {too_large} are larger than the {sizes[0]} training "
            f"examples of workload {workload.name!r}; use at most {sizes[0]}."
        )
    return data


def resolve_reference(reference: str, what: str) -> Any:
    """Import the object that ``package.module:attribute`` names.

    Raises:
        ValueError: the reference has another form, or nothing is there.
    """
    if reference.count(":") != 1 or not all(reference.split(":")):
        raise ValueError(
            f"{what} {reference!r} is neither a built-in name nor of the form "
            "package.module:attribute."
        )
    try:
        return pkgutil.resolve_name(reference)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{what} {reference!r} cannot be imported: {error}.") from None

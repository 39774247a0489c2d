"""What is trained: a model, its data and its loss, as one plain value."""

from __future__ import annotations

import dataclasses
import numbers
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tuning.array_data import as_array, check_no_nan, how_to_make_arrays_of, kind_of
from tuning.errors import user_code
from tuning.options import EXECUTIONS, check_schedule


class Data(NamedTuple):
    """Arrays for training and for validation; the first axis counts examples."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_val: np.ndarray
    y_val: np.ndarray


@dataclasses.dataclass(frozen=True)
class Workload:
    """A learning task that a sweep trains again and again.

    Attributes:
        name: shown in records and reports.
        build_model: returns a new, uncompiled ``keras.Model`` with freshly
            initialised weights. Called after the seeds have been set. If it reuses
            layers from outside, such as a pretrained backbone, these start every run
            with their original weights, and get them back after the run.
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
        execution: how runs are executed if the sweep says ``"auto"``; see
            `tuning.trainers.task.Task`. XLA takes 30 times as long as TensorFlow for
            the gradients of two-dimensional convolutions on a CPU.
        schedule: how the learning rate changes over a run: ``"constant"``, or
            ``"linear"``, which falls to zero epoch by epoch.
        examples_per_epoch: examples per epoch, after which the run is evaluated;
            ``None`` for all training examples. Every epoch continues where the last
            one ended, and each example is used once before any is used again.

    Raises:
        ValueError: ``execution`` is not one of `EXECUTIONS`, ``schedule`` not one of
            `SCHEDULES`, or an epoch has no examples.
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
    execution: str = "auto"
    schedule: str = "constant"
    examples_per_epoch: int | None = None

    def __post_init__(self) -> None:
        """Refuse unknown schedules and other invalid values."""
        if self.execution not in EXECUTIONS:
            raise ValueError(
                f"execution of workload {self.name!r} must be one of "
                f"{list(EXECUTIONS)}; received {self.execution!r}."
            )
        check_schedule(self.schedule)
        check_positive_integer(self.examples_per_epoch, "examples_per_epoch", self.name)


def check_positive_integer(value: Any, field: str, name: str) -> None:
    """Check a count that a workload may leave open.

    Raises:
        ValueError: it is neither a positive integer nor ``None``.
    """
    is_integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if value is not None and not (is_integer and int(value) > 0):
        raise ValueError(
            f"{field} of workload {name!r} must be a positive integer or None; "
            f"received {value!r}."
        )


def load_checked_data(workload: Workload, batch_sizes: Sequence[int]) -> Data:
    """Load the workload's data and check that every batch size fits them.

    Raises:
        TypeError: ``load_data`` returned something else than four arrays.
        ValueError: ``load_data`` raised an error, arrays disagree in length, are
            empty or have NaN, or a batch is larger than the training data.
    """
    with user_code(f"load_data of workload {workload.name!r} failed"):
        loaded = workload.load_data()
    data = _as_arrays(loaded, workload.name)
    sizes = [array.shape[0] if array.ndim else 0 for array in data]
    if sizes[0] != sizes[1] or sizes[2] != sizes[3] or 0 in sizes:
        named = ", ".join(f"{n}: {s}" for n, s in zip(Data._fields, sizes, strict=True))
        raise ValueError(
            f"workload {workload.name!r} needs as many targets as inputs and at "
            f"least one example each; received {named}."
        )
    most = min(sizes[0], workload.examples_per_epoch or sizes[0])
    _check_values(data, workload)
    too_large = [size for size in batch_sizes if size > most]
    if too_large:
        per_epoch = "" if most == sizes[0] else " per epoch"
        raise ValueError(
            f"batch sizes {too_large} are larger than the {most} training "
            f"examples{per_epoch} of workload {workload.name!r}; use at most {most}."
        )
    return data


def checked_metric_names(workload: Workload) -> list[str]:
    """Names of the workload's metrics; none may be called ``loss``.

    Raises:
        ValueError: a metric is called ``loss``, or making the metrics failed.
    """
    with user_code(f"metrics of workload {workload.name!r} failed"):
        metrics = list(workload.metrics())
    names = [str(getattr(metric, "name", metric)) for metric in metrics]
    if "loss" in names:
        raise ValueError(
            f"workload {workload.name!r} has a metric named 'loss', which is the name "
            "of the loss itself; give it another name."
        )
    return names


def _check_values(data: Data, workload: Workload) -> None:
    """Check for NaN in the arrays in which it would make the loss NaN."""
    fields = ["x_train", "x_val"]
    # A custom loss may skip missing targets.
    loss = workload.loss
    home = getattr(loss, "__module__", None) or type(loss).__module__
    if isinstance(loss, str) or home.partition(".")[0] == "keras":
        fields += ["y_train", "y_val"]
    for field in fields:
        check_no_nan(getattr(data, field), f"workload {workload.name!r}: {field}")


def _as_arrays(loaded: Any, name: str) -> Data:
    wanted = (
        f"load_data of workload {name!r} must return (x_train, y_train, x_val, y_val)"
    )
    if not isinstance(loaded, (tuple, list)) or len(loaded) != len(Data._fields):
        hint = how_to_make_arrays_of(loaded)
        raise TypeError(
            f"{wanted}; it returned {kind_of(loaded)}{': ' + hint if hint else '.'}"
        )
    try:
        parts = zip(loaded, Data._fields, strict=True)
        return Data(*(as_array(part, field) for part, field in parts))
    except TypeError as error:
        raise TypeError(f"{wanted}, each one array; {error}") from error

"""What is trained: a model, its data and its loss, as one plain value."""

from __future__ import annotations

import dataclasses
import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from tuning.array_data import (
    arrays_of,
    as_arrays,
    check_no_nan,
    how_to_make_arrays_of,
    kind_of,
)
from tuning.errors import user_code
from tuning.objectives import direction_of
from tuning.options import EXECUTIONS, check_schedule


class Data(NamedTuple):
    """Arrays for training and for validation; the first axis counts examples.

    Each part is one array, or a dictionary, list or tuple of arrays in any nesting, for
    models with several inputs or outputs.
    """

    x_train: Any
    y_train: Any
    x_val: Any
    y_val: Any


class WeightedData(NamedTuple):
    """As `Data`, with weights of the examples, as ``sample_weight`` of ``fit``."""

    x_train: Any
    y_train: Any
    weights_train: Any
    x_val: Any
    y_val: Any
    weights_val: Any


AnyData = Data | WeightedData


def training_parts(data: AnyData) -> tuple[Any, ...]:
    """Inputs, targets and, if there are any, weights of the training data."""
    weights = (data.weights_train,) if isinstance(data, WeightedData) else ()
    return (data.x_train, data.y_train, *weights)


def validation_parts(data: AnyData) -> tuple[Any, ...]:
    """Inputs, targets and, if there are any, weights of the validation data."""
    weights = (data.weights_val,) if isinstance(data, WeightedData) else ()
    return (data.x_val, data.y_val, *weights)


@dataclasses.dataclass(frozen=True)
class Workload:
    """A learning task that a sweep trains again and again.

    Attributes:
        name: shown in records and reports.
        build_model: returns a new, uncompiled ``keras.Model`` with freshly
            initialised weights. Called after the seeds have been set. If it reuses
            layers from outside, such as a pretrained backbone, these start every run
            with their original weights, and get them back after the run.
        load_data: returns `Data` or `WeightedData`. Called once per sweep.
        loss: as for ``model.compile``.
        metrics: returns new metrics for ``model.compile``, in a list or by output in a
            dictionary; called per model, because a metric object belongs to one model.
        epochs: passes over the training data, unless the grid says otherwise.
        learning_rates: swept by default.
        batch_sizes: swept by default.
        target_val_loss: a value of the objective worth reaching; ``steps_to_target``
            in the records counts the steps until then. ``None``: not counted.
        description: one sentence for people, shown in lists and reports.
        execution: how runs are executed if the sweep says ``"auto"``; see
            `tuning.trainers.task.Task`. XLA takes 30 times as long as TensorFlow for
            the gradients of two-dimensional convolutions on a CPU.
        schedule: how the learning rate changes over a run: ``"constant"``, or
            ``"linear"``, which falls to zero epoch by epoch.
        examples_per_epoch: examples per epoch, after which the run is evaluated;
            ``None`` for all training examples. Every epoch continues where the last
            one ended, and each example is used once before any is used again.
        loss_weights: as for ``model.compile``.
        objective: the logged quantity by which runs are judged; ``None`` for
            ``val_loss``.
        direction: ``"min"`` or ``"max"``; ``None`` where the name of the objective says
            it, as ``val_accuracy`` does.

    Raises:
        ValueError: ``execution`` is not one of `EXECUTIONS`, ``schedule`` not one of
            `SCHEDULES`, ``direction`` is unknown, or an epoch has no examples.
    """

    name: str
    build_model: Callable[[], Any]
    load_data: Callable[[], Data]
    loss: Any
    metrics: Callable[[], Any] = list
    epochs: int = 10
    learning_rates: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1)
    batch_sizes: tuple[int, ...] = (32, 128)
    target_val_loss: float | None = None
    description: str = ""
    execution: str = "auto"
    schedule: str = "constant"
    examples_per_epoch: int | None = None
    loss_weights: Any = None
    objective: str | None = None
    direction: str | None = None

    def __post_init__(self) -> None:
        """Refuse unknown schedules and other invalid values."""
        if self.execution not in EXECUTIONS:
            raise ValueError(
                f"execution of workload {self.name!r} must be one of "
                f"{list(EXECUTIONS)}; received {self.execution!r}."
            )
        check_schedule(self.schedule)
        check_positive_integer(self.examples_per_epoch, "examples_per_epoch", self.name)
        direction_of(self)


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


def load_checked_data(workload: Workload, batch_sizes: Sequence[int]) -> AnyData:
    """Load the workload's data and check that every batch size fits them.

    Raises:
        TypeError: ``load_data`` returned something else than `Data` or `WeightedData`.
        ValueError: ``load_data`` raised an error, arrays disagree in length, are
            empty or have NaN, or a batch is larger than the training data.
    """
    with user_code(f"load_data of workload {workload.name!r} failed"):
        loaded = workload.load_data()
    data = _as_arrays(loaded, workload.name)
    available = _checked_counts(data, workload.name)
    most = min(available, workload.examples_per_epoch or available)
    _check_values(data, workload)
    too_large = [size for size in batch_sizes if size > most]
    if too_large:
        per_epoch = "" if most == available else " per epoch"
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
        metrics = workload.metrics()
        if isinstance(metrics, Mapping):
            named = {output: _as_list(some) for output, some in metrics.items()}
            names = [f"{o}_{_name_of(m)}" for o, some in named.items() for m in some]
        else:
            names = [_name_of(metric) for metric in metrics]
    if "loss" in names:
        raise ValueError(
            f"workload {workload.name!r} has a metric named 'loss', which is the name "
            "of the loss itself; give it another name."
        )
    return names


def _as_list(metrics: Any) -> list[Any]:
    return list(metrics) if isinstance(metrics, (list, tuple)) else [metrics]


def _name_of(metric: Any) -> str:
    return str(getattr(metric, "name", metric))


def _checked_counts(data: AnyData, name: str) -> int:
    """How many training examples there are.

    Raises:
        ValueError: parts, or arrays of one part, disagree, or there is no example.
    """
    counts = {
        field: sorted({array.shape[0] for array in arrays_of(part)})
        for field, part in zip(data._fields, data, strict=True)
    }
    train, validation = (
        [count for field, count in counts.items() if field.endswith(end)]
        for end in ("_train", "_val")
    )
    same = all(count == parts[0] for parts in (train, validation) for count in parts)
    if not same or any(len(count) > 1 or 0 in count for count in counts.values()):
        shown = ", ".join(
            f"{field}: {' and '.join(map(str, count))}"
            for field, count in counts.items()
        )
        raise ValueError(
            f"workload {name!r} needs as many targets as inputs and at "
            f"least one example each; received {shown}."
        )
    return train[0][0]


def _check_values(data: AnyData, workload: Workload) -> None:
    """Check for NaN in the arrays in which it would make the loss NaN."""
    fields = ["x_train", "x_val"]
    # A custom loss may skip missing targets.
    if all(_is_of_keras(loss) for loss in arrays_of(_as_tuples(workload.loss))):
        fields += ["y_train", "y_val"]
    for field in fields:
        for array in arrays_of(getattr(data, field)):
            check_no_nan(array, f"workload {workload.name!r}: {field}")


def _is_of_keras(loss: Any) -> bool:
    home = getattr(loss, "__module__", None) or type(loss).__module__
    return isinstance(loss, str) or home.partition(".")[0] == "keras"


def _as_tuples(losses: Any) -> Any:
    return tuple(losses) if isinstance(losses, list) else losses


def _as_arrays(loaded: Any, name: str) -> AnyData:
    wanted = (
        f"load_data of workload {name!r} must return (x_train, y_train, x_val, y_val)"
    )
    kinds = {len(kind._fields): kind for kind in (Data, WeightedData)}
    if not isinstance(loaded, (tuple, list)) or len(loaded) not in kinds:
        hint = how_to_make_arrays_of(loaded)
        raise TypeError(
            f"{wanted}; it returned {kind_of(loaded)}{': ' + hint if hint else '.'}"
        )
    try:
        kind = kinds[len(loaded)]
        parts = zip(loaded, kind._fields, strict=True)
        return kind(*(as_arrays(part, field) for part, field in parts))
    except TypeError as error:
        raise TypeError(f"{wanted} in arrays; {error}") from error

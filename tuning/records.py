"""The result of a run, as one plain value.

JSON has no NaN and no infinity, so a loss that is not finite is written as ``null`` and
read back as ``None``.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
import json
import math
import platform
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, TypeAdapter

from tuning.objectives import DIRECTIONS
from tuning.system.json_values import (
    Count,
    LearningRate,
    Number,
    Positive,
    Seconds,
    Text,
    check,
    one_of,
    parse,
    show_value,
    storable,
)

STATUSES = ("ok", "diverged", "failed")
"""``ok``: trained to the end. ``diverged``: a loss became non-finite; a result like
any other. ``failed``: the run raised an error, which ``message`` holds."""


_RUN_ID = re.compile(
    r"(?!\.{1,2}/)[^/\\\0-\x1f]+/batch=\d+/lr=[\d.e+-]+/seed=\d+(/epochs=\d+)?"
)


def _check_run_id(text: str) -> str:
    """Check that a text is a `tuning.grid.Run.run_id`, which names a directory."""
    if not _RUN_ID.fullmatch(text):
        raise ValueError(
            "must be OPTIMIZER/batch=N/lr=R/seed=N, because it names a directory; "
            f"received {show_value(text)}"
        )
    return text


RunId = Annotated[Text, AfterValidator(_check_run_id)]

PACKAGES = ("keras", "tensorflow", "keras-tuner", "numpy", "keras-adam")
"""Distributions whose versions a record names."""


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """The result of one run.

    ``initial_loss``, ``best_val_loss`` and ``final_val_loss`` are values of the run's
    objective: the validation loss, unless ``objective`` names something else. Less is
    better in all three: where ``direction`` is ``"max"`` they are the negative of the
    objective. ``history`` has the objective itself. ``None`` stands for a value that
    was never measured or was not finite.

    Attributes:
        run_id: the key of the run, as `tuning.grid.Run.run_id`.
        workload: name of what was trained.
        optimizer: name of the optimizer in the grid.
        optimizer_config: the optimizer's ``get_config()`` before the first step.
        learning_rate: as planned.
        batch_size: examples per step.
        seed: of weights, data order and dropout.
        epochs: planned passes over the training data.
        schedule: of the learning rate; see `tuning.trainers.schedule.scheduled_rate`.
        status: one of `STATUSES`.
        message: why the run failed or where it diverged; empty when ``ok``.
        initial_loss: the objective before the first step.
        best_val_loss: its least value after any epoch.
        final_val_loss: its value after the last epoch, or after the one whose weights
            early stopping restored; ``None`` if diverged.
        val_metrics: the workload's metrics after the last finite epoch.
        steps: optimizer steps taken.
        steps_to_target: steps until the objective, checked after each epoch, was at
            most (``"max"``: at least) the workload's target; ``None`` if never or
            without a target.
        seconds: wall-clock time of the run, without building and compiling; with
            ``model.fit`` it includes Keras's tracing in the first epoch.
        seconds_per_step: seconds in training steps, without validation, divided by
            ``steps``.
        state_bytes: bytes of the optimizer's variables, without step count and
            learning rate.
        history: per epoch, ``loss`` (training), ``val_loss`` and metrics.
        training_curve: training loss within the epochs: means over consecutive steps,
            at most 100 of them; ``None`` where not finite.
        steps_per_point: steps that each of these means covers.
        execution: how the run was trained: ``compiled-epochs``, ``graph-epochs`` (the
            same without XLA), ``model.fit`` or ``loop`` (a function of the user's).
        objective: the logged quantity by which the run is judged.
        direction: ``"min"`` or ``"max"``: which of its values are better.
        versions: of Python and of `PACKAGES`.
    """

    run_id: RunId
    workload: Text
    optimizer: Text
    optimizer_config: Mapping[Text, Any]
    learning_rate: LearningRate
    batch_size: Positive
    seed: Count
    epochs: Positive
    status: Text
    message: Text = ""
    initial_loss: Number | None = None
    best_val_loss: Number | None = None
    final_val_loss: Number | None = None
    val_metrics: Mapping[Text, Number | None] = dataclasses.field(default_factory=dict)
    steps: Count = 0
    steps_to_target: Count | None = None
    seconds: Seconds = 0.0
    seconds_per_step: Seconds | None = None
    state_bytes: Count | None = None
    history: Mapping[Text, list[Number | None]] = dataclasses.field(
        default_factory=dict
    )
    training_curve: list[Number | None] = dataclasses.field(default_factory=list)
    steps_per_point: Count = 0
    execution: Text = ""
    schedule: Text = "constant"
    objective: Text = "val_loss"
    direction: Annotated[Text, one_of(DIRECTIONS)] = "min"
    versions: Mapping[Text, Text] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(
                f"status must be one of {list(STATUSES)}; received {self.status!r}."
            )

    def to_json(self) -> str:
        """The record as one line of JSON, without a line break."""
        # Not dataclasses.asdict: its deep copy fails for a lock in a configuration.
        fields = {
            field.name: getattr(self, field.name) for field in dataclasses.fields(self)
        }
        return json.dumps(storable(fields), allow_nan=False, default=_as_plain)

    @classmethod
    def from_json(cls, line: str) -> RunRecord:
        """Read a record that :meth:`to_json` wrote; unknown fields are ignored.

        Raises:
            InvalidFileError: the line is not a record; a ``ValueError``. If the line
                is not JSON, a :class:`tuning.system.json_values.NotJSONError`.
        """
        return check(_schema(), parse(line))


@functools.cache
def _schema() -> TypeAdapter[RunRecord]:
    return TypeAdapter(RunRecord)


def installed_versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide a run's numbers."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def least_finite(losses: Iterable[float | None]) -> float | None:
    """The least finite number among ``losses``, ``None`` if there is none."""
    finite = [loss for loss in losses if loss is not None and math.isfinite(loss)]
    return min(finite, default=None)


def _as_plain(value: Any) -> Any:
    """Optimizer configurations may hold NumPy arrays, callables, anything."""
    if hasattr(value, "tolist"):
        return storable(value.tolist())
    return storable(str(value))

"""What came out of a sweep: one record per run, kept as JSON lines.

``runs.jsonl`` is the sweep's memory: a run is done when its line is there, and
everything else (summary, report, TensorBoard, KerasTuner's project) can be made
again from it. JSON has no NaN and no infinity, so a loss that is not finite is
written as ``null`` and read back as ``None``.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import logging
import math
import os
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

RUNS_FILE = "runs.jsonl"
"""Name of the file of records inside a sweep's directory."""

STATUSES = ("ok", "diverged", "failed")
"""``ok``: trained to the end. ``diverged``: a loss became non-finite; a result like
any other. ``failed``: the run raised an error, told in ``message``."""


PACKAGES = ("keras", "tensorflow", "keras-tuner", "numpy", "keras-adam")
"""Distributions whose versions a record names."""


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """One training that took place.

    Losses are validation losses unless their name says otherwise; ``None`` stands
    for a loss that was never measured or was not finite.

    Attributes:
        run_id: the key of the run, as `tuning.grid.Run.run_id`.
        workload: name of what was trained.
        optimizer: name of the optimizer in the grid.
        optimizer_config: the optimizer's ``get_config()`` before the first step.
        learning_rate: as planned.
        batch_size: examples per step.
        seed: of weights, data order and dropout.
        epochs: planned passes over the training data.
        schedule: course of the learning rate; see `tuning.course.scheduled_rate`.
        status: one of `STATUSES`.
        message: why the run failed or where it diverged; empty when ``ok``.
        initial_loss: validation loss before the first step.
        best_val_loss: least validation loss after any epoch.
        final_val_loss: validation loss after the last epoch; ``None`` if diverged.
        val_metrics: the workload's metrics after the last finite epoch.
        steps: optimizer steps taken.
        steps_to_target: steps until the validation loss, looked at after each
            epoch, was at most the workload's target; ``None`` if never or no target.
        seconds: wall-clock of the run, without building and compiling; with
            ``model.fit`` Keras's tracing in the first epoch is included.
        seconds_per_step: ``seconds`` spent in training over ``steps``.
        state_bytes: bytes of the optimizer's variables besides step count and rate.
        history: per epoch, ``loss`` (training), ``val_loss`` and metrics.
        training_curve: training loss within the epochs: means over consecutive steps,
            at most 100 of them; ``None`` where not finite.
        steps_per_point: steps that one of those means is taken over.
        execution: ``compiled-epochs``, ``graph-epochs`` (the same without XLA) or
            ``model.fit``: which path trained it.
        versions: of Python and the packages that took part.
    """

    run_id: str
    workload: str
    optimizer: str
    optimizer_config: Mapping[str, Any]
    learning_rate: float
    batch_size: int
    seed: int
    epochs: int
    status: str
    message: str = ""
    initial_loss: float | None = None
    best_val_loss: float | None = None
    final_val_loss: float | None = None
    val_metrics: Mapping[str, float | None] = dataclasses.field(default_factory=dict)
    steps: int = 0
    steps_to_target: int | None = None
    seconds: float = 0.0
    seconds_per_step: float | None = None
    state_bytes: int | None = None
    history: Mapping[str, list[float | None]] = dataclasses.field(default_factory=dict)
    training_curve: list[float | None] = dataclasses.field(default_factory=list)
    steps_per_point: int = 0
    execution: str = ""
    schedule: str = "constant"
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(
                f"status must be one of {list(STATUSES)}; received {self.status!r}."
            )

    def to_json(self) -> str:
        """The record as one line of JSON, without a line break."""
        # Not dataclasses.asdict: it copies, and a lock in a configuration refuses.
        fields = {
            field.name: getattr(self, field.name) for field in dataclasses.fields(self)
        }
        return json.dumps(
            _without_non_finite(fields), allow_nan=False, default=_as_plain
        )

    @classmethod
    def from_json(cls, line: str) -> RunRecord:
        """Read a record that :meth:`to_json` wrote; unknown fields are ignored.

        Raises:
            ValueError: the line is not a record.
        """
        plain = json.loads(line)
        if not isinstance(plain, dict):
            raise ValueError(f"a record is a JSON object; received {line[:80]!r}.")
        names = {field.name for field in dataclasses.fields(cls)}
        try:
            return cls(**{name: plain[name] for name in names & set(plain)})
        except TypeError as error:
            raise ValueError(f"not a record of a run: {error}.") from None


def append_record(directory: Path, record: RunRecord) -> None:
    """Append one record to the directory's file and see it on the disk.

    A line torn by an interrupted write stays on a line of its own: if the file does
    not end in a line break, one is written first.
    """
    with (directory / RUNS_FILE).open("ab+") as file:
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write(record.to_json().encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read_records(directory: Path) -> list[RunRecord]:
    """Every readable record of a sweep, in the order written, the last one per run.

    A line that cannot be read (torn by a crash) is skipped with a warning in the
    log: its run counts as not done.

    Raises:
        FileNotFoundError: the directory holds no records.
    """
    path = directory / RUNS_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"{directory} holds no {RUNS_FILE}: it is not a sweep's directory, or "
            "no run of it has finished yet."
        )
    records: dict[str, RunRecord] = {}
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                record = RunRecord.from_json(line)
            except ValueError:
                logger.warning("%s, line %d cannot be read; skipped.", path, number)
                continue
            records[record.run_id] = record
    return list(records.values())


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


def _without_non_finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _without_non_finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_non_finite(item) for item in value]
    return value


def _as_plain(value: Any) -> Any:
    """Optimizer configurations may hold NumPy arrays, callables, anything."""
    if hasattr(value, "tolist"):
        return _without_non_finite(value.tolist())
    return str(value)

"""The plan of a sweep and the directory that holds it.

``sweep.json`` is written before the first run and never changed afterwards. It says
what every record in ``runs.jsonl`` belongs to, so a directory can be continued,
refused or cleared without guessing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tuning.grid import Grid
from tuning.records import RUNS_FILE

try:
    import fcntl
except ImportError:  # Windows: sweeps run there, without a lock on the directory
    fcntl = None

PLAN_FILE = "sweep.json"
UNFINISHED_PLAN_FILE = "sweep.json.new"
LOCK_FILE = "sweep.lock"
TENSORBOARD_DIRECTORY = "tensorboard"
KERAS_TUNER_DIRECTORY = "kerastuner"
REPORT_FILES = ("summary.json", "report.html", "report.md", "runs.csv")
FORMAT = 1
"""Raised when a later version can no longer read what an earlier one wrote."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a sweep's directory is for.

    Attributes:
        workload: name of what is trained.
        grid: the runs.
        data: number of examples, ``{"train": ..., "validation": ...}``.
        reference: how the workload is found again from the command line; ``None``
            for one that exists only in the Python program that started the sweep.
        description: the workload's own sentence.
        target_val_loss: the validation loss that ``steps_to_target`` counts to.
        versions: of Python and the packages when the sweep was started.
        command: what started the sweep.
        created: when, ISO 8601 with time zone.
    """

    workload: str
    grid: Grid
    data: Mapping[str, int]
    reference: str | None = None
    description: str = ""
    target_val_loss: float | None = None
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    command: str = ""
    created: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON types; :meth:`from_dict` reads it back."""
        fields = {
            field.name: getattr(self, field.name) for field in dataclasses.fields(self)
        }
        return {"format": FORMAT, **fields, "grid": self.grid.to_dict()}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Plan:
        """Read a plan that :meth:`to_dict` wrote; unknown fields are ignored.

        Raises:
            ValueError: another format, or a field is missing or unusable.
        """
        if plain.get("format") != FORMAT:
            raise ValueError(f"format {plain.get('format')!r} is not {FORMAT}")
        names = {field.name for field in dataclasses.fields(cls)} & set(plain)
        fields = {name: plain[name] for name in names}
        try:
            return cls(**{**fields, "grid": Grid.from_dict(fields["grid"])})
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a plan of a sweep: {error}") from None

    def differences(self, other: Plan) -> list[str]:
        """What other runs ``other`` would do, one phrase per point of difference.

        Descriptions, versions and dates may differ: the runs stay the same.
        """
        mine, theirs = _comparable(self), _comparable(other)
        return [
            f"{name} is {mine[name]} there, {theirs[name]} here"
            for name in mine
            if mine[name] != theirs[name]
        ]


def read_plan(directory: Path) -> Plan:
    """The plan of a sweep's directory.

    Raises:
        ValueError: the directory holds none, or none that can be read.
    """
    path = directory / PLAN_FILE
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(plain, dict):
            raise ValueError("not a JSON object")
        return Plan.from_dict(plain)
    except FileNotFoundError:
        raise ValueError(
            f"{directory} holds no {PLAN_FILE}: it is not the directory of a sweep."
        ) from None
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{path} cannot be read ({error}); use another directory, or overwrite."
        ) from None


def write_plan(directory: Path, plan: Plan) -> None:
    """Write ``sweep.json`` so that it is there whole or not at all."""
    fresh = directory / UNFINISHED_PLAN_FILE
    with fresh.open("w", encoding="utf-8") as file:
        json.dump(plan.to_dict(), file, indent=2, default=str)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, directory / PLAN_FILE)


def check_directory(directory: Path) -> None:
    """See that a directory is absent, empty or a sweep's own.

    Raises:
        ValueError: it is a file, or it holds something that no sweep has made.
    """
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"{directory} is a file; a sweep needs a directory.")
    if not directory.is_dir() or (directory / PLAN_FILE).exists():
        return
    # An unfinished plan is what an interrupted start leaves behind.
    ours = {LOCK_FILE, UNFINISHED_PLAN_FILE}
    strangers = sorted({entry.name for entry in directory.iterdir()} - ours)
    if strangers:
        raise ValueError(
            f"{directory} is not empty and not the directory of a sweep (it holds "
            f"{', '.join(strangers[:3])}{', ...' if strangers[3:] else ''}); use a "
            "new directory."
        )


@contextlib.contextmanager
def claimed(directory: Path) -> Iterator[None]:
    """Make the directory if needed and keep other sweeps out of it meanwhile.

    The lock is the kernel's: it is gone when its process is, however that ended. A
    directory that was made here and got no plan is taken away again.

    Raises:
        ValueError: the directory cannot be written to, or another sweep uses it.
    """
    made = [path for path in (directory, *directory.parents) if not path.exists()]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = (directory / LOCK_FILE).open("w")
    except OSError as error:
        _remove_empty(made)
        raise ValueError(
            f"{directory} cannot be written to: {error.strerror}."
        ) from None
    try:
        with lock:
            if fcntl is not None:
                _lock(lock, directory)
            yield
    finally:
        if made and not (directory / PLAN_FILE).exists():
            (directory / LOCK_FILE).unlink(missing_ok=True)
            _remove_empty(made)


def clear_sweep(directory: Path) -> None:
    """Remove what a sweep has made in the directory, and nothing else."""
    for name in (PLAN_FILE, RUNS_FILE, *REPORT_FILES):
        (directory / name).unlink(missing_ok=True)
    keras_tuner = directory / KERAS_TUNER_DIRECTORY
    if keras_tuner.is_dir():
        shutil.rmtree(keras_tuner)
    tensorboard = directory / TENSORBOARD_DIRECTORY
    events = "events.out.tfevents.*"
    written = [
        *tensorboard.glob(f"*/batch=*/lr=*/seed=*/{events}"),
        *tensorboard.glob(events),
    ]
    for path in written:
        path.unlink()
        inside = path.relative_to(directory).parents
        _remove_empty([directory / parent for parent in inside][:-1])


def _lock(file: Any, directory: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # pyright: ignore
    except OSError:
        raise ValueError(f"another sweep is running in {directory}.") from None


def _remove_empty(directories: list[Path]) -> None:
    """Remove directories, innermost first, as long as they are empty."""
    with contextlib.suppress(OSError):
        for directory in directories:
            directory.rmdir()


def _comparable(plan: Plan) -> dict[str, Any]:
    """What decides the runs, as JSON reads it back: tuples are lists there."""
    fields = {"workload": plan.workload, **plan.grid.to_dict(), "data": plan.data}
    return json.loads(json.dumps(fields, default=str))

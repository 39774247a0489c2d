"""The directory of a sweep: what it may hold, who uses it, what is cleared."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from tuning.plan import PLAN_FILE, may_be_plan
from tuning.records import RunRecord
from tuning.runs_file import RUNS_FILE
from tuning.system.paths import check_directory as check_path
from tuning.system.paths import (
    check_inside,
    check_regular_file,
    explain,
    explain_with_place,
    show_path,
)

try:
    import fcntl
except ImportError:  # Windows: sweeps run there, without a lock on the directory
    fcntl = None

LOCK_FILE = "sweep.lock"
TENSORBOARD_DIRECTORY = "tensorboard"
KERAS_TUNER_DIRECTORY = "kerastuner"
REPORT_FILES = (
    "summary.json",
    "report.html",
    "report.md",
    "runs.csv",
    "comparison.html",
    "comparison.md",
    "comparison.json",
    "card.json",
    "card.md",
    "card.html",
)
FAILURES_FILE = "failures.log"
WORKER_LOGS_DIRECTORY = "workers"
WORKER_LOGS = "worker-*.log"
OWN_DIRECTORIES = frozenset(
    {TENSORBOARD_DIRECTORY, KERAS_TUNER_DIRECTORY, WORKER_LOGS_DIRECTORY}
)
OWN_NAMES = frozenset(
    {
        RUNS_FILE,
        LOCK_FILE,
        FAILURES_FILE,
        *OWN_DIRECTORIES,
        *REPORT_FILES,
    }
)
"""Files and directories that a sweep makes in its directory besides its plan."""


def check_directory(directory: Path, *, overwrite: bool = False) -> None:
    """Check that a directory is absent, empty or a sweep's own.

    Args:
        directory: of the sweep.
        overwrite: whether a sweep's files there may be removed. Then a torn or lost
            plan does not matter.

    Raises:
        TypeError: ``directory`` is not a path.
        ValueError: it is a file, holds something that no sweep has made, or holds a
            symbolic link that would lead a sweep to write outside of it.
    """
    directory = check_path(directory, "out")
    shown = show_path(directory)
    if not directory.is_dir():
        return
    names = sorted(_names_in(directory))
    _check_own(directory, names)
    if PLAN_FILE in names:
        if overwrite and not may_be_plan(directory / PLAN_FILE):
            raise ValueError(
                f"{shown}/{PLAN_FILE} is not the plan of a sweep, so nothing is "
                "overwritten; use another directory."
            )
        return
    ours = OWN_NAMES if overwrite else {LOCK_FILE}
    # File managers and killed processes leave hidden files.
    strangers = [n for n in names if n not in ours and not n.startswith(".")]
    if strangers:
        held = ", ".join(show_path(name) for name in strangers[:3])
        raise ValueError(
            f"{shown} is not empty and not the directory of a sweep (it holds "
            f"{held}{', ...' if strangers[3:] else ''}); use a new directory."
        )


@contextlib.contextmanager
def claimed(directory: Path) -> Iterator[None]:
    """Make the directory if needed, and lock other sweeps out of it meanwhile.

    The kernel holds the lock and releases it when the process ends, however it ends.
    A directory that was made here is removed again if no plan was written to it.

    Raises:
        ValueError: the directory cannot be written to, or another sweep uses it.
    """
    made = [path for path in (directory, *directory.parents) if not path.exists()]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        check_inside(directory, directory / LOCK_FILE)
        lock = (directory / LOCK_FILE).open("a")
    except OSError as error:
        _remove_empty(made)
        raise ValueError(
            f"{show_path(directory)} cannot be written to: {explain(error)}."
        ) from None
    with lock:
        if fcntl is not None:
            _lock(lock, directory)
        try:
            yield
        finally:
            if made and not (directory / PLAN_FILE).exists():
                (directory / LOCK_FILE).unlink(missing_ok=True)
                _remove_empty(made)


def clear_sweep(directory: Path) -> None:
    """Remove what a sweep has made in the directory, and nothing else.

    The plan stays until a new one replaces it. So the directory is recognised as a
    sweep's own whenever the process ends. `tuning.search.tuner.SweepTuner` makes
    KerasTuner's project anew.
    """
    tensorboard = directory / TENSORBOARD_DIRECTORY
    events = "events.out.tfevents.*"
    written = [
        *tensorboard.glob(f"*/batch=*/lr=*/seed=*/{events}"),
        *tensorboard.glob(f"*/batch=*/lr=*/seed=*/epochs=*/{events}"),
        *tensorboard.glob(events),
        *tensorboard.glob(f"report/{events}"),
        *(directory / WORKER_LOGS_DIRECTORY).glob(WORKER_LOGS),
    ]
    for path in written:
        check_inside(directory, path.parent)
    for name in (RUNS_FILE, FAILURES_FILE, *REPORT_FILES):
        (directory / name).unlink(missing_ok=True)
    for path in written:
        path.unlink()
        inside = path.relative_to(directory).parents
        _remove_empty([directory / parent for parent in inside][:-1])


def clear_experiment(directory: Path) -> None:
    """Remove TensorBoard's description of the axes, to be written for another grid."""
    for path in (directory / TENSORBOARD_DIRECTORY).glob("events.out.tfevents.*"):
        check_inside(directory, path.parent)
        path.unlink()


def log_failure(directory: Path, record: RunRecord, traceback: str) -> None:
    """Append the traceback of the first run that failed with this message."""
    path = directory / FAILURES_FILE
    # The name of a file in a traceback may not be UTF-8.
    with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(f"{record.run_id}\n{traceback}\n")


@contextlib.contextmanager
def write_errors_explained(directory: Path) -> Iterator[None]:
    """Turn the errors of Python and TensorFlow at a full disk into one kind of error.

    Raises:
        OSError: something could not be written.
    """
    import tensorflow as tf

    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        raise OSError(
            f"the sweep in {show_path(directory)} has stopped, because something could "
            f"not be written: {explain_with_place(error)}. Its records are kept; "
            "continue it when that is solved."
        ) from error


def _lock(file: Any, directory: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # pyright: ignore
    except OSError:
        raise ValueError(
            f"another sweep is running in {show_path(directory)}; wait for its end, or "
            "use another directory."
        ) from None


def _remove_empty(directories: list[Path]) -> None:
    """Remove directories, innermost first, as long as they are empty."""
    with contextlib.suppress(OSError):
        for directory in directories:
            directory.rmdir()


def _check_own(directory: Path, names: Collection[str]) -> None:
    """Check that a sweep can write to its own files and would write nowhere else."""
    for name in (OWN_NAMES | {PLAN_FILE}).intersection(names):
        path = directory / name
        check_inside(directory, path)
        if name not in OWN_DIRECTORIES:
            check_regular_file(path)
        elif path.exists() and not path.is_dir():
            raise ValueError(f"{show_path(path)} is a file; it must be a directory.")
    for name in OWN_DIRECTORIES:
        if (directory / name).is_dir():
            with os.scandir(directory / name) as entries:
                for entry in entries:
                    if entry.is_symlink():
                        check_inside(directory, Path(entry.path))


def _names_in(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError as error:
        raise ValueError(
            f"{show_path(directory)} cannot be read: {explain(error)}."
        ) from None

"""The directory of a sweep: whose it is, who uses it, what in it is a sweep's own."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tuning.plan import PLAN_FILE, UNFINISHED_PLAN_FILE
from tuning.records import RUNS_FILE, RunRecord

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
)
FAILURES_FILE = "failures.log"
WORKER_LOGS_DIRECTORY = "workers"
WORKER_LOGS = "worker-*.log"
OWN_NAMES = frozenset(
    {
        RUNS_FILE,
        LOCK_FILE,
        UNFINISHED_PLAN_FILE,
        FAILURES_FILE,
        TENSORBOARD_DIRECTORY,
        KERAS_TUNER_DIRECTORY,
        WORKER_LOGS_DIRECTORY,
        *REPORT_FILES,
    }
)
"""What else than the plan a sweep makes in its directory."""


def check_directory(directory: Path, *, overwrite: bool = False) -> None:
    """See that a directory is absent, empty or a sweep's own.

    Args:
        directory: of the sweep.
        overwrite: whether what a sweep has left there may be removed: then a plan
            that is torn or lost does not matter.

    Raises:
        ValueError: it is a file, or it holds something that no sweep has made.
    """
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"{directory} is a file; a sweep needs a directory.")
    if not directory.is_dir():
        return
    if (directory / PLAN_FILE).exists():
        if overwrite and not _may_be_plan(directory / PLAN_FILE):
            raise ValueError(
                f"{directory / PLAN_FILE} is not the plan of a sweep, so nothing is "
                "overwritten; use another directory."
            )
        return
    # An unfinished plan is what an interrupted start leaves behind.
    ours = OWN_NAMES if overwrite else {LOCK_FILE, UNFINISHED_PLAN_FILE}
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
    directory that was made here and got no plan is taken away again by the process
    that holds the lock.

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

    The plan stays until another one takes its place, so that a directory never
    looks like somebody else's, whenever the process ends. KerasTuner's project is
    made anew by `tuning.oracle.SweepTuner`.
    """
    for name in (RUNS_FILE, FAILURES_FILE, *REPORT_FILES):
        (directory / name).unlink(missing_ok=True)
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
        path.unlink()
        inside = path.relative_to(directory).parents
        _remove_empty([directory / parent for parent in inside][:-1])


def log_failure(directory: Path, record: RunRecord, traceback: str) -> None:
    """Keep the traceback of the first run that failed with this message."""
    with (directory / FAILURES_FILE).open("a", encoding="utf-8") as file:
        file.write(f"{record.run_id}\n{traceback}\n")


@contextlib.contextmanager
def told_when_unwritable(directory: Path) -> Iterator[None]:
    """Make one kind of error of what Python and TensorFlow raise at a full disk.

    Raises:
        OSError: something could not be written.
    """
    import tensorflow as tf

    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        text = getattr(error, "strerror", None) or getattr(error, "message", None)
        text = re.sub(r"\{\{.*?\}\} ?", "", str(text or error))  # TensorFlow's node
        raise OSError(
            f"the sweep in {directory} has stopped, because something could not be "
            f"written: {text}. Its records are kept; continue it when that is "
            "mended."
        ) from error


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


def _may_be_plan(path: Path) -> bool:
    """Whether a file is a plan, of any format, or was one before it was torn."""
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return True
    return isinstance(plain, dict) and {"format", "grid"} <= set(plain)

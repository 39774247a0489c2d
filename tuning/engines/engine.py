"""What every engine offers: workers that train one run at a time and report it."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from tuning.errors import format_error
from tuning.grid import Run
from tuning.records import RunRecord


class Began(NamedTuple):
    """A worker has started its run; time before this does not count as the run's."""

    worker: int


class Finished(NamedTuple):
    """A run has come to an end, good or bad.

    Attributes:
        worker: the one that is free again.
        record: of the run.
        traceback: of a run that failed; else ``None``.
        notes: warnings that the trainer logged, one text each.
    """

    worker: int
    record: RunRecord
    traceback: str | None = None
    notes: tuple[str, ...] = ()


class Lost(NamedTuple):
    """A worker has ended in the middle of its run, which has no result.

    Attributes:
        worker: its number; the next run with this number starts a new process.
        reason: how the worker ended, as far as known.
    """

    worker: int
    reason: str


Event = Began | Finished | Lost


class WorkerStartError(RuntimeError):
    """A worker could not be set up, and a new one would fail in the same way."""


def explain_unsendable(error: BaseException) -> str:
    """Why a task cannot be sent to a worker, and what to do about it."""
    return (
        f"the workload cannot be sent to a worker's process: {format_error(error)}. "
        "Make what cannot be pickled, such as a tf.data.Dataset, inside a function of "
        "the workload."
    )


class Engine(Protocol):
    """Workers, numbered from 0, each of which trains one run at a time.

    Attributes:
        workers: how many there are.
    """

    workers: int

    def start(self, worker: int, run: Run) -> None:
        """Give a run to an idle worker; start the worker first if needed."""
        ...

    def wait(self, seconds: float | None) -> Event | None:
        """The next event; ``None`` if there is none in time.

        Args:
            seconds: how long to wait at most; ``None`` without limit.

        Raises:
            WorkerStartError: a worker could not be set up.
        """
        ...

    def end(self, worker: int) -> None:
        """End a worker and its run; ``wait`` reports nothing more of that run."""
        ...

    def close(self) -> None:
        """End all workers."""
        ...

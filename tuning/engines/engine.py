"""What every engine offers: workers that train one run at a time and report it."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from tuning.grid import Run
from tuning.records import RunRecord


class Began(NamedTuple):
    """A worker has started on its run: whatever came before is not the run's time."""

    worker: int


class Finished(NamedTuple):
    """A run has come to an end, good or bad.

    Attributes:
        worker: the one that is free again.
        record: what came out.
        traceback: of a run that failed; else ``None``.
        notes: warnings of the trainer, one text each.
    """

    worker: int
    record: RunRecord
    traceback: str | None = None
    notes: tuple[str, ...] = ()


class Lost(NamedTuple):
    """A worker has ended in the middle of its run, which has no result.

    Attributes:
        worker: whose place is empty until its next run starts another one.
        reason: how it ended, as far as that is known.
    """

    worker: int
    reason: str


Event = Began | Finished | Lost


class WorkerStartError(RuntimeError):
    """A worker could not be set up; the next one could not be set up either."""


class Engine(Protocol):
    """Workers, numbered from 0, each of which trains one run at a time.

    Attributes:
        workers: how many there are.
    """

    workers: int

    def start(self, worker: int, run: Run) -> None:
        """Give a run to an idle worker; start the worker if it is not there."""
        ...

    def wait(self, seconds: float | None) -> Event | None:
        """The next thing that happens; ``None`` if nothing does in time.

        Args:
            seconds: how long to wait at most; ``None`` without limit.

        Raises:
            WorkerStartError: a worker could not be set up.
        """
        ...

    def end(self, worker: int) -> None:
        """End a worker and the run it trains; nothing more is reported of that run."""
        ...

    def close(self) -> None:
        """End all workers."""
        ...

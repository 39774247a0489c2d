"""The engine that trains in this process, one run after the other."""

from __future__ import annotations

from tuning.engines.engine import Event, Finished
from tuning.engines.worker import train_run
from tuning.grid import Run
from tuning.trainers.task import Task
from tuning.trainers.trainer import Trainer


class InProcessEngine:
    """Trains runs in this process, one after the other.

    A run that hangs or crashes the process stops the whole sweep; with `LocalEngine` it
    does not.

    Args:
        task: what all runs have in common.
    """

    def __init__(self, task: Task) -> None:
        self.workers = 1
        self._trainer = Trainer(task)
        self._run: Run | None = None

    def start(self, worker: int, run: Run) -> None:
        """Remember the run; :meth:`wait` trains it."""
        del worker
        self._run = run

    def wait(self, seconds: float | None) -> Event | None:
        """Train the run, however long that takes."""
        del seconds
        if self._run is None:
            return None
        run, self._run = self._run, None
        record, traceback = train_run(self._trainer, run)
        return Finished(0, record, traceback)

    def end(self, worker: int) -> None:
        """Forget the run that was to be trained."""
        del worker
        self._run = None

    def close(self) -> None:
        """Nothing is left to end."""

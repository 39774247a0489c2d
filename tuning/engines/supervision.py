"""Time limits for runs and second tries for lost workers, on any engine."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from tuning.engines.engine import Began, Engine, Finished, Lost
from tuning.engines.options import check_run_timeout
from tuning.grid import Run
from tuning.records import RunRecord, installed_versions
from tuning.trainers.task import Task

logger = logging.getLogger(__name__)

TRIES = 2
"""How often a run is tried if its worker is lost. The first loss may not be the run's
fault: its machine may have failed. A second loss is taken to be its fault."""


class SupervisedRuns:
    """Runs on an engine; each ends with a record, whatever happens.

    A run that takes longer than the limit is ended and counts as failed; a run whose
    worker is lost is tried once more.

    Args:
        engine: trains the runs.
        task: what all runs have in common.
        run_timeout: seconds that a run may take, including the time to build and
            compile its model, but not to start its worker; ``None``: no limit.
        clock: returns seconds; tests pass their own.

    Raises:
        ValueError: ``run_timeout`` is not positive.
    """

    def __init__(
        self,
        engine: Engine,
        task: Task,
        run_timeout: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        check_run_timeout(run_timeout)
        self._engine = engine
        self._task = task
        self._timeout = run_timeout
        self._clock = clock
        self._runs: dict[int, Run] = {}
        self._tries: dict[int, int] = {}
        self._deadlines: dict[int, float] = {}
        self._notes: set[str] = set()

    @property
    def workers(self) -> int:
        """How many runs can be trained at once."""
        return self._engine.workers

    def start(self, worker: int, run: Run) -> None:
        """Have an idle worker train a run."""
        self._runs[worker] = run
        self._tries[worker] = 1
        self._engine.start(worker, run)

    def next_finished(self) -> Finished:
        """Wait for the next run that ends, in whatever way.

        Raises:
            WorkerStartError: a worker could not be set up.
        """
        while True:
            event = self._engine.wait(self._seconds_left())
            if isinstance(event, Began):
                if self._timeout is not None:
                    self._deadlines[event.worker] = self._clock() + self._timeout
            elif isinstance(event, Finished):
                self._log_notes(event.notes)
                self._forget(event.worker)
                return event
            elif isinstance(event, Lost):
                finished = self._try_again(event)
                if finished is not None:
                    return finished
            late = self._first_late()
            if late is not None:
                return self._end(late)

    def _seconds_left(self) -> float | None:
        if not self._deadlines:
            return None
        return max(0.0, min(self._deadlines.values()) - self._clock())

    def _first_late(self) -> int | None:
        now = self._clock()
        late = [worker for worker, end in self._deadlines.items() if end <= now]
        return late[0] if late else None

    def _end(self, worker: int) -> Finished:
        self._engine.end(worker)
        run = self._forget(worker)
        message = (
            f"TimeoutError: ended after {self._timeout:g} s, the limit that was set "
            "for a run."
        )
        return Finished(worker, failed_record(self._task, run, message))

    def _try_again(self, lost: Lost) -> Finished | None:
        worker = lost.worker
        self._deadlines.pop(worker, None)
        run = self._runs[worker]
        if self._tries[worker] < TRIES:
            self._tries[worker] += 1
            logger.warning(
                "A worker was lost in run %s (%s); the run is tried again.",
                run.run_id,
                lost.reason,
            )
            self._engine.start(worker, run)
            return None
        self._forget(worker)
        message = f"its worker was lost {TRIES} times; the last time {lost.reason}."
        return Finished(worker, failed_record(self._task, run, message))

    def _forget(self, worker: int) -> Run:
        self._deadlines.pop(worker, None)
        self._tries.pop(worker, None)
        return self._runs.pop(worker)

    def _log_notes(self, notes: tuple[str, ...]) -> None:
        """Log the warnings of workers, each text once: all workers log the same."""
        for note in notes:
            if note not in self._notes:
                self._notes.add(note)
                logger.warning("%s", note)


def failed_record(task: Task, run: Run, message: str) -> RunRecord:
    """The record of a run that returned no result."""
    return RunRecord(
        run_id=run.run_id,
        workload=task.workload.name,
        optimizer=run.optimizer,
        optimizer_config={},
        learning_rate=run.learning_rate,
        batch_size=run.batch_size,
        seed=run.seed,
        epochs=task.epochs if run.epochs is None else run.epochs,
        schedule=task.workload.schedule,
        status="failed",
        message=message,
        versions=installed_versions(),
    )

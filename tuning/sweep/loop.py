"""The runs of a sweep that have no record yet: chosen, trained and recorded."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tuning.engines.engine import Finished
from tuning.engines.opening import open_engine
from tuning.engines.supervision import SupervisedRuns
from tuning.records import RunRecord
from tuning.runs_file import append_record, read_records
from tuning.search.oracle import SweepOracle, run_of_record
from tuning.search.strategies import make_oracle
from tuning.search.tuner import SweepTuner
from tuning.sweep import directory as directories
from tuning.sweep.planning import Sweep
from tuning.sweep.preparation import Preparation
from tuning.sweep.progress import Progress
from tuning.tensorboard import sweep_events
from tuning.tensorboard.experiment_events import Experiment
from tuning.trainers.task import Task


def read_finished(sweep: Sweep) -> list[RunRecord]:
    """The records of the grid's runs, in its order, those with fewer epochs first."""
    try:
        records = read_records(sweep.directory)
    except FileNotFoundError:
        return []
    places = {run: place for place, run in enumerate(sweep.grid.runs())}
    planned = [record for record in records if run_of_record(record) in places]
    return sorted(
        planned, key=lambda record: (places[run_of_record(record)], record.epochs)
    )


def report_start(sweep: Sweep, recorded: Sequence[RunRecord]) -> list[RunRecord]:
    """Report how many runs there are, and return those that need not be trained."""
    finished = [record for record in recorded if record.status != "failed"]
    began = _began(sweep, finished)
    _report_progress(sweep, len(finished), None, began)
    return finished


def _began(sweep: Sweep, finished: Sequence[RunRecord]) -> float:
    """When the sweep would have begun without a pause, by the monotonic clock."""
    seconds = sum(record.seconds for record in finished)
    return time.monotonic() - seconds / (sweep.engine.workers or 1)


def train_missing(sweep: Sweep, prepared: Preparation) -> None:
    """Train the runs of a sweep that have no record, or one of a failure.

    Args:
        sweep: whose runs are trained.
        prepared: of its workload.
    """
    recorded = read_finished(sweep)
    finished = report_start(sweep, recorded)
    done = len(finished)
    began = _began(sweep, finished)
    tensorboard = sweep.directory / directories.TENSORBOARD_DIRECTORY
    experiment = Experiment(
        tensorboard,
        sweep.grid,
        [f"val_{name}" for name in prepared.metrics],
        sweep.workload.objective,
    )
    experiment.write_missing()
    for record in recorded:
        experiment.add(record)
    sweep_events.write_missing(tensorboard, recorded)
    workers = sweep.engine.workers or 1
    oracle = make_oracle(sweep.options, sweep.grid, finished, workers)
    del recorded, finished  # most of the driver's memory in a large sweep
    if not oracle.has_more():
        return
    task = Task(
        workload=sweep.workload,
        data=prepared.data,
        epochs=sweep.grid.epochs,
        options=sweep.grid.options,
        custom=sweep.custom,
        execution=sweep.options.execution,
        shared=None if sweep.engine.is_in_process else prepared.shared_values(),
    )

    def report(record: RunRecord) -> None:
        nonlocal done
        done += 1
        _report_progress(sweep, done, record, began)

    train_proposed(oracle, task, sweep, Keeper(sweep.directory, report, experiment))


def train_proposed(oracle: SweepOracle, task: Task, sweep: Sweep, keep: Keeper) -> None:
    """Train what the oracle proposes until it has no more, and keep every record.

    This process writes everything in the directory, wherever runs are trained.

    Args:
        oracle: proposes runs, and knows which are finished.
        task: what all runs have in common.
        sweep: names the directory and the engine.
        keep: writes the results.
    """
    logs = sweep.directory / directories.WORKER_LOGS_DIRECTORY
    engine = open_engine(sweep.engine, task, logs)
    try:
        runs = SupervisedRuns(engine, task, sweep.engine.run_timeout)
        project = directories.KERAS_TUNER_DIRECTORY
        SweepTuner(oracle, sweep.directory, project, runs, keep).search()
    finally:
        engine.close()


class Keeper:
    """Writes the results of runs to the sweep's directory.

    Args:
        directory: of the sweep.
        report: called with every record after it has been written.
        experiment: the sweep's configuration in TensorBoard, if it has one.
    """

    def __init__(
        self,
        directory: Path,
        report: Callable[[RunRecord], None],
        experiment: Experiment | None = None,
    ) -> None:
        self._directory = directory
        self._experiment = experiment
        self._report = report
        self._messages: set[str] = set()

    def __call__(self, finished: Finished) -> None:
        """Write the results of a run that has ended.

        The record is written after the TensorBoard events: where a record is, its
        events are, too.

        Raises:
            OSError: something could not be written.
            tf.errors.OpError: the same, raised by TensorFlow.
        """
        record = finished.record
        tensorboard = self._directory / directories.TENSORBOARD_DIRECTORY
        if self._experiment is not None:
            self._experiment.add(record)
        sweep_events.write_run(tensorboard, record)
        append_record(self._directory, record)
        if record.status == "failed" and record.message not in self._messages:
            self._messages.add(record.message)
            traceback = finished.traceback or record.message
            directories.log_failure(self._directory, record, traceback)
        self._report(record)


def _report_progress(
    sweep: Sweep, done: int, record: RunRecord | None, began: float
) -> None:
    """Report how far the sweep is.

    Args:
        sweep: with a listener.
        done: runs.
        record: of the last one.
        began: when the sweep would have begun without a pause, by the monotonic clock.
    """
    if not callable(sweep.progress):
        return
    options = sweep.options
    total = min(options.max_runs or len(sweep.grid), len(sweep.grid))
    time_share = None
    if options.max_minutes is not None:
        spent = (time.monotonic() - began) / (60 * options.max_minutes)
        time_share = min(1.0, max(done / total, spent))
    is_bound = options.strategy != "grid"
    sweep.progress(Progress(done, total, record, is_bound, time_share))

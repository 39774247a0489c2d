"""The runs that a sweep still lacks: chosen, trained somewhere, and kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tuning.engines.choice import EngineChoice, open_engine
from tuning.engines.engine import Finished, Task
from tuning.engines.supervision import SupervisedRuns
from tuning.records import RunRecord, append_record
from tuning.search.oracle import SweepOracle
from tuning.search.tuner import SweepTuner
from tuning.sweep import directory as directories
from tuning.sweep import tensorboard_log
from tuning.sweep.directory import log_failure


def train_missing(
    oracle: SweepOracle,
    task: Task,
    directory: Path,
    choice: EngineChoice,
    tell: Callable[[RunRecord], None],
) -> None:
    """Train what the oracle proposes until it has no more, and keep every record.

    Everything in the directory is written by this process, wherever runs are trained.

    Args:
        oracle: proposes runs; knows those that are finished.
        task: what all runs have in common.
        directory: of the sweep.
        choice: where runs are trained.
        tell: called with every record that has been kept.
    """
    keep = Keeper(directory, tell)
    engine = open_engine(choice, task, directory / directories.WORKER_LOGS_DIRECTORY)
    try:
        runs = SupervisedRuns(engine, task, choice.run_timeout)
        project = directories.KERAS_TUNER_DIRECTORY
        SweepTuner(oracle, directory, project, runs, keep).search()
    finally:
        engine.close()


class Keeper:
    """Writes down what came of a run.

    Args:
        directory: of the sweep.
        tell: called with every record that has been kept.
    """

    def __init__(self, directory: Path, tell: Callable[[RunRecord], None]) -> None:
        self._directory = directory
        self._tell = tell
        self._messages: set[str] = set()

    def __call__(self, finished: Finished) -> None:
        """Keep a run that has ended.

        The record comes last: where it stands, everything else stands too.

        Raises:
            OSError: something could not be written.
            tf.errors.OpError: the same, told by TensorFlow.
        """
        record = finished.record
        tensorboard = self._directory / directories.TENSORBOARD_DIRECTORY
        tensorboard_log.write_run(tensorboard, record)
        append_record(self._directory, record)
        if record.status == "failed" and record.message not in self._messages:
            self._messages.add(record.message)
            traceback = finished.traceback or record.message
            log_failure(self._directory, record, traceback)
        self._tell(record)

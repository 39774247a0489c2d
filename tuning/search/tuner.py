"""The tuner of a sweep: it asks an oracle for runs and has several trained at once."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import Trial, TrialStatus

from tuning.engines.engine import Finished
from tuning.grid import Run
from tuning.search.oracle import SweepOracle
from tuning.system.paths import check_inside


class Runs(Protocol):
    """Trains runs, several at once; see `tuning.engines.supervision.SupervisedRuns`."""

    @property
    def workers(self) -> int:
        """How many runs can be trained at once."""
        ...

    def start(self, worker: int, run: Run) -> None:
        """Have an idle worker train a run."""
        ...

    def next_finished(self) -> Finished:
        """Wait for the next run that ends."""
        ...


class SweepTuner(BaseTuner):
    """Trains the runs that an oracle proposes, and writes KerasTuner's project.

    Args:
        oracle: proposes runs, and knows those that took place already.
        directory: holds the project in its sub-directory ``project_name``. The project
            is made anew; files there that KerasTuner has not made stay.
        project_name: see ``directory``.
        runs: trains the runs.
        keep: called with every run that has ended, before the oracle is updated.
    """

    def __init__(
        self,
        oracle: SweepOracle,
        directory: Path,
        project_name: str,
        runs: Runs,
        keep: Callable[[Finished], None],
    ) -> None:
        # KerasTuner's own overwrite=True would remove the whole directory.
        _remove_project(directory / project_name)
        super().__init__(
            oracle=oracle, directory=str(directory), project_name=project_name
        )
        self._runs = runs
        self._keep = keep
        for trial in self.oracle.trials.values():
            trial.save(os.path.join(self.get_trial_dir(trial.trial_id), "trial.json"))
        self.save()

    def search(self, *_: Any, **__: Any) -> None:
        """Train until the oracle has no more to propose.

        KerasTuner's own loop trains one run at a time, and takes an error of ``keep``
        for an error of the run.

        Raises:
            Exception: whatever ``keep`` raises; the search ends with it.
        """
        idle = list(range(self._runs.workers))
        under_way: dict[int, Trial] = {}
        while True:
            self._start_all(idle, under_way)
            if not under_way:
                break
            finished = self._runs.next_finished()
            trial = under_way.pop(finished.worker)
            idle.append(finished.worker)
            self._keep(finished)
            self.oracle.finish(trial, finished.record)
        self.oracle.save_now()

    def _start_all(self, idle: list[int], under_way: dict[int, Trial]) -> None:
        """Give every idle worker a run, as long as the oracle has one."""
        while idle:
            worker = idle[0]
            trial = self.oracle.create_trial(f"worker{worker}")
            # No run to propose: none is left, or none before runs under way end.
            if trial.status != TrialStatus.RUNNING:
                return
            run = self.oracle.run_of(trial)
            record = self.oracle.known(run)
            if record is not None:
                self.oracle.finish(trial, record)
                continue
            idle.pop(0)
            under_way[worker] = trial
            self._runs.start(worker, run)


def _remove_project(project: Path) -> None:
    """Remove the files that KerasTuner made, and directories that are then empty.

    Raises:
        ValueError: a symbolic link leads out of the project.
    """
    for entry in project.glob("*"):
        if entry.is_symlink():
            check_inside(project, entry)
    trials = list(project.glob("trial_*/trial.json"))
    for path in (*project.glob("tuner*.json"), project / "oracle.json", *trials):
        path.unlink(missing_ok=True)
    for path in trials:
        with contextlib.suppress(OSError):
            path.parent.rmdir()

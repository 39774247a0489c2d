"""KerasTuner's part: which run comes next, and how its project shows a sweep.

KerasTuner's own `GridSearch` cannot continue an interrupted search, stops after
three diverged runs and knows no seeds. So the grid is walked by an oracle of our
own, made anew from the records at every start: KerasTuner's project is an outcome,
never a source, and damage to it costs nothing.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import Trial, TrialStatus

from tuning.grid import Grid, Run
from tuning.records import RunRecord

OBJECTIVE = "best_val_loss"


class GridOracle(keras_tuner.Oracle):
    """Proposes the first point of a grid that has neither run nor begun to.

    Args:
        grid: the points, in the order in which they are proposed.
        records: runs that took place already; each becomes a finished trial.
    """

    def __init__(self, grid: Grid, records: Iterable[RunRecord] = ()) -> None:
        super().__init__(
            objective=keras_tuner.Objective(OBJECTIVE, "min"),
            max_trials=len(grid),
            hyperparameters=_space(grid),
            allow_new_entries=False,
            tune_new_entries=False,
            # More than there can be: a sweep goes on whatever its runs come to.
            max_consecutive_failed_trials=len(grid) + 1,
        )
        self.verbose = 0  # progress is shown by whoever started the sweep
        self.grid = grid
        for record in records:
            self._add_finished(record)

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """The values of the next run, or the end of the search.

        Args:
            trial_id: of the trial about to be made; the grid alone decides.
        """
        del trial_id
        begun = {run_of(trial).run_id for trial in self.trials.values()}
        for run in self.grid.runs():
            if run.run_id not in begun:
                return {"status": TrialStatus.RUNNING, "values": _values(run)}
        return {"status": TrialStatus.STOPPED}

    def _add_finished(self, record: RunRecord) -> None:
        width = len(str(self.max_trials))
        trial = Trial(
            hyperparameters=self.hyperparameters.copy(),
            trial_id=f"{len(self.trials):0{width}d}",
            status=TrialStatus.COMPLETED,
        )
        trial.hyperparameters.values = _values(
            Run(record.optimizer, record.batch_size, record.learning_rate, record.seed)
        )
        if record.status == "failed":
            trial.status = TrialStatus.FAILED
            trial.message = record.message
        else:
            trial.metrics.register(OBJECTIVE, direction="min")
            trial.metrics.update(OBJECTIVE, objective_value(record))
            self.score_trial(trial)
        self.trials[trial.trial_id] = trial
        self.start_order.append(trial.trial_id)
        self.end_order.append(trial.trial_id)


class SweepTuner(BaseTuner):
    """Has every run of a grid done once, in KerasTuner's own loop.

    Args:
        grid: the runs.
        records: those that took place already.
        directory: the project is made anew in its sub-directory ``project_name``;
            what KerasTuner has not made there stays.
        project_name: see ``directory``.
        do_run: trains a run, keeps its record and returns it.
    """

    def __init__(
        self,
        grid: Grid,
        records: Iterable[RunRecord],
        directory: Path,
        project_name: str,
        do_run: Callable[[Run], RunRecord],
    ) -> None:
        # KerasTuner's own overwrite=True would remove the whole directory.
        _remove_project(directory / project_name)
        super().__init__(
            oracle=GridOracle(grid, records),
            directory=str(directory),
            project_name=project_name,
        )
        self._do_run = do_run
        self._failure: str | None = None
        for trial in self.oracle.trials.values():
            trial.save(os.path.join(self.get_trial_dir(trial.trial_id), "trial.json"))
        self.save()

    def run_trial(self, trial: Trial, *_: Any, **__: Any) -> dict[str, float]:
        """Train the trial's run and tell KerasTuner what it came to.

        Raises:
            FatalError: its record could not be kept; the sweep cannot go on.
        """
        try:
            record = self._do_run(run_of(trial))
        except Exception as error:
            # KerasTuner would swallow any other exception and run the next trial.
            raise keras_tuner.errors.FatalError(str(error)) from error
        # Raising FailedTrialError would do, but prints a traceback per run.
        self._failure = record.message if record.status == "failed" else None
        return {OBJECTIVE: objective_value(record)}

    def on_trial_end(self, trial: Trial) -> None:
        """Mark a failed run's trial as failed and save the project."""
        if self._failure is not None:
            trial.status, trial.message = TrialStatus.FAILED, self._failure
        super().on_trial_end(trial)


def run_of(trial: Trial) -> Run:
    """The planned run that a trial stands for."""
    values = trial.hyperparameters.values
    return Run(
        values["optimizer"],
        values["batch_size"],
        values["learning_rate"],
        values["seed"],
    )


def objective_value(record: RunRecord) -> float:
    """The number by which KerasTuner ranks a run; less is better, always finite.

    A diverged run counts as no better than no training: KerasTuner would take NaN
    for an error and an infinite value would not survive its JSON.
    """
    wanted = record.best_val_loss if record.status == "ok" else record.initial_loss
    if wanted is None or not math.isfinite(wanted):
        return sys.float_info.max
    return wanted


def _remove_project(project: Path) -> None:
    """Remove the files that KerasTuner makes, and directories that they leave empty."""
    trials = list(project.glob("trial_*/trial.json"))
    for path in (*project.glob("tuner*.json"), project / "oracle.json", *trials):
        path.unlink(missing_ok=True)
    for path in trials:
        with contextlib.suppress(OSError):
            path.parent.rmdir()


def _space(grid: Grid) -> keras_tuner.HyperParameters:
    space = keras_tuner.HyperParameters()
    space.Choice("optimizer", list(grid.optimizers))
    space.Choice("batch_size", list(grid.batch_sizes))
    space.Choice("learning_rate", list(grid.learning_rates))
    space.Choice("seed", list(grid.seeds))
    return space


def _values(run: Run) -> dict[str, Any]:
    return {
        "optimizer": run.optimizer,
        "batch_size": run.batch_size,
        "learning_rate": run.learning_rate,
        "seed": run.seed,
    }

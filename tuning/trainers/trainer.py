"""One run of a sweep: from a planned `Run` to its `RunRecord`."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import Any

from tuning.errors import format_error
from tuning.grid import Run
from tuning.options import check_execution
from tuning.records import RunRecord, installed_versions, least_finite
from tuning.system.process_end import os_exit_raises
from tuning.trainers.task import Task
from tuning.trainers.training_log import TrainingLog
from tuning.trainers.way import open_way


class Trainer:
    """Trains the runs of one workload, one after the other.

    How a run is trained depends on what the workload is: see `tuning.trainers.way`.

    Args:
        task: what all runs have in common.

    Attributes:
        traces: how often a train function was traced, by the (optimizer, batch size)
            that first needed it.
        tracebacks: of the first failed run with each message, by message.

    Raises:
        ValueError: the task's ``execution`` is not one of `EXECUTIONS`.
    """

    def __init__(self, task: Task) -> None:
        check_execution(task.execution)
        self.tracebacks: dict[str, str] = {}
        self._task = task
        self._way = open_way(task)
        self.traces = self._way.traces
        self._versions = installed_versions()

    def run(self, run: Run) -> RunRecord:
        """Train once; the record says what happened, whatever it was."""
        log = self._way.new_log(run)
        facts: dict[str, Any] = {"optimizer_config": {}}
        try:
            with os_exit_raises():
                self._way.train(run, log, facts)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            # The user's model, loss and optimizer may raise anything, sys.exit
            # included; one bad run must not cost the other two hundred.
            message = format_error(error)
            self.tracebacks.setdefault(message, traceback.format_exc())
            self._way.drop()
            return self._record(run, log, facts, "failed", message)
        finally:
            # However the run ended, an interruption included.
            self._way.restore()
        status = "diverged" if log.diverged else "ok"
        return self._record(run, log, facts, status, log.diverged)

    def _record(
        self,
        run: Run,
        log: TrainingLog,
        facts: Mapping[str, Any],
        status: str,
        message: str,
    ) -> RunRecord:
        losses = log.losses
        final = None
        if status == "ok" and losses:
            final = losses[-1 if log.kept_epoch is None else log.kept_epoch]
        return RunRecord(
            run_id=run.run_id,
            workload=self._task.workload.name,
            optimizer=run.optimizer,
            learning_rate=run.learning_rate,
            batch_size=run.batch_size,
            seed=run.seed,
            epochs=self._task.epochs_of(run),
            schedule=self._task.workload.schedule,
            status=status,
            message=message,
            initial_loss=log.initial_loss,
            best_val_loss=least_finite(losses),
            final_val_loss=final,
            val_metrics=_last_finite_metrics(log),
            objective=log.objective,
            direction=log.direction,
            steps=log.steps,
            steps_to_target=log.steps_to_target,
            seconds=log.seconds,
            seconds_per_step=(log.training_seconds / log.steps if log.steps else None),
            history=log.history,
            training_curve=log.training_curve,
            steps_per_point=log.steps_per_point,
            versions=self._versions,
            **facts,
        )


def _last_finite_metrics(log: TrainingLog) -> dict[str, float | None]:
    """The metrics after the last epoch with a finite objective.

    Those on the validation data where the objective is one of them.
    """
    losses = log.history.get(log.objective, [])
    finite = [i for i, loss in enumerate(losses) if loss is not None]
    if not finite:
        return {}
    prefix = "val_" if log.objective.startswith("val_") else ""
    return {
        name.removeprefix(prefix): values[finite[-1]]
        for name, values in log.history.items()
        if name.startswith(prefix) and name not in ("loss", log.objective)
    }

"""Runs of a workload that a function of the user's trains by itself."""

from __future__ import annotations

import collections
import contextlib
import gc
from typing import Any

from tuning.grid import Run
from tuning.loop_workload import LoopWorkload
from tuning.objectives import direction_of
from tuning.trainers.loop_run import LoopRun, RunEndedError
from tuning.trainers.optimizers import state_bytes
from tuning.trainers.seeding import seed_all
from tuning.trainers.task import Task
from tuning.trainers.training_log import TrainingLog

NAME = "loop"


class LoopRuns:
    """Calls the workload's function once per run.

    Args:
        task: what all runs have in common.
        workload: that of the task.

    Attributes:
        traces: empty: what the function traces is its own business.
    """

    def __init__(self, task: Task, workload: LoopWorkload) -> None:
        self.traces: collections.Counter[tuple[str, int]] = collections.Counter()
        self._task = task
        self._workload = workload

    def new_log(self, run: Run) -> TrainingLog:
        """See `tuning.trainers.way.Way`."""
        workload = self._workload
        objective = workload.objective or "val_loss"
        direction = direction_of(workload)
        return TrainingLog(None, workload.target_val_loss, 1, objective, direction)

    def train(self, run: Run, log: TrainingLog, facts: dict[str, Any]) -> None:
        """See `tuning.trainers.way.Way`."""
        facts["execution"] = NAME
        seed_all(run.seed)
        own = LoopRun(
            run,
            self._task.epochs_of(run),
            lambda learning_rate: self._task.build_optimizer(run, learning_rate),
        )
        facts["optimizer_config"] = own.optimizer.get_config()
        # The log will say why it ended.
        with contextlib.suppress(RunEndedError):
            self._workload.function(own)
        own.write(log, self._workload.objective)
        facts["state_bytes"] = sum(state_bytes(one) for one in own.made if one.built)

    def drop(self) -> None:
        """See `tuning.trainers.way.Way`."""
        gc.collect()  # layers of a model refer to each other

    def restore(self) -> None:
        """Nothing to do: the function makes what it trains."""

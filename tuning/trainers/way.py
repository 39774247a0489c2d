"""The ways of training a run, one for each kind of workload."""

from __future__ import annotations

import collections
from typing import Any, Protocol

from tuning.fit_workload import FitWorkload
from tuning.grid import Run
from tuning.loop_workload import LoopWorkload
from tuning.trainers.task import Task
from tuning.trainers.training_log import TrainingLog


class Way(Protocol):
    """How runs of one kind of workload are trained.

    Attributes:
        traces: how often a train function was traced, by (optimizer, batch size).
    """

    traces: collections.Counter[tuple[str, int]]

    def new_log(self, run: Run) -> TrainingLog:
        """An empty log for a run."""
        ...

    def train(self, run: Run, log: TrainingLog, facts: dict[str, Any]) -> None:
        """Train a run.

        Args:
            run: that is trained.
            log: receives losses and metrics; says when to stop.
            facts: fields of the record that only the way knows: ``optimizer_config``,
                ``execution``, ``state_bytes``. They stay if the training fails later.

        Raises:
            Exception: whatever the user's code raises.
        """
        ...

    def drop(self) -> None:
        """Forget what later runs would reuse: a run has failed with it."""
        ...

    def restore(self) -> None:
        """Put variables that models share back to their first values."""
        ...


def open_way(task: Task) -> Way:
    """The way that fits the kind of the task's workload.

    Raises:
        ValueError: a workload of arrays comes without its data.
    """
    # Imported when used: a worker needs one of them.
    if isinstance(task.workload, FitWorkload):
        from tuning.trainers.fit_runs import FitRuns

        return FitRuns(task, task.workload)
    if isinstance(task.workload, LoopWorkload):
        from tuning.trainers.loop_runs import LoopRuns

        return LoopRuns(task, task.workload)
    from tuning.trainers.array_runs import ArrayRuns

    if task.data is None:
        raise ValueError("runs of a workload of arrays need its data.")
    return ArrayRuns(task, task.workload, task.data)

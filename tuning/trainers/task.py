"""What all runs of a sweep have in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tuning.grid import Run
from tuning.optimizer_names import OptimizerFactory
from tuning.trainers.optimizers import build_optimizer
from tuning.workload import AnyData
from tuning.workload_kinds import AnyWorkload


@dataclasses.dataclass(frozen=True)
class Task:
    """What all runs of a sweep have in common; every worker receives it once.

    Attributes:
        workload: what is trained: one of `tuning.workload_kinds.KINDS`.
        data: of a workload of arrays: loaded once, in the process that drives the
            sweep. ``None`` for other workloads, whose runs get their data themselves.
        epochs: passes over the training data.
        options: further optimizer arguments by optimizer name.
        custom: the caller's own optimizer factories by name.
        execution: one of `tuning.options.EXECUTIONS`. ``"auto"`` trains as the
            workload says. If it says ``"auto"`` too, runs are trained in compiled
            epochs where the model allows it, else with ``model.fit``, and the reason
            is logged once. The other two values allow no other way.
        shared: see `tuning.trainers.model_builder.ModelBuilder`.
    """

    workload: AnyWorkload
    data: AnyData | None
    epochs: int
    options: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    custom: Mapping[str, OptimizerFactory] | None = None
    execution: str = "auto"
    shared: Sequence[np.ndarray | None] | None = None

    def epochs_of(self, run: Run) -> int:
        """Epochs that are planned for a run."""
        return self.epochs if run.epochs is None else run.epochs

    def build_optimizer(self, run: Run, learning_rate: Any = None) -> Any:
        """A new optimizer for a run.

        Args:
            run: names the optimizer.
            learning_rate: in place of the run's: a number or a schedule.
        """
        return build_optimizer(
            run.optimizer,
            run.learning_rate if learning_rate is None else learning_rate,
            self.options.get(run.optimizer),
            self.custom,
        )

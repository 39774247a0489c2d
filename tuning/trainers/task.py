"""What all runs of a sweep have in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tuning.array_data import map_arrays
from tuning.file_arrays import as_file_array, opened
from tuning.fit_workload import FitWorkload
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

    def __getstate__(self) -> dict[str, Any]:
        """What another process gets: of arrays in files, where they are."""
        return _with_arrays(as_file_array, vars(self))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open the arrays of the other process."""
        vars(self).update(_with_arrays(opened, state))

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


def _with_arrays(
    function: Callable[[Any], Any], state: Mapping[str, Any]
) -> dict[str, Any]:
    """The fields of a task with the function's result in the place of its arrays."""
    data, workload = state["data"], state["workload"]
    if data is not None:
        data = type(data)(*(map_arrays(function, part) for part in data))
    if isinstance(workload, FitWorkload) and not callable(workload.data):
        own = _map_containers(function, workload.data)
        workload = dataclasses.replace(workload, data=own)
    return {**state, "data": data, "workload": workload}


def _map_containers(function: Callable[[Any], Any], part: Any) -> Any:
    """As `map_arrays`, for what ``fit`` takes: lists stay lists."""
    if type(part) is dict:
        return {key: _map_containers(function, one) for key, one in part.items()}
    if type(part) in (list, tuple):
        return type(part)(_map_containers(function, one) for one in part)
    return function(part)

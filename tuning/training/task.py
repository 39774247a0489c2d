"""What all runs of a sweep have in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tuning.optimizer_names import OptimizerFactory
from tuning.workload import Data, Workload


@dataclasses.dataclass(frozen=True)
class Task:
    """What all runs of a sweep have in common; every worker receives it once.

    Attributes:
        workload: what is trained.
        data: its data, loaded once, in the process that drives the sweep.
        epochs: passes over the training data.
        options: further optimizer arguments by optimizer name.
        custom: the caller's own optimizer factories by name.
        execution: one of `tuning.options.EXECUTIONS`. ``"auto"`` trains as the
            workload says. If it says ``"auto"`` too, runs are trained in compiled
            epochs where the model allows it, else with ``model.fit``, and the reason
            is logged once. The other two values allow no other way.
        shared: see `tuning.training.model_builder.ModelBuilder`.
    """

    workload: Workload
    data: Data
    epochs: int
    options: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    custom: Mapping[str, OptimizerFactory] | None = None
    execution: str = "auto"
    shared: Sequence[np.ndarray | None] | None = None

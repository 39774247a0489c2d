"""Workloads of a tuner: another value of a hyperparameter is another sweep."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tuning.fit_workload import FitWorkload
from tuning.loop_workload import LoopWorkload


@dataclasses.dataclass(frozen=True)
class HyperFitWorkload(FitWorkload):
    """A training by ``fit``.

    Attributes:
        hyperparameters: fixed values by name; written into the plan.
    """

    hyperparameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class HyperLoopWorkload(LoopWorkload):
    """A training by a ``HyperModel.fit`` of the user's.

    Attributes:
        hyperparameters: fixed values by name; written into the plan.
    """

    hyperparameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)

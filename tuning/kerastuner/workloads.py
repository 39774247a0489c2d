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


def judged_by(objective: str | None, direction: str | None) -> dict[str, str | None]:
    """The fields of a workload that say by what its runs are judged."""
    names = {field.name for field in dataclasses.fields(FitWorkload)}
    judged = {"objective": objective, "direction": direction}
    return {name: value for name, value in judged.items() if name in names}


def direction_of(judged: Mapping[str, str | None]) -> str:
    """Whether less of the objective is better, ``"min"``, or more, ``"max"``."""
    return judged.get("direction") or "min"

"""What lies in a directory of claims: its plan, what memory took, and the sweeps."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tuning.claims.budgets import BUDGETS, Budget
from tuning.claims.task_runs import TaskRuns
from tuning.records import RunRecord, read_records

PLAN_FILE = "claims-plan.json"
MEMORY_FILE = "memory.json"
LARGE_MODEL = "large model"
FORMAT = 1


@dataclasses.dataclass(frozen=True)
class Results:
    """Everything that the page is made of.

    Attributes:
        plan: what ``claims-plan.json`` holds.
        tasks: runs by kind, ``"applications"``, ``"exploding"`` and ``"large"``.
        missing: names of sweeps of which nothing has been run.
        runs: records that are there.
        planned_runs: of the budget.
        failed: records of runs that raised an error.
        seconds: of all runs together, without compiling.
    """

    plan: Mapping[str, Any]
    tasks: Mapping[str, Sequence[TaskRuns]]
    missing: tuple[str, ...]
    runs: int
    planned_runs: int
    failed: tuple[RunRecord, ...]
    seconds: float

    @property
    def budget(self) -> Budget:
        """Of the plan."""
        return BUDGETS[self.plan["budget"]]


def read_claims_plan(directory: Path) -> dict[str, Any]:
    """The plan of a directory of claims; empty if there is none.

    Raises:
        ValueError: it cannot be read, or is of another format or an unknown budget.
    """
    path = directory / PLAN_FILE
    if not path.is_file():
        return {}
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
        is_known = plan.get("format") == FORMAT and plan.get("budget") in BUDGETS
    except (ValueError, AttributeError):
        is_known = False
    if not is_known:
        raise ValueError(f"{path} is not a plan of claims; use another directory.")
    return plan


def read_memory(directory: Path) -> dict[str, Any]:
    """What has been measured of memory so far."""
    path = directory / MEMORY_FILE
    if not path.is_file():
        return {"workloads": {}, "peaks": []}
    return json.loads(path.read_text(encoding="utf-8"))


def read_results(directory: Path) -> Results:
    """Read what a budget has produced so far.

    Raises:
        ValueError: the directory is not one of claims, or nothing has been run.
    """
    plan = read_claims_plan(directory)
    if not plan:
        raise ValueError(f"{directory} holds no {PLAN_FILE}: no claims were run there.")
    budget = BUDGETS[plan["budget"]]
    memory = read_memory(directory)
    tasks: dict[str, list[TaskRuns]] = {"applications": [], "exploding": []}
    missing, every_record = [], []
    for sweep in budget.sweeps:
        try:
            records = read_records(directory / sweep.directory)
        except FileNotFoundError:
            missing.append(sweep.directory)
            continue
        every_record += records
        state = dict(memory["workloads"].get(sweep.directory, {}))
        parameters = state.pop("parameters", None)
        tasks[sweep.kind].append(TaskRuns.collect(records, parameters, state))
    if not every_record:
        raise ValueError(f"{directory} holds no finished runs yet.")
    planned = len(plan["contenders"]) * len(budget.learning_rates) * budget.seeds
    return Results(
        plan=plan,
        tasks={**tasks, "large": _large_model(memory, budget)},
        missing=tuple(missing),
        runs=len(every_record),
        planned_runs=planned * sum(len(sweep.batch_sizes) for sweep in budget.sweeps),
        failed=tuple(r for r in every_record if r.status == "failed"),
        seconds=sum(record.seconds for record in every_record),
    )


def _large_model(memory: Mapping[str, Any], budget: Budget) -> list[TaskRuns]:
    peaks = memory["peaks"]
    if not peaks:
        return []
    return [
        TaskRuns(
            LARGE_MODEL,
            {},
            budget.peak_model.parameters,
            {peak["contender"]: peak["state_bytes"] for peak in peaks},
            {(peak["contender"], peak["round"]): peak["peak_bytes"] for peak in peaks},
        )
    ]

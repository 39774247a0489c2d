"""Reads a directory of claims: its plan, the measured memory, and the sweeps."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Required

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from tuning.claims.budgets import BUDGETS, Budget
from tuning.records import RunRecord
from tuning.runs_file import read_records
from tuning.statistics.task_runs import TaskRuns
from tuning.system.json_files import read_text
from tuning.system.json_values import (
    Count,
    Integer,
    InvalidFileError,
    Text,
    check,
    parse,
    show_value,
)
from tuning.system.paths import check_directory, show_path

PLAN_FILE = "claims-plan.json"
MEMORY_FILE = "memory.json"
LARGE_MODEL = "large model"
FORMAT = 1


@dataclasses.dataclass(frozen=True)
class Results:
    """Everything that the page shows.

    Attributes:
        plan: content of ``claims-plan.json``.
        tasks: runs by kind, ``"applications"``, ``"exploding"`` and ``"large"``.
        missing: names of sweeps without any record.
        runs: number of records.
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
        """The plan's budget."""
        return BUDGETS[self.plan["budget"]]


class ClaimsPlan(TypedDict, total=False):
    """Content of ``claims-plan.json``."""

    format: Required[Integer]
    budget: Required[Text]
    contenders: Required[list[Text]]
    command: Text
    created: Text
    versions: Required[dict[Text, Text]]


class Peak(TypedDict):
    """Memory of one process that trained the large model."""

    contender: Text
    round: Count
    peak_bytes: Count
    state_bytes: Count


class Memory(TypedDict):
    """Content of ``memory.json``: bytes and parameters by workload, and peaks."""

    workloads: dict[Text, dict[Text, Count]]
    peaks: list[Peak]


def read_claims_plan(directory: Path) -> dict[str, Any]:
    """The plan of a directory of claims; empty if there is none.

    Raises:
        InvalidFileError: the plan cannot be read, has another format or names an
            unknown budget; a ``ValueError``.
    """
    path = check_directory(directory, "the directory of claims") / PLAN_FILE
    plain = _read(path, TypeAdapter(ClaimsPlan), "is not a plan of claims")
    if plain is None:
        return {}
    if plain["format"] != FORMAT or plain["budget"] not in BUDGETS:
        raise InvalidFileError(
            f"{show_path(path)} is not a plan of claims: format must be {FORMAT} and "
            f"budget one of {', '.join(BUDGETS)}; received "
            f"{show_value(plain['format'])} and {show_value(plain['budget'])}. Use "
            "another directory."
        )
    return plain


def read_memory(directory: Path) -> dict[str, Any]:
    """The measurements of memory so far.

    Raises:
        InvalidFileError: the file cannot be read; a ``ValueError``.
    """
    path = directory / MEMORY_FILE
    found = _read(path, TypeAdapter(Memory), "is no measurement of memory")
    return {"workloads": {}, "peaks": []} if found is None else found


def _read(path: Path, schema: TypeAdapter[Any], wrong: str) -> dict[str, Any] | None:
    """The content of a file; ``None`` if it does not exist."""
    try:
        text = read_text(path)
    except FileNotFoundError:
        return None
    try:
        return check(schema, parse(text))
    except InvalidFileError as error:
        raise InvalidFileError(
            f"{show_path(path)} {wrong}: {error}. Restore it, or use another directory."
        ) from None


def read_results(directory: Path) -> Results:
    """Read the results of a budget so far.

    Raises:
        ValueError: the directory does not hold claims, or nothing has been run.
    """
    plan = read_claims_plan(directory)
    if not plan:
        raise ValueError(
            f"{show_path(directory)} holds no {PLAN_FILE}: no claims were run there."
        )
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
        raise ValueError(f"{show_path(directory)} holds no finished runs yet.")
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

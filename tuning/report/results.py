"""The results of a sweep, read from its directory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tuning.grid import Grid
from tuning.plan import PLAN_FILE, read_plan_fields
from tuning.records import RunRecord
from tuning.runs_file import read_records
from tuning.statistics.limits import GOOD_TOLERANCE
from tuning.statistics.summary import summarize
from tuning.statistics.values import Summary


class Results(NamedTuple):
    """What a sweep's directory holds.

    Attributes:
        records: of the runs that took place.
        plan: the fields of ``sweep.json``; empty without it.
        grid: the plan's; ``None`` without it.
        summary: of the records.
    """

    records: list[RunRecord]
    plan: Mapping[str, Any]
    grid: Grid | None
    summary: Summary


def read_results(directory: Path, good_tolerance: float = GOOD_TOLERANCE) -> Results:
    """Read a sweep's records and plan, and summarise them.

    Raises:
        FileNotFoundError: the directory holds no records.
        ValueError: no record can be read, or ``sweep.json`` is not a plan.
    """
    records = read_records(directory)
    plan = read_plan_fields(directory / PLAN_FILE)
    grid = Grid.from_dict(plan["grid"]) if plan.get("grid") else None
    strategy = plan.get("strategy") or "grid"
    summary = summarize(
        records, grid=grid, good_tolerance=good_tolerance, strategy=strategy
    )
    return Results(records, plan, grid, summary)

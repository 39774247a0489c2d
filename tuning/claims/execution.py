"""The runs that the claims are judged by: one sweep per workload, in one directory.

Everything can be interrupted and is continued by the same call: sweeps by their
records, the measurement of memory by `MEMORY_FILE`.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tuning.claims.budgets import CONTENDERS, STORAGE_OPTIONS, Budget, PlannedSweep
from tuning.claims.peak_memory import measure_peak, state_of_storages
from tuning.claims.results import (
    FORMAT,
    MEMORY_FILE,
    PLAN_FILE,
    read_claims_plan,
    read_memory,
)
from tuning.files import write_whole
from tuning.optimizers import without_home
from tuning.records import installed_versions
from tuning.sweep import Progress, run_sweep
from tuning.workload import Data, Workload
from tuning.workloads import find_workload

logger = logging.getLogger(__name__)


def choose_contenders() -> tuple[str, ...]:
    """Whom the claims are judged with."""
    lost: list[str] = []
    lost = without_home(CONTENDERS)  # until keras_adam.Adam.robust is there: this line
    if lost:
        logger.warning(
            "%s is left out: the installed keras_adam has no such optimizer.",
            ", ".join(lost),
        )
    return tuple(name for name in CONTENDERS if name not in lost)


def check_claims_directory(
    directory: Path, budget: Budget, contenders: Sequence[str]
) -> None:
    """See that a budget can be begun or continued in a directory.

    Raises:
        ValueError: it is a file, holds something else, or another budget or other
            contenders.
    """
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"{directory} is a file; the claims need a directory.")
    plan = read_claims_plan(directory)
    if not plan:
        others = sorted(entry.name for entry in directory.glob("*"))
        if others:
            raise ValueError(
                f"{directory} is not empty and not a directory of claims (it holds "
                f"{', '.join(others[:3])}{', ...' if others[3:] else ''}); use a new "
                "directory."
            )
        return
    wanted = {"budget": budget.name, "contenders": list(contenders)}
    for name, value in wanted.items():
        if plan.get(name) != value:
            raise ValueError(
                f"{directory} holds claims with {name} {plan.get(name)}, not {value}; "
                "use another directory."
            )


def run_claims(
    directory: Path,
    budget: Budget,
    contenders: Sequence[str],
    *,
    workers: int = 1,
    command: str = "",
    progress: Callable[[Progress], None] | None = None,
    finished: Callable[[Path], object] | None = None,
) -> None:
    """Train what a budget plans, or what of it is missing.

    Args:
        directory: made if it is not there.
        budget: one of `tuning.claims.budgets.BUDGETS`.
        contenders: names of optimizers.
        workers: runs at once.
        command: how it was started, for the page.
        progress: called at the start and after every run, of all sweeps together.
        finished: called with the directory of each sweep that is complete.

    Raises:
        ValueError: the directory holds something else.
        OSError: something could not be written; the same call continues.
    """
    check_claims_directory(directory, budget, contenders)
    directory.mkdir(parents=True, exist_ok=True)
    if not read_claims_plan(directory):
        plan = {
            "format": FORMAT,
            "budget": budget.name,
            "contenders": list(contenders),
            "command": command,
            "created": datetime.datetime.now().astimezone().isoformat("T", "seconds"),
            "versions": installed_versions(),
        }
        write_whole(directory / PLAN_FILE, json.dumps(plan, indent=2) + "\n")
    _measure_memory(directory, budget, contenders)
    per_size = len(contenders) * len(budget.learning_rates) * budget.seeds
    total = per_size * sum(len(sweep.batch_sizes) for sweep in budget.sweeps)
    before = 0
    for sweep in budget.sweeps:
        path = directory / sweep.directory
        run_sweep(
            _workload(sweep),
            path,
            optimizers=contenders,
            learning_rates=budget.learning_rates,
            batch_sizes=sweep.batch_sizes,
            seeds=budget.seeds,
            epochs=sweep.epochs,
            command=command,
            progress=_shifted(progress, before, total),
            workers=workers,
        )
        before += per_size * len(sweep.batch_sizes)
        if finished is not None:
            finished(path)


def _workload(sweep: PlannedSweep) -> Workload | str:
    """By its name, where that says it all: then ``run --resume`` can go on, too."""
    if sweep.examples is None:
        return sweep.workload
    workload = find_workload(sweep.workload)
    load = functools.partial(_first_examples, workload.load_data, sweep.examples)
    return dataclasses.replace(workload, load_data=load)


def _first_examples(load_data: Callable[[], Data], count: int) -> Data:
    x, y, x_val, y_val = load_data()
    return Data(x[:count], y[:count], x_val, y_val)


def _shifted(
    progress: Callable[[Progress], None] | None, before: int, total: int
) -> Callable[[Progress], None] | None:
    """A sweep's progress as that of all of them."""
    if progress is None:
        return None

    def tell(of_sweep: Progress) -> None:
        if of_sweep.record is not None or not before:
            progress(Progress(before + of_sweep.finished, total, of_sweep.record))

    return tell


def _measure_memory(directory: Path, budget: Budget, contenders: Sequence[str]) -> None:
    memory = read_memory(directory)
    measured = {(peak["contender"], peak["round"]) for peak in memory["peaks"]}

    def write() -> None:
        write_whole(directory / MEMORY_FILE, json.dumps(memory, indent=1) + "\n")

    for number in range(budget.peak_model.rounds):
        for contender in (*contenders, *STORAGE_OPTIONS):
            if (contender, number) in measured:
                continue
            told: dict[str, Any] | None = measure_peak(contender, budget.peak_model)
            if told is not None:
                memory["peaks"].append(
                    {"contender": contender, "round": number, **told}
                )
                write()
    for sweep in budget.sweeps:
        if sweep.directory not in memory["workloads"]:
            found = state_of_storages(find_workload(sweep.workload))
            memory["workloads"][sweep.directory] = found
            write()

"""Trains the runs that decide the claims: one sweep per workload, in one directory.

Everything can be interrupted, and the same call continues it: sweeps from their
records, the measurement of memory from `MEMORY_FILE`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tuning.claims.budgets import Budget, PlannedPart, PlannedSweep, estimate
from tuning.claims.contenders import STORAGES
from tuning.claims.peak_memory import BATCH, RATE, measure_peak, state_of_storages
from tuning.claims.results import (
    FORMAT,
    LARGE_MODEL,
    MEMORY_FILE,
    PLAN_FILE,
    read_claims_plan,
    read_memory,
)
from tuning.engines.options import EngineOptions
from tuning.grid import Run
from tuning.records import RunRecord, installed_versions
from tuning.runs_file import read_records
from tuning.sweep.progress import Progress
from tuning.sweep.run import run_sweep
from tuning.system.files import write_whole
from tuning.system.paths import check_directory, check_inside, show_path
from tuning.workload import Data, Workload
from tuning.workloads import find_workload


def check_claims_directory(
    directory: Path, budget: Budget, contenders: Sequence[str]
) -> None:
    """Check that a budget can be started or continued in a directory.

    Raises:
        ValueError: the directory is a file, or holds another budget, other contenders
            or something else; or its earlier results cannot be read.
    """
    directory = check_directory(directory, "--out")
    plan = read_claims_plan(directory)
    if not plan:
        others = sorted(entry.name for entry in directory.glob("*"))
        others = [show_path(name) for name in others if not name.startswith(".")]
        if others:
            held = f"{', '.join(others[:3])}{', ...' if others[3:] else ''}"
            raise ValueError(
                f"{show_path(directory)} is not empty and not a directory of claims "
                f"(it holds {held}); use a new directory."
            )
        return
    # Report damaged files before anything is trained.
    read_memory(directory)
    for sweep in budget.sweeps:
        check_inside(directory, directory / sweep.directory)
        with contextlib.suppress(FileNotFoundError):
            read_records(directory / sweep.directory)
    wanted = {"budget": budget.name, "contenders": list(contenders)}
    for name, value in wanted.items():
        if plan.get(name) != value:
            raise ValueError(
                f"{show_path(directory)} holds claims with {name} {plan.get(name)}, "
                f"not {value}; "
                "use another directory."
            )


def run_claims(
    directory: Path,
    budget: Budget,
    contenders: Sequence[str],
    *,
    engine: EngineOptions | None = None,
    command: str = "",
    progress: Callable[[Progress], None] | None = None,
    finished: Callable[[Path], object] | None = None,
) -> None:
    """Train the runs of a budget that are missing.

    Args:
        directory: made if it does not exist.
        budget: one of `tuning.claims.budgets.BUDGETS`.
        contenders: names of optimizers.
        engine: where runs are trained; in this process by default.
        command: how it was started, for the page.
        progress: called at the start and after every run, of all sweeps together; a
            process that measures memory counts as a run.
        finished: called with the directory of each sweep that is complete.

    Raises:
        ValueError: see :func:`check_claims_directory`.
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
    engine = engine or EngineOptions()
    workers = engine.workers or 1
    parts = _parts(progress, estimate(budget, contenders, workers))
    _measure_memory(directory, budget, contenders, next(parts))
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
            progress=next(parts),
            engine=engine,
        )
        if finished is not None:
            finished(path)


def _workload(sweep: PlannedSweep) -> Workload | str:
    """The workload; only its name if all examples are used.

    ``run --resume`` can continue a sweep of a workload that is given by name.
    """
    if sweep.examples is None:
        return sweep.workload
    workload = find_workload(sweep.workload)
    if not isinstance(workload, Workload):
        raise ValueError(
            f"the first {sweep.examples} examples can be taken of a tuning.Workload "
            f"alone; {sweep.workload!r} is a {type(workload).__name__}."
        )
    load = functools.partial(_first_examples, workload.load_data, sweep.examples)
    return dataclasses.replace(workload, load_data=load)


def _first_examples(load_data: Callable[[], Data], count: int) -> Data:
    x, y, x_val, y_val = load_data()
    return Data(x[:count], y[:count], x_val, y_val)


def _parts(
    progress: Callable[[Progress], None] | None, estimates: Sequence[PlannedPart]
) -> Iterator[Callable[[Progress], None]]:
    """For each part, a listener that reports the progress of all parts together.

    Runs take longer in one part than in another, so the share of finished work is
    computed from the estimates.
    """
    runs = sum(part.runs for part in estimates)
    seconds = sum(part.seconds for part in estimates)
    runs_before, seconds_before = 0, 0.0
    for part in estimates:

        def report(
            now: Progress,
            part: PlannedPart = part,
            runs_before: int = runs_before,
            seconds_before: float = seconds_before,
        ) -> None:
            if progress is not None:
                taken = seconds_before + part.seconds * now.finished / part.runs
                finished, share = runs_before + now.finished, taken / seconds
                progress(Progress(finished, runs, now.record, time_share=share))

        yield report
        runs_before += part.runs
        seconds_before += part.seconds


def _processes(budget: Budget, contenders: Sequence[str]) -> list[tuple[int, str]]:
    """Round and contender of every process that measures memory."""
    names = (*contenders, *STORAGES)
    return list(itertools.product(range(budget.peak_model.rounds), names))


def _measure_memory(
    directory: Path,
    budget: Budget,
    contenders: Sequence[str],
    progress: Callable[[Progress], None],
) -> None:
    memory = read_memory(directory)
    measured = {(peak["round"], peak["contender"]) for peak in memory["peaks"]}
    processes = _processes(budget, contenders)

    def write() -> None:
        write_whole(directory / MEMORY_FILE, json.dumps(memory, indent=1) + "\n")

    def report(record: RunRecord | None) -> None:
        progress(Progress(len(measured), len(processes), record))

    report(None)
    for number, contender in processes:
        if (number, contender) in measured:
            continue
        peak = measure_peak(contender, budget.peak_model)
        if peak is not None:
            memory["peaks"].append({"contender": contender, "round": number, **peak})
            write()
        measured.add((number, contender))
        report(_memory_record(contender, number))
    for sweep in budget.sweeps:
        if sweep.directory not in memory["workloads"]:
            found = state_of_storages(find_workload(sweep.workload))
            memory["workloads"][sweep.directory] = found
            write()


def _memory_record(contender: str, number: int) -> RunRecord:
    """A process that measures memory, as a record for the progress display."""
    return RunRecord(
        run_id=Run(contender, BATCH, RATE, number).run_id,
        workload=LARGE_MODEL,
        optimizer=contender,
        optimizer_config={},
        learning_rate=RATE,
        batch_size=BATCH,
        seed=number,
        epochs=1,
        status="ok",
    )

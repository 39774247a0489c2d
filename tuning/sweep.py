"""All runs of a sweep: planned, trained, recorded, and continued where they ended."""

from __future__ import annotations

import dataclasses
import datetime
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras_tuner

from tuning import plan as plans
from tuning import tensorboard_log
from tuning.grid import Grid, Run
from tuning.optimizers import BUILT_IN, OptimizerFactory, check_names, check_optimizers
from tuning.oracle import SweepTuner
from tuning.plan import Plan
from tuning.records import RunRecord, append_record, read_records
from tuning.trainer import Trainer, versions
from tuning.workload import Data, Workload, load_checked_data
from tuning.workloads import find_workload

logger = logging.getLogger(__name__)

ON_EXISTING = ("continue", "overwrite")


class Progress(NamedTuple):
    """How far a sweep is.

    Attributes:
        finished: runs with a record, earlier ones included.
        total: runs planned.
        record: of the run just finished; ``None`` at the start.
    """

    finished: int
    total: int
    record: RunRecord | None


ProgressListener = Callable[[Progress], None]


@dataclasses.dataclass(frozen=True)
class _Sweep:
    """Everything that decides what a sweep does and where."""

    workload: Workload
    reference: str | None
    grid: Grid
    directory: Path
    own: Mapping[str, OptimizerFactory] | None
    progress: ProgressListener | None
    execution: str
    command: str


def run_sweep(
    workload: Workload | str,
    out: str | Path,
    *,
    optimizers: Sequence[str] | Mapping[str, OptimizerFactory] | None = None,
    learning_rates: Sequence[float] | None = None,
    batch_sizes: Sequence[int] | None = None,
    seeds: int | Sequence[int] = 2,
    epochs: int | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    on_existing: str = "continue",
    progress: ProgressListener | None = None,
    execution: str = "auto",
    command: str = "",
) -> list[RunRecord]:
    """Train a workload with every optimizer at every point of a grid.

    An interrupted sweep is continued by the same call: runs that have a record are
    not repeated. Random number generators of Python, NumPy and Keras are seeded on
    the way.

    Args:
        workload: what is trained; a built-in name, ``package.module:attribute`` or
            a `Workload`.
        out: the sweep's directory; made if it is not there.
        optimizers: names (see `tuning.optimizers.BUILT_IN`), or factories by name;
            all built-in ones by default.
        learning_rates: the workload's own by default.
        batch_sizes: the workload's own by default.
        seeds: how many, counted from 0, or which.
        epochs: the workload's own by default.
        options: further optimizer arguments by optimizer name.
        on_existing: what to do if ``out`` holds this sweep already: ``"continue"``,
            or ``"overwrite"`` to remove it, or another one, and start over.
        progress: called at the start and after every run.
        execution: see `tuning.trainer.Trainer`.
        command: how the sweep was started, for the report.

    Returns:
        One record per planned run, in the grid's order.

    Raises:
        ValueError: something unusable was received, or ``out`` holds another sweep
            or no sweep at all. Nothing has been changed then.
        OSError: a record could not be written; the sweep has stopped.
    """
    if on_existing not in ON_EXISTING:
        raise ValueError(
            f"on_existing must be one of {list(ON_EXISTING)}; received {on_existing!r}."
        )
    reference = workload if isinstance(workload, str) else None
    found = find_workload(workload) if isinstance(workload, str) else workload
    own = optimizers if isinstance(optimizers, Mapping) else None
    grid = Grid(
        optimizers=tuple(BUILT_IN) if optimizers is None else tuple(optimizers),
        learning_rates=_given(learning_rates, found.learning_rates),
        batch_sizes=_given(batch_sizes, found.batch_sizes),
        seeds=tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds),
        epochs=_given(epochs, found.epochs),
        options=options or {},
    )
    sweep = _Sweep(found, reference, grid, Path(out), own, progress, execution, command)
    return _run(sweep, overwrite=on_existing == "overwrite")


def resume_sweep(
    out: str | Path,
    *,
    progress: ProgressListener | None = None,
    execution: str = "auto",
) -> list[RunRecord]:
    """Continue the sweep that is planned in a directory, as it was planned.

    Args:
        out: the sweep's directory.
        progress: called at the start and after every run.
        execution: see `tuning.trainer.Trainer`.

    Returns:
        One record per planned run, in the grid's order.

    Raises:
        ValueError: the directory holds no sweep, or one whose workload or optimizers
            exist only in the Python program that started it.
        OSError: a record could not be written; the sweep has stopped.
    """
    plan = plans.read_plan(Path(out))
    if plan.reference is None:
        raise ValueError(
            f"the sweep in {out} trains a workload of a Python program, "
            f"{plan.workload!r}; start that program again to continue it."
        )
    sweep = _Sweep(
        workload=find_workload(plan.reference),
        reference=plan.reference,
        grid=plan.grid,
        directory=Path(out),
        own=None,
        progress=progress,
        execution=execution,
        command=plan.command,
    )
    return _run(sweep, overwrite=False)


def _run(sweep: _Sweep, *, overwrite: bool) -> list[RunRecord]:
    directory = sweep.directory
    check_names(sweep.grid.optimizers, sweep.own)
    plans.check_directory(directory)
    earlier = None
    if (directory / plans.PLAN_FILE).exists() and not overwrite:
        earlier = plans.read_plan(directory)
        _check_same(earlier, _plan(sweep, earlier.data), directory)
    with plans.claimed(directory):
        finished = _finished(sweep) if earlier else []
        _tell(sweep, finished, None)
        if len(finished) == len(sweep.grid):
            return finished
        check_optimizers(sweep.grid, sweep.own)
        data = load_checked_data(sweep.workload, sweep.grid.batch_sizes)
        plan = _plan(sweep, {"train": len(data.x_train), "validation": len(data.x_val)})
        if earlier:
            _check_same(earlier, plan, directory)
            _warn_of_other_versions(earlier, plan)
        else:
            plans.clear_sweep(directory)
            plans.write_plan(directory, plan)
        _train_missing(sweep, data, finished)
        return _finished(sweep)


def _train_missing(sweep: _Sweep, data: Data, finished: list[RunRecord]) -> None:
    tensorboard = sweep.directory / plans.TENSORBOARD_DIRECTORY
    tensorboard_log.write_experiment(tensorboard, sweep.grid)
    for record in finished:
        if not tensorboard_log.is_written(tensorboard, record):
            tensorboard_log.write_run(tensorboard, record)
    trainer = Trainer(
        sweep.workload,
        data,
        epochs=sweep.grid.epochs,
        options=sweep.grid.options,
        own=sweep.own,
        execution=sweep.execution,
    )
    done = list(finished)

    def do_run(run: Run) -> RunRecord:
        record = trainer.run(run)
        # The record comes last: where it stands, everything else stands too.
        tensorboard_log.write_run(tensorboard, record)
        append_record(sweep.directory, record)
        done.append(record)
        _tell(sweep, done, record)
        return record

    tuner = SweepTuner(
        sweep.grid, finished, sweep.directory, plans.KERAS_TUNER_DIRECTORY, do_run
    )
    try:
        tuner.search()
    except keras_tuner.errors.FatalError as error:
        raise (error.__cause__ or error) from None


def _finished(sweep: _Sweep) -> list[RunRecord]:
    """The records of planned runs, in the grid's order."""
    try:
        records = {record.run_id: record for record in read_records(sweep.directory)}
    except FileNotFoundError:
        return []
    ids = (run.run_id for run in sweep.grid.runs())
    return [records[run_id] for run_id in ids if run_id in records]


def _tell(sweep: _Sweep, done: Sequence[RunRecord], record: RunRecord | None) -> None:
    if sweep.progress is not None:
        sweep.progress(Progress(len(done), len(sweep.grid), record))


def _plan(sweep: _Sweep, data: Mapping[str, int]) -> Plan:
    return Plan(
        workload=sweep.workload.name,
        grid=sweep.grid,
        data=data,
        # Factories exist only in the program that passed them.
        reference=None if sweep.own else sweep.reference,
        description=sweep.workload.description,
        target_val_loss=sweep.workload.target_val_loss,
        versions=versions(),
        command=sweep.command,
        created=datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
    )


def _check_same(earlier: Plan, now: Plan, directory: Path) -> None:
    differences = earlier.differences(now)
    if differences:
        raise ValueError(
            f"{directory} holds another sweep: {'; '.join(differences)}. Use another "
            "directory, or overwrite."
        )


def _warn_of_other_versions(earlier: Plan, now: Plan) -> None:
    changed = [
        f"{name} {earlier.versions.get(name)} -> {version}"
        for name, version in now.versions.items()
        if earlier.versions.get(name) != version
    ]
    if changed:
        logger.warning(
            "This sweep was started with other versions, which its records tell "
            "apart: %s.",
            ", ".join(changed),
        )


def _given(value: Any, otherwise: Any) -> Any:
    chosen = otherwise if value is None else value
    return tuple(chosen) if isinstance(chosen, Iterable) else chosen

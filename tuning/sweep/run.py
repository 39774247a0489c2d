"""All runs of a sweep: planned, trained, recorded, and continued where they ended."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import logging
import numbers
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tuning.engines.choice import EngineChoice
from tuning.engines.engine import Task
from tuning.grid import Grid
from tuning.plan import (
    PLAN_FILE,
    Plan,
    check_same,
    check_strategy,
    check_writable,
    read_plan,
    warn_of_other_versions,
    write_plan,
)
from tuning.records import RunRecord, installed_versions, read_records
from tuning.search.oracle import run_of_record
from tuning.search.strategies import make_oracle
from tuning.sweep import directory as directories
from tuning.sweep import tensorboard_log
from tuning.sweep.directory import claimed, told_when_unwritable
from tuning.sweep.fingerprint import describe_loss, fingerprint_data, fingerprint_model
from tuning.sweep.loop import train_missing
from tuning.system.paths import check_path
from tuning.system.process_end import os_exit_raises
from tuning.training.model_builder import ModelBuilder
from tuning.training.optimizers import (
    SWEPT_BY_DEFAULT,
    OptimizerFactory,
    check_names,
    check_optimizers,
)
from tuning.training.trainer import check_execution
from tuning.workload import Data, Workload, checked_metric_names, load_checked_data
from tuning.workloads import find_workload

logger = logging.getLogger(__name__)

ON_EXISTING = ("continue", "overwrite")


class Progress(NamedTuple):
    """How far a sweep is.

    Attributes:
        finished: runs with a record, earlier ones included; of those, runs that
            failed do not count until they have been tried again.
        total: runs planned.
        record: of the run just finished; ``None`` at the start.
        is_total_a_bound: the strategy may end the sweep earlier.
        time_share: of the time that all runs take, the share that the finished ones
            are expected to have taken; ``None`` if they are taken to be equally long.
    """

    finished: int
    total: int
    record: RunRecord | None
    is_total_a_bound: bool = False
    time_share: float | None = None

    @property
    def done(self) -> float:
        """How far it is, 0 ... 1."""
        if self.time_share is not None:
            return self.time_share
        return self.finished / self.total if self.total else 1.0


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
    strategy: str
    max_runs: int | None
    engine: EngineChoice


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
    schedule: str | None = None,
    on_existing: str = "continue",
    progress: ProgressListener | None = None,
    execution: str = "auto",
    command: str = "",
    strategy: str = "grid",
    max_runs: int | None = None,
    engine: str = "local",
    workers: int | None = None,
    run_timeout: float | None = None,
    ray_address: str | None = None,
    gpus_per_run: float = 0.0,
) -> list[RunRecord]:
    """Train a workload with every optimizer at every point of a grid.

    An interrupted sweep is continued by the same call: runs that have a record are
    not repeated, unless it tells of a failure. Random number generators of Python,
    NumPy and Keras are seeded on the way.

    Args:
        workload: what is trained; a built-in name, ``package.module:attribute`` or
            a `Workload`.
        out: the sweep's directory; made if it is not there.
        optimizers: names, or factories by name; see `tuning.training.optimizers`.
        learning_rates: the workload's own by default.
        batch_sizes: the workload's own by default.
        seeds: how many, counted from 0, or which.
        epochs: the workload's own by default.
        options: further optimizer arguments by optimizer name.
        schedule: course of the learning rate over a run, one of
            `tuning.workload.SCHEDULES`; the workload's own by default.
        on_existing: what to do if ``out`` holds this sweep already: ``"continue"``,
            or ``"overwrite"`` to remove it, or another one, and start over.
        progress: called at the start and after every run.
        execution: see `tuning.training.trainer.Trainer`.
        command: how the sweep was started, for the report.
        strategy: which runs of the grid are done; see `tuning.plan.STRATEGIES`.
        max_runs: how many at most, for a strategy that has no end of its own.
        engine: where runs are trained: ``"local"`` or ``"ray"``.
        workers: how many runs at once; see `tuning.engines.choice.EngineChoice`, as
            for the following.
        run_timeout: seconds that a run may take; one that takes longer is ended and
            counts as failed. Runs are then trained in processes of their own.
        ray_address: of a Ray cluster.
        gpus_per_run: GPUs that Ray sets aside for each run.

    Returns:
        One record per run that was done, in the grid's order.

    Raises:
        ValueError: something unusable was received, or ``out`` holds another sweep
            or no sweep at all. Nothing has been changed then.
        TypeError: ``load_data`` returned something else than four arrays.
        OSError: something could not be written; the sweep has stopped, and the same
            call continues it.
    """
    if on_existing not in ON_EXISTING:
        raise ValueError(
            f"on_existing must be one of {list(ON_EXISTING)}; received {on_existing!r}."
        )
    reference = workload if isinstance(workload, str) else None
    found = find_workload(workload) if isinstance(workload, str) else workload
    if schedule is not None:
        found = dataclasses.replace(found, schedule=schedule)
    own = optimizers if isinstance(optimizers, Mapping) else None
    grid = Grid(
        optimizers=_given(optimizers, SWEPT_BY_DEFAULT),
        learning_rates=_given(learning_rates, found.learning_rates),
        batch_sizes=_given(batch_sizes, found.batch_sizes),
        seeds=_seeds(seeds),
        epochs=_given(epochs, found.epochs),
        options=options or {},
    )
    sweep = _Sweep(
        workload=found,
        reference=reference,
        grid=grid,
        directory=check_path(out, "out"),
        own=own,
        progress=progress,
        execution=execution,
        command=command,
        strategy=strategy,
        max_runs=max_runs,
        engine=EngineChoice(engine, workers, run_timeout, ray_address, gpus_per_run),
    )
    return _run(sweep, overwrite=on_existing == "overwrite")


def resume_sweep(
    out: str | Path,
    *,
    progress: ProgressListener | None = None,
    execution: str = "auto",
    engine: str = "local",
    workers: int | None = None,
    run_timeout: float | None = None,
    ray_address: str | None = None,
    gpus_per_run: float = 0.0,
) -> list[RunRecord]:
    """Continue the sweep that is planned in a directory, as it was planned.

    Args:
        out: the sweep's directory.
        progress: called at the start and after every run.
        execution: see `tuning.training.trainer.Trainer`.
        engine: see :func:`run_sweep`, as for the following.
        workers: how many runs at once.
        run_timeout: seconds that a run may take.
        ray_address: of a Ray cluster.
        gpus_per_run: GPUs that Ray sets aside for each run.

    Returns:
        One record per run that was done, in the grid's order.

    Raises:
        ValueError: the directory holds no sweep, or one whose workload or optimizers
            exist only in the Python program that started it.
        TypeError: ``load_data`` returned something else than four arrays.
        OSError: something could not be written; the sweep has stopped.
    """
    plan = read_plan(check_path(out, "out"))
    if plan.own_optimizers:
        raise ValueError(
            f"the sweep in {out} runs optimizers of a Python program, "
            f"{list(plan.own_optimizers)}; start that program again to continue it."
        )
    if plan.reference is None:
        raise ValueError(
            f"the sweep in {out} trains a workload of a Python program, "
            f"{plan.workload!r}; start that program again to continue it."
        )
    sweep = _Sweep(
        workload=dataclasses.replace(
            find_workload(plan.reference), schedule=plan.schedule
        ),
        reference=plan.reference,
        grid=plan.grid,
        directory=check_path(out, "out"),
        own=None,
        progress=progress,
        execution=execution,
        command=plan.command,
        strategy=plan.strategy,
        max_runs=plan.max_runs,
        engine=EngineChoice(engine, workers, run_timeout, ray_address, gpus_per_run),
    )
    return _run(sweep, overwrite=False)


def _run(sweep: _Sweep, *, overwrite: bool) -> list[RunRecord]:
    directory = sweep.directory
    sweep.engine.leave_gpus_to_workers()
    check_execution(sweep.execution)
    check_strategy(sweep.strategy, sweep.max_runs)
    check_names(sweep.grid.optimizers, sweep.own)
    directories.check_directory(directory, overwrite=overwrite)
    sweep.engine.check_reachable()
    earlier = None
    if os.path.lexists(directory / PLAN_FILE) and not overwrite:
        earlier = read_plan(directory)
        # What is known before data are loaded: that may take minutes.
        known = {"data": earlier.data, "fingerprints": earlier.fingerprints}
        check_same(earlier, _plan(sweep, **known), directory)
        _recorded(sweep)
    with claimed(directory):
        check_optimizers(sweep.grid, sweep.own, sweep.workload.schedule)
        metrics = checked_metric_names(sweep.workload)
        data = load_checked_data(sweep.workload, sweep.grid.batch_sizes)
        builder = ModelBuilder(sweep.workload, data)
        plan = _plan(sweep, **_tell_data(builder, data))
        check_writable(plan)
        if earlier:
            check_same(earlier, plan, directory)
            warn_of_other_versions(earlier, plan)
        with told_when_unwritable(directory):
            if not earlier:
                directories.clear_sweep(directory)
                write_plan(directory, plan)
            _train_missing(sweep, data, metrics, builder)
    return _recorded(sweep)


def _train_missing(
    sweep: _Sweep, data: Data, metrics: Sequence[str], builder: ModelBuilder
) -> None:
    recorded = _recorded(sweep)
    finished = [record for record in recorded if record.status != "failed"]
    done = len(finished)
    _tell(sweep, done, None)
    tensorboard = sweep.directory / directories.TENSORBOARD_DIRECTORY
    tensorboard_log.write_missing(tensorboard, sweep.grid, recorded, metrics)
    oracle = make_oracle(sweep.strategy, sweep.max_runs, sweep.grid, finished)
    del recorded, finished  # of a large sweep, most of what the driver would hold
    if not oracle.has_more():
        return
    task = Task(
        workload=sweep.workload,
        data=data,
        epochs=sweep.grid.epochs,
        options=sweep.grid.options,
        own=sweep.own,
        execution=sweep.execution,
        shared=None if sweep.engine.is_in_process else _shared_values(builder),
    )

    def tell(record: RunRecord) -> None:
        nonlocal done
        done += 1
        _tell(sweep, done, record)

    train_missing(oracle, task, sweep.directory, sweep.engine, tell)


def _recorded(sweep: _Sweep) -> list[RunRecord]:
    """The records of the grid's runs, in its order, those with fewer epochs first."""
    try:
        records = read_records(sweep.directory)
    except FileNotFoundError:
        return []
    places = {run: place for place, run in enumerate(sweep.grid.runs())}
    planned = [record for record in records if run_of_record(record) in places]
    return sorted(
        planned, key=lambda record: (places[run_of_record(record)], record.epochs)
    )


def _tell(sweep: _Sweep, done: int, record: RunRecord | None) -> None:
    if sweep.progress is not None:
        total = min(sweep.max_runs or len(sweep.grid), len(sweep.grid))
        is_bound = sweep.strategy != "grid"
        sweep.progress(Progress(done, total, record, is_bound))


def _tell_data(builder: ModelBuilder, data: Data) -> dict[str, Any]:
    """Size and fingerprints of what is trained, for the plan."""
    of_model = None
    with _left_to_the_runs():
        of_model = fingerprint_model(builder.build_trial())
    return {
        "data": {"train": len(data.x_train), "validation": len(data.x_val)},
        "fingerprints": {"data": fingerprint_data(data), "model": of_model},
    }


def _shared_values(builder: ModelBuilder) -> Sequence[np.ndarray | None] | None:
    with _left_to_the_runs():
        return builder.shared_values()
    return None


@contextlib.contextmanager
def _left_to_the_runs() -> Iterator[None]:
    """Pass over errors of ``build_model``: every run will report them.

    A model that is mended later belongs to the same sweep.
    """
    try:
        with os_exit_raises():
            yield
    except KeyboardInterrupt:
        raise
    except BaseException:  # SystemExit, too
        logger.debug("No model could be built.", exc_info=True)


def _plan(
    sweep: _Sweep,
    data: Mapping[str, int],
    fingerprints: Mapping[str, str | None],
) -> Plan:
    return Plan(
        workload=sweep.workload.name,
        grid=sweep.grid,
        data=data,
        reference=sweep.reference,
        description=sweep.workload.description,
        target_val_loss=sweep.workload.target_val_loss,
        loss=describe_loss(sweep.workload.loss),
        own_optimizers=sorted(set(sweep.own or {}) & set(sweep.grid.optimizers)),
        fingerprints=fingerprints,
        versions=installed_versions(),
        command=sweep.command,
        created=datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        strategy=sweep.strategy,
        max_runs=sweep.max_runs,
        schedule=sweep.workload.schedule,
        examples_per_epoch=sweep.workload.examples_per_epoch,
    )


def _given(value: Any, otherwise: Any) -> Any:
    chosen = otherwise if value is None else value
    is_sequence = isinstance(chosen, Iterable) and not isinstance(chosen, str)
    return tuple(chosen) if is_sequence else chosen  # the grid refuses the rest


def _seeds(seeds: Any) -> tuple[int, ...]:
    if isinstance(seeds, Iterable) and not isinstance(seeds, str):
        return tuple(seeds)
    is_integer = isinstance(seeds, numbers.Integral) and not isinstance(seeds, bool)
    count = int(seeds) if is_integer else 0
    if count < 1:
        raise ValueError(
            f"seeds must be a count of at least 1 or a sequence; received {seeds!r}."
        )
    return tuple(range(count))

"""What users call: start a sweep, or continue one where it ended."""

from __future__ import annotations

import contextlib
import dataclasses
import numbers
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tuning.engines.options import EngineOptions
from tuning.grid import Grid
from tuning.optimizer_names import SWEPT_BY_DEFAULT, OptimizerFactory, check_names
from tuning.options import COUNTED_STRATEGIES, SweepOptions
from tuning.plan import PLAN_FILE, Plan, check_writable, read_plan, write_plan
from tuning.records import RunRecord
from tuning.sweep import directory as directories
from tuning.sweep.display import listening
from tuning.sweep.loop import read_finished, report_start, train_missing
from tuning.sweep.planning import (
    Sweep,
    check_same,
    make_plan,
    warn_of_changes,
)
from tuning.sweep.preparation import prepare
from tuning.sweep.progress import ProgressListener
from tuning.system.paths import check_path
from tuning.trainers.optimizers import check_optimizers
from tuning.workload_kinds import AnyWorkload
from tuning.workloads import find_workload

ON_EXISTING = ("continue", "extend", "overwrite")

SEEDS = 2
"""Default number of seeds."""


def run_sweep(
    workload: AnyWorkload | str,
    out: str | Path,
    *,
    grid: Grid | None = None,
    optimizers: Sequence[str] | Mapping[str, OptimizerFactory] | None = None,
    learning_rates: Sequence[float] | None = None,
    batch_sizes: Sequence[int] | None = None,
    seeds: int | Sequence[int] | None = None,
    epochs: int | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    on_existing: str = "continue",
    progress: ProgressListener | bool | None = None,
    engine: EngineOptions | str = "local",
    schedule: str | None = None,
    execution: str = "auto",
    command: str = "",
    strategy: str = "grid",
    max_runs: int | None = None,
    dry_run: bool = False,
    **engine_options: Any,
) -> list[RunRecord]:
    """Train a workload with every optimizer at every point of a grid.

    The same call continues an interrupted sweep: runs that have a record are not
    repeated, unless they failed. The call seeds the random number generators of Python,
    NumPy and Keras.

    Args:
        workload: what is trained; a built-in name, ``package.module:attribute`` or
            a `Workload`, `FitWorkload` or `LoopWorkload`.
        out: the sweep's directory; made if it is not there.
        grid: the runs, instead of the next six arguments. Only ``optimizers`` may be
            given as well, as factories by name.
        optimizers: names, or factories by name; see `tuning.optimizer_names`.
        learning_rates: the workload's own by default.
        batch_sizes: the workload's own by default.
        seeds: the number of seeds, counted from 0, or the seeds themselves; 2 by
            default.
        epochs: the workload's own by default.
        options: further optimizer arguments by optimizer name.
        on_existing: what to do if ``out`` already holds a sweep: ``"continue"``
            continues this sweep; ``"extend"`` adds the given optimizers, learning
            rates, batch sizes and seeds to it, and trains the runs that are new;
            ``"overwrite"`` removes any sweep and starts over.
        progress: called at the start and after every run; ``True`` shows a bar and the
            time left, ``None`` does so in a terminal or a notebook, ``False`` nowhere.
        engine: where runs are trained: ``"local"``, ``"ray"`` or `EngineOptions`.
        schedule: see `tuning.options.SweepOptions`, also for the next four.
        execution: how runs are executed.
        command: how the sweep was started, for the report.
        strategy: which runs of the grid are trained.
        max_runs: the most runs that are trained.
        dry_run: check everything, report how many runs there are by ``progress``, and
            train nothing; no file is written.
        **engine_options: fields of `tuning.engines.options.EngineOptions`, such as
            ``workers=4`` or ``run_timeout=600``.

    Returns:
        One record per run that was done, in the grid's order.

    Raises:
        ValueError: an argument is unusable, or ``out`` holds another sweep or files
            of no sweep. Nothing has been changed then.
        TypeError: ``load_data`` returned something else than four arrays, or an
            argument is unknown.
        OSError: something could not be written; the sweep has stopped, and the same
            call continues it.
    """
    if on_existing not in ON_EXISTING:
        raise ValueError(
            f"on_existing must be one of {list(ON_EXISTING)}; received {on_existing!r}."
        )
    how = SweepOptions(strategy, max_runs, schedule, execution, command)
    reference = workload if isinstance(workload, str) else None
    found = find_workload(workload) if isinstance(workload, str) else workload
    if schedule is not None:
        found = dataclasses.replace(found, schedule=schedule)
    earlier = None
    if on_existing == "extend":
        earlier = read_plan(check_path(out, "out"))
        _check_extension(earlier, optimizers if isinstance(optimizers, Mapping) else {})
        if schedule is None:
            found = dataclasses.replace(found, schedule=earlier.schedule)
        if grid is not None or epochs not in (None, earlier.grid.epochs):
            raise ValueError(
                "a sweep can be extended by optimizers, learning_rates, batch_sizes, "
                f"seeds and options; its runs have {earlier.grid.epochs} epochs. "
                f"Received {'a grid' if grid is not None else f'epochs={epochs}'}."
            )
        grid = earlier.grid.extended(
            optimizers=_given(optimizers, None),
            learning_rates=_given(learning_rates, None),
            batch_sizes=_given(batch_sizes, None),
            seeds=None if seeds is None else _seeds(seeds),
            options=options,
        )
    elif grid is not None:
        _check_alone(
            learning_rates=learning_rates,
            batch_sizes=batch_sizes,
            seeds=seeds,
            epochs=epochs,
            options=options,
            optimizers=None if isinstance(optimizers, Mapping) else optimizers,
        )
    else:
        grid = Grid(
            optimizers=_given(optimizers, SWEPT_BY_DEFAULT),
            learning_rates=_given(learning_rates, found.learning_rates),
            batch_sizes=_given(batch_sizes, found.batch_sizes),
            seeds=_seeds(SEEDS if seeds is None else seeds),
            epochs=_given(epochs, found.epochs),
            options=options or {},
        )
    sweep = Sweep(
        workload=found,
        reference=reference,
        grid=grid,
        directory=check_path(out, "out"),
        options=how,
        engine=engine_of(engine, engine_options),
        custom=optimizers if isinstance(optimizers, Mapping) else None,
        progress=progress,
    )
    return carry_out(
        sweep,
        overwrite=on_existing == "overwrite",
        extends=bool(earlier),
        dry_run=dry_run,
    )


def resume_sweep(
    out: str | Path,
    *,
    progress: ProgressListener | bool | None = None,
    execution: str = "auto",
    engine: EngineOptions | str = "local",
    dry_run: bool = False,
    **engine_options: Any,
) -> list[RunRecord]:
    """Continue the sweep of a directory with the plan that is stored there.

    Args:
        out: the sweep's directory.
        progress: see :func:`run_sweep`.
        execution: how runs are executed; see `tuning.trainers.task.Task`.
        engine: see :func:`run_sweep`, also for the next.
        dry_run: train nothing.
        **engine_options: see :func:`run_sweep`.

    Returns:
        One record per run that was done, in the grid's order.

    Raises:
        ValueError: the directory holds no sweep, or one whose workload or optimizers
            exist only in the Python program that started it.
        TypeError: ``load_data`` returned something else than four arrays, or an
            argument is unknown.
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
    workload = find_workload(plan.reference)
    sweep = Sweep(
        workload=dataclasses.replace(workload, schedule=plan.schedule),
        reference=plan.reference,
        grid=plan.grid,
        directory=check_path(out, "out"),
        options=SweepOptions(
            plan.strategy, plan.max_runs, plan.schedule, execution, plan.command
        ),
        engine=engine_of(engine, engine_options),
        progress=progress,
    )
    return carry_out(sweep, overwrite=False, dry_run=dry_run)


def carry_out(
    sweep: Sweep, *, overwrite: bool, extends: bool = False, dry_run: bool = False
) -> list[RunRecord]:
    """Start or continue a sweep.

    Args:
        sweep: what is trained, and where.
        overwrite: whether a sweep that is there is removed.
        extends: whether the grid has grown since the sweep was started.
        dry_run: check everything and write nothing.

    Returns:
        One record per run that was done, in the grid's order.

    Raises:
        ValueError: the directory holds another sweep or files of no sweep, or
            something of the sweep cannot be used.
    """
    directory = sweep.directory
    sweep.engine.leave_gpus_to_workers()
    check_names(sweep.grid.optimizers, sweep.custom)
    directories.check_directory(directory, overwrite=overwrite)
    sweep.engine.check_reachable()
    earlier, is_new = None, False
    if os.path.lexists(directory / PLAN_FILE) and not overwrite:
        earlier, is_new = _earlier_plan(sweep, extends=extends)
    with contextlib.nullcontext() if dry_run else directories.claimed(directory):
        check_optimizers(sweep.grid, sweep.custom, sweep.workload.schedule)
        prepared = prepare(sweep.workload, sweep.grid)
        plan = make_plan(sweep, prepared.counts, prepared.fingerprints)
        check_writable(plan)
        if earlier:
            check_same(earlier, plan, directory)
            warn_of_changes(earlier, plan)
        with listening(sweep.progress) as listener:
            sweep = dataclasses.replace(sweep, progress=listener)
            if dry_run:
                return report_start(sweep, read_finished(sweep) if earlier else [])
            with directories.write_errors_explained(directory):
                if not earlier:
                    directories.clear_sweep(directory)
                if not earlier or is_new:
                    directories.clear_experiment(directory)
                    write_plan(directory, plan)
                train_missing(sweep, prepared)
    return read_finished(sweep)


def _earlier_plan(sweep: Sweep, *, extends: bool) -> tuple[Plan, bool]:
    """The plan of the sweep that is there, and whether its grid has grown since.

    Raises:
        ValueError: it is the plan of another sweep, or cannot be read.
    """
    earlier = read_plan(sweep.directory)
    is_new = extends and earlier.grid != sweep.grid
    if is_new:
        # What differs is wanted; everything else must be the same.
        earlier = dataclasses.replace(
            earlier, grid=sweep.grid, own_optimizers=sweep.own_optimizers
        )
    # Checked before data are loaded, which may take minutes.
    known = {"data": earlier.data, "fingerprints": earlier.fingerprints}
    check_same(earlier, make_plan(sweep, **known), sweep.directory)
    read_finished(sweep)
    return earlier, is_new


def _check_extension(earlier: Plan, custom: Mapping[str, Any]) -> None:
    """Check that a sweep can be extended.

    Raises:
        ValueError: its own optimizers are not given, or it counts its runs.
    """
    missing = [name for name in earlier.own_optimizers if name not in custom]
    if missing:
        raise ValueError(
            f"the sweep runs optimizers of a Python program, {missing}; give their "
            "factories again to extend it."
        )
    if earlier.strategy in COUNTED_STRATEGIES:
        raise ValueError(
            f"a sweep with the strategy {earlier.strategy!r} has a fixed number of "
            "runs and cannot be extended; use another directory."
        )


def _check_alone(**others: Any) -> None:
    """Check that a grid is given without the arguments that would make a grid."""
    given = [name for name, value in others.items() if value is not None]
    if given:
        raise ValueError(
            f"grid already holds the runs; received also {', '.join(given)}. Give the "
            "one or the other."
        )


def engine_of(engine: EngineOptions | str, options: Mapping[str, Any]) -> EngineOptions:
    """The options of an engine, from the arguments of a call.

    Raises:
        TypeError: an option is unknown.
        ValueError: an option has a value that no engine could use.
    """
    if isinstance(engine, EngineOptions):
        return dataclasses.replace(engine, **options)
    names = [field.name for field in dataclasses.fields(EngineOptions)]
    unknown = [name for name in options if name not in names]
    if unknown:
        raise TypeError(
            f"a sweep has no argument {unknown[0]!r}; its engine has {names[1:]}."
        )
    return EngineOptions(engine, **options)


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

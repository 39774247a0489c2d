"""``keras-adam-sweep run``: start a sweep, or continue one, and report it."""

from __future__ import annotations

import contextlib
import datetime
import re
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from tuning.cli.interruption import (
    CONTINUES,
    CONTINUES_WITHOUT_OVERWRITE,
    STARTS_AGAIN,
    advise,
    continues_in,
)
from tuning.cli.option_values import read_count, read_integers, read_names, read_rates
from tuning.cli.outcome import show_results, show_time
from tuning.cli.session import drive, user_errors
from tuning.cli.shared_options import (
    DataDirectory,
    EngineName,
    Epochs,
    GpusPerRun,
    RayAddress,
    RunTimeout,
    Schedule,
    Workers,
)
from tuning.cli.terminal import quiet_tensorflow
from tuning.data_sources.public_data import real_data_in
from tuning.engines.options import EngineOptions
from tuning.optimizer_names import ALLOWED, SWEPT_BY_DEFAULT
from tuning.optimizer_options import parse_options
from tuning.options import COUNTED_STRATEGIES, RUN_STRATEGIES
from tuning.plan import read_plan
from tuning.sweep import directory as directories
from tuning.workloads import find_workload


def run(
    workload: Annotated[
        str | None,
        typer.Argument(
            help="A built-in workload, or your own as package.module:attribute. "
            "[default: digits]"
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Directory of the sweep; created if it does not exist. [default: "
            "sweeps/WORKLOAD-DATE]"
        ),
    ] = None,
    optimizers: Annotated[
        str | None,
        typer.Option(
            help=f"Comma-separated names as in Python: {ALLOWED}. "
            f"[default: {','.join(SWEPT_BY_DEFAULT)}]"
        ),
    ] = None,
    learning_rates: Annotated[
        str | None,
        typer.Option(
            help="LOW:HIGH:COUNT, evenly spaced on a log axis, or a comma-separated "
            "list. [default: those of the workload]"
        ),
    ] = None,
    batch_sizes: Annotated[
        str | None,
        typer.Option(help="Comma-separated list. [default: those of the workload]"),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Number of seeds, counted from 0. [default: 2]")
    ] = None,
    epochs: Epochs = None,
    data_dir: DataDirectory = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="An optimizer's option as optimizer.option=value, such as "
            "keras_adam.Adam.beta_2=0.99; several values, as in 0.9,0.99, are swept. "
            "May be repeated.",
        ),
    ] = None,
    schedule: Schedule = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            help=f"Which runs of the grid are trained: {', '.join(RUN_STRATEGIES)}. "
            "[default: grid]"
        ),
    ] = None,
    max_runs: Annotated[
        int | None,
        typer.Option(
            help="Number of runs, for the strategies "
            f"{' and '.join(COUNTED_STRATEGIES)}."
        ),
    ] = None,
    engine: EngineName = "local",
    workers: Workers = None,
    run_timeout: RunTimeout = None,
    ray_address: RayAddress = None,
    gpus_per_run: GpusPerRun = 0.0,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Continue the sweep in --out with its own options."
        ),
    ] = False,
    extend: Annotated[
        bool,
        typer.Option(
            "--extend",
            help="Add the given optimizers, learning rates, batch sizes and seeds to "
            "the sweep in --out.",
        ),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Delete the sweep in --out, and start over."),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Check everything, say how many runs there are and how long they "
            "take, as far as earlier ones show it, and train nothing.",
        ),
    ] = False,
) -> None:
    """Train with every optimizer, learning rate, batch size and seed; write a report.

    If it is interrupted, the same command continues it.
    """
    # A console script does not search the current directory by itself. It is appended,
    # so that the user's files hide no installed package.
    with contextlib.suppress(OSError):  # the directory may have been removed
        sys.path.append(str(Path.cwd()))
    given = {
        "--optimizers": optimizers,
        "--learning-rates": learning_rates,
        "--batch-sizes": batch_sizes,
        "--seeds": seeds,
        "--epochs": epochs,
        "--set": settings or None,
        "--schedule": schedule,
        "--strategy": strategy,
        "--max-runs": max_runs,
        "--extend": extend or None,
        "--overwrite": overwrite or None,
    }
    advise(STARTS_AGAIN if overwrite else CONTINUES)
    with user_errors(), real_data_in(data_dir):
        if out is None:
            out = _default_directory(workload, resume=resume, extend=extend)
            if not overwrite:
                # Tomorrow the same command would have another directory.
                advise(continues_in(str(out)))
        where = EngineOptions(engine, workers, run_timeout, ray_address, gpus_per_run)
        where.leave_gpus_to_workers()  # before TensorFlow starts
        where.check_reachable()
        if resume:
            _check_alone("--resume", given)
            _check_same_workload(out, workload)
            begun = drive(
                lambda sweep, show: sweep.resume_sweep(
                    out, progress=show, engine=where, dry_run=dry_run
                )
            )
        else:
            set_options = parse_options(settings or [])
            names = read_names(optimizers)
            if set_options.swept:
                swept = list(set_options.swept) if extend else SWEPT_BY_DEFAULT
                names = set_options.expand(names or swept)
            arguments: dict[str, Any] = {
                "optimizers": names,
                "learning_rates": read_rates(learning_rates),
                "batch_sizes": read_integers(batch_sizes, "--batch-sizes"),
                "seeds": None if seeds is None else read_count(seeds, "--seeds", 1),
                "epochs": None if epochs is None else read_count(epochs, "--epochs", 1),
                "options": set_options.fixed,
                "on_existing": _on_existing(extend=extend, overwrite=overwrite),
                "command": shlex.join(["keras-adam-sweep", *sys.argv[1:]]),
                "schedule": schedule,
                "strategy": strategy or "grid",
                "max_runs": max_runs,
                "engine": where,
                "dry_run": dry_run,
            }
            name = workload or (_planned_workload(out) if extend else "digits")
            directories.check_directory(out, overwrite=overwrite)
            check_workload(name)

            def start(sweep: Any, show: Any) -> None:
                def show_and_advise(progress: Any) -> None:
                    if overwrite:  # the old sweep is gone, the new one has begun
                        advise(CONTINUES_WITHOUT_OVERWRITE)
                    show(progress)

                sweep.run_sweep(name, out, progress=show_and_advise, **arguments)

            begun = drive(start)
        if dry_run:
            show_time(out, begun, overwrite=overwrite)
        else:
            show_results(out, overwrite=overwrite)


def _default_directory(workload: str | None, *, resume: bool, extend: bool) -> Path:
    """The directory of a sweep that is started without ``--out``.

    Raises:
        ValueError: a sweep that exists is meant.
    """
    if resume or extend:
        option = "--resume" if resume else "--extend"
        raise ValueError(f"{option} needs --out: the directory of the sweep.")
    name = re.sub(r"[^\w.=+-]+", "-", workload or "digits")
    out = Path("sweeps") / f"{name}-{datetime.date.today().isoformat()}"
    typer.echo(f"directory:    {out}", err=True)
    return out


def _check_same_workload(out: Path, workload: str | None) -> None:
    """Check that a workload which is named with ``--resume`` is the sweep's.

    Raises:
        ValueError: it is another one.
    """
    planned = read_plan(out)
    if workload not in (None, planned.reference, planned.workload):
        raise ValueError(
            f"the sweep in {out} trains {planned.reference or planned.workload!r}; "
            f"received {workload!r}."
        )


def _planned_workload(out: Path) -> str:
    """The workload of the sweep that is extended.

    Raises:
        ValueError: it exists only in the Python program that started the sweep.
    """
    reference = read_plan(out).reference
    if reference is None:
        raise ValueError(
            f"the sweep in {out} trains a workload of a Python program: extend it "
            "there, with on_existing='extend'."
        )
    return reference


def _on_existing(*, extend: bool, overwrite: bool) -> str:
    if extend and overwrite:
        raise ValueError("--extend keeps the sweep in --out, --overwrite deletes it.")
    return "extend" if extend else "overwrite" if overwrite else "continue"


def check_workload(name: str) -> None:
    """Check that a workload exists before anything starts.

    Raises:
        ValueError: it does not.
    """
    if ":" in name:
        # The user's module may import Keras; TensorFlow greets when it is imported.
        with quiet_tensorflow():
            import tensorflow  # noqa: F401
    find_workload(name)


def _check_alone(option: str, given: dict[str, Any]) -> None:
    others = [name for name, value in given.items() if value is not None]
    if others:
        raise ValueError(
            f"{option} takes everything from the sweep's plan; received also "
            f"{', '.join(others)}."
        )

"""``keras-adam-sweep``: sweeps, reports and TensorBoard from the command line.

Errors of the user end with exit code 2 and one line on standard error. Nothing here
imports TensorFlow before it is needed, so help and reports come at once.
"""

from __future__ import annotations

import contextlib
import logging
import shlex
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.logging import RichHandler

from tuning import sweep_directory as directories
from tuning import tensorboard_log
from tuning.claims.budgets import BUDGETS, default_workers, estimate
from tuning.claims.page import write_claims
from tuning.claims.results import read_results
from tuning.claims.tables import overview_table
from tuning.claims.verdicts import judge_all
from tuning.data_sources.public_data import (
    DIRECTORY_VARIABLE,
    embedded_data,
    real_data_in,
)
from tuning.engines.choice import ENGINES, EngineChoice
from tuning.engines.engine import WorkerStartError
from tuning.number_text import format_seconds
from tuning.optimizers import BUILT_IN, SWEPT_BY_DEFAULT, parse_options
from tuning.option_values import read_count, read_integers, read_names, read_rates
from tuning.plan import STRATEGIES, read_plan
from tuning.records import read_records
from tuning.report import tensorboard_pages, write_comparison, write_report
from tuning.robustness import Summary, summarize
from tuning.terminal import (
    ProgressDisplay,
    claims_plan_table,
    quiet_tensorflow,
    summary_table,
    text_table,
)
from tuning.workloads import BUILT_IN as WORKLOADS
from tuning.workloads import find_workload

NOTHING_TO_JUDGE = 1
USER_ERROR = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells have it

app = typer.Typer(
    name="keras-adam-sweep",
    help="Show how robust an optimizer is: sweep, report, look.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # errors stay one plain line
)


@app.command()
def run(
    workload: Annotated[
        str | None,
        typer.Argument(help="A built-in workload or package.module:attribute [digits]"),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Directory of the sweep; made if it is not there.")
    ] = ...,  # pyright: ignore[reportArgumentType]
    optimizers: Annotated[
        str | None,
        typer.Option(
            help=f"Comma-separated names of {', '.join(BUILT_IN)}, or "
            f"package.module:attribute. [{','.join(SWEPT_BY_DEFAULT)}]"
        ),
    ] = None,
    learning_rates: Annotated[
        str | None,
        typer.Option(help="LOW:HIGH:COUNT on a log axis, or a comma-separated list."),
    ] = None,
    batch_sizes: Annotated[
        str | None, typer.Option(help="Comma-separated list.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="How many seeds, from 0 up. [2]")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the training data per run.")
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            envvar=DIRECTORY_VARIABLE,
            help="Train on real data from there; what is missing is downloaded. "
            "[embedded data]",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="optimizer.option=value; may be repeated."),
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option(help=f"Which runs of the grid: {', '.join(STRATEGIES)}. [grid]"),
    ] = None,
    max_runs: Annotated[
        int | None,
        typer.Option(help="How many runs, for a strategy without an end of its own."),
    ] = None,
    engine: Annotated[
        str, typer.Option(help=f"Where runs are trained: {', '.join(ENGINES)}.")
    ] = "local",
    workers: Annotated[
        int | None,
        typer.Option(help="Runs at once. [local: 1; ray: what the cluster holds]"),
    ] = None,
    run_timeout: Annotated[
        float | None,
        typer.Option(help="Seconds after which a run is ended and counts as failed."),
    ] = None,
    ray_address: Annotated[
        str | None,
        typer.Option(help="Of a Ray cluster. [starts Ray on this machine]"),
    ] = None,
    gpus_per_run: Annotated[
        float, typer.Option(help="GPUs that Ray sets aside per run; may be a fraction.")
    ] = 0.0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue as DIR was planned.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Remove the sweep that DIR holds.")
    ] = False,
) -> None:
    """Train every optimizer at every rate, batch size and seed; write a report.

    Interrupted, the same command continues.
    """
    # A console script does not look there by itself. At the end of the path, so that
    # the user's files hide no installed package.
    sys.path.append(str(Path.cwd()))
    given = {
        "WORKLOAD": workload,
        "--optimizers": optimizers,
        "--learning-rates": learning_rates,
        "--batch-sizes": batch_sizes,
        "--seeds": seeds,
        "--epochs": epochs,
        "--set": settings or None,
        "--strategy": strategy,
        "--max-runs": max_runs,
        "--overwrite": overwrite or None,
    }
    where: dict[str, Any] = {
        "engine": engine,
        "workers": workers,
        "run_timeout": run_timeout,
        "ray_address": ray_address,
        "gpus_per_run": gpus_per_run,
    }
    with _user_errors(), real_data_in(data_dir):
        choice = EngineChoice(engine, workers, run_timeout, ray_address, gpus_per_run)
        choice.leave_gpus_to_workers()  # before TensorFlow starts
        if resume:
            _check_alone("--resume", given)
            _sweep(lambda sweep, show: sweep.resume_sweep(out, progress=show, **where))
        else:
            arguments: dict[str, Any] = {
                "optimizers": read_names(optimizers),
                "learning_rates": read_rates(learning_rates),
                "batch_sizes": read_integers(batch_sizes, "--batch-sizes"),
                "seeds": read_count(seeds, "--seeds", 2),
                "epochs": None if epochs is None else read_count(epochs, "--epochs", 1),
                "options": parse_options(settings or []),
                "on_existing": "overwrite" if overwrite else "continue",
                "command": shlex.join(["keras-adam-sweep", *sys.argv[1:]]),
                "strategy": strategy or "grid",
                "max_runs": max_runs,
                **where,
            }
            name = workload or "digits"
            directories.check_directory(out, overwrite=overwrite)
            _check_workload(name)
            _sweep(
                lambda sweep, show: sweep.run_sweep(
                    name, out, progress=show, **arguments
                )
            )
        _finish(out)


@app.command()
def report(
    directories: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Directories of sweeps.")
    ],
) -> None:
    """Write report.html, report.md, summary.json and runs.csv from the records.

    Two sweeps are also compared, run by run: comparison.html and comparison.md in the
    second directory.
    """
    with _user_errors():
        for directory in directories:
            typer.echo(write_report(directory))
        if len(directories) == 2:
            _compare(*directories)


@app.command()
def claims(
    out: Annotated[
        Path, typer.Option(help="Directory of the claims; made if it is not there.")
    ],
    budget: Annotated[
        str,
        typer.Option(
            help="; ".join(
                f"{b.name}: at most {format_seconds(b.limit_seconds)} on two cores"
                for b in BUDGETS.values()
            )
            + "."
        ),
    ] = "small",
    workers: Annotated[
        int | None, typer.Option(help="Runs at once. [2; 1 on a single core]")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan, and train nothing.")
    ] = False,
) -> None:
    """Put four claims that are made of Adam to the test, on embedded data.

    Ours, Keras's Adam and four others train the built-in workloads; a page states each
    claim, its measures, and whether it is supported. Interrupted, the same command
    continues.
    """
    with _user_errors(), embedded_data():
        if budget not in BUDGETS:
            raise ValueError(
                f"--budget must be one of {', '.join(BUDGETS)}; received {budget!r}."
            )
        chosen = BUDGETS[budget]
        count = default_workers() if workers is None else workers
        choice = EngineChoice("local", count)
        choice.leave_gpus_to_workers()
        console = Console(stderr=True)
        _log_to(console)
        with quiet_tensorflow():
            import tensorflow  # noqa: F401 - greets when it is imported

            from tuning.claims import execution
        contenders = execution.choose_contenders()
        execution.check_claims_directory(out, chosen, contenders)
        parts = estimate(chosen, contenders, count)
        Console().print(claims_plan_table(chosen, parts, count))
        if dry_run:
            return
        command = shlex.join(["keras-adam-sweep", *sys.argv[1:]])

        def start(_: Any, show: Any) -> None:
            execution.run_claims(
                out,
                chosen,
                contenders,
                workers=count,
                command=command,
                progress=show,
                finished=_write_reports,
            )

        _sweep(start, names_workloads=True)
        page = write_claims(out)
        content = overview_table(judge_all(read_results(out).tasks))
        Console().print(text_table(content, "What is claimed of Adam"))
        typer.echo(f"page:  {page}")


@app.command()
def tensorboard(
    directory: Annotated[Path, typer.Argument(metavar="DIR")],
    port: Annotated[
        int | None,
        typer.Option(help="0 ... 65535 [6006, or the next one that is free]"),
    ] = None,
) -> None:
    """Show a sweep in TensorBoard on this machine until Ctrl-C."""
    with _user_errors():
        if port is not None and not 0 <= port <= 65535:
            raise ValueError(f"--port must be from 0 to 65535; received {port}.")
        logs = directory / directories.TENSORBOARD_DIRECTORY
        if not logs.is_dir():
            raise ValueError(f"{directory} holds no TensorBoard logs of a sweep.")
        url = _launch_tensorboard(logs, port)
    typer.echo(f"TensorBoard shows {logs} at {url} (Ctrl-C ends it)")
    _wait_for_ctrl_c()


@app.command()
def workloads() -> None:
    """List the built-in workloads."""
    for name in WORKLOADS:
        typer.echo(f"{name}  {find_workload(name).description}")


def _log_to(console: Console) -> None:
    logging.basicConfig(
        level=logging.WARNING,
        format="%(message)s",
        handlers=[RichHandler(console=console, show_path=False, show_time=False)],
    )


def _sweep(start: Callable[[Any, Any], Any], *, names_workloads: bool = False) -> None:
    """Start or continue a sweep, with progress on standard error."""
    console = Console(stderr=True)
    _log_to(console)
    with quiet_tensorflow():
        import tensorflow as tf

        tf.config.list_logical_devices()
        from tuning import sweep
    try:
        with ProgressDisplay(console, names_workloads=names_workloads) as display:
            start(sweep, display.show)
    except KeyboardInterrupt:
        typer.echo("Interrupted; the same command continues the sweep.", err=True)
        raise typer.Exit(INTERRUPTED) from None


def _check_workload(name: str) -> None:
    """See that the workload is there before anything starts."""
    if ":" in name:
        # The user's module may import Keras; TensorFlow greets when it is imported.
        with quiet_tensorflow():
            import tensorflow  # noqa: F401
    find_workload(name)


def _finish(directory: Path) -> None:
    """Report the finished sweep: a table, failures, where to read and look on."""
    records = read_records(directory)
    failed = [record for record in records if record.status == "failed"]
    if failed:
        log = directory / directories.FAILURES_FILE
        typer.echo(
            f"{len(failed)} of {len(records)} runs failed; the first, "
            f"{failed[0].run_id}, with {failed[0].message} (tracebacks: {log}; the "
            "same command tries them again)",
            err=True,
        )
    if len(failed) == len(records):
        raise typer.Exit(NOTHING_TO_JUDGE)
    summary = _write_reports(directory)
    Console().print(summary_table(summary))
    typer.echo(f"report:       {directory / 'report.html'}")
    command = shlex.join(["keras-adam-sweep", "tensorboard", str(directory)])
    typer.echo(f"TensorBoard:  {command}")


def _write_reports(directory: Path) -> Summary:
    """Write a sweep's report, and its pages in TensorBoard; what they are made of."""
    plan = read_plan(directory)
    records = read_records(directory)
    summary = summarize(records, grid=plan.grid, strategy=plan.strategy)
    write_report(directory)
    tensorboard_log.write_report_run(
        directory / directories.TENSORBOARD_DIRECTORY,
        tensorboard_pages.verdict_page(summary),
        tensorboard_pages.heat_map_images(summary),
        tensorboard_pages.losses_by_rate(summary),
    )
    return summary


def _compare(first: Path, second: Path) -> None:
    try:
        typer.echo(write_comparison(first, second))
    except ValueError as error:
        typer.echo(f"Not compared: {error}", err=True)


def _launch_tensorboard(logs: Path, port: int | None) -> str:
    with quiet_tensorflow():
        from tensorboard import program

        board = program.TensorBoard()
        chosen = [] if port is None else ["--port", str(port)]
        board.configure(
            argv=[None, "--logdir", str(logs), "--host", "127.0.0.1", *chosen]
        )
        try:
            return board.launch()
        except program.TensorBoardServerException as error:
            raise ValueError(str(error)) from None


def _wait_for_ctrl_c() -> None:
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()


@contextlib.contextmanager
def _user_errors() -> Iterator[None]:
    """Turn errors that the user can mend into one line and exit code 2."""
    try:
        yield
    except (ValueError, TypeError, OSError, WorkerStartError) as error:
        text = " ".join(str(error).split())
        typer.echo(f"keras-adam-sweep: {text}", err=True)
        logging.getLogger(__name__).debug("Details:", exc_info=True)
        raise typer.Exit(USER_ERROR) from None


def _check_alone(option: str, given: dict[str, Any]) -> None:
    others = [name for name, value in given.items() if value is not None]
    if others:
        raise ValueError(
            f"{option} takes everything from the sweep's plan; received also "
            f"{', '.join(others)}."
        )

"""What commands share: errors in one line, messages, progress, reports of a sweep.

Errors of the user end with exit code 2 and one line on standard error, an interruption
with 130.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.logging import RichHandler

from tuning import sweep_directory as directories
from tuning import tensorboard_log
from tuning.engines.engine import WorkerStartError
from tuning.interruption import exit_status, take_advice, unwinding
from tuning.plan import read_plan
from tuning.records import read_records
from tuning.report import tensorboard_pages, write_report
from tuning.robustness import Summary, summarize
from tuning.terminal import ProgressDisplay, quiet_tensorflow
from tuning.workload import told_in_one_line

USER_ERROR = 2

INTERRUPTED = 130  # 128 + SIGINT, as shells have it


@contextlib.contextmanager
def user_errors() -> Iterator[None]:
    """Turn errors that the user can mend into one line and exit code 2."""
    try:
        yield
    except SystemExit as end:
        # Code of the user's that none of the lab's own checks surrounds.
        typer.echo(
            f"keras-adam-sweep: ended early by {told_in_one_line(end)}", err=True
        )
        raise typer.Exit(USER_ERROR) from None
    except (ValueError, TypeError, OSError, WorkerStartError) as error:
        text = " ".join(str(error).split())
        typer.echo(f"keras-adam-sweep: {text}", err=True)
        logging.getLogger(__name__).debug("Details:", exc_info=True)
        raise typer.Exit(USER_ERROR) from None


def log_to(console: Console) -> None:
    """Show warnings of the lab and of its libraries, one line each."""
    logging.basicConfig(
        level=logging.WARNING,
        format="%(message)s",
        handlers=[RichHandler(console=console, show_path=False, show_time=False)],
    )


def drive(start: Callable[[Any, Any], Any], *, names_workloads: bool = False) -> None:
    """Start or continue sweeps, with progress on standard error.

    Args:
        start: called with the module `tuning.sweep` and a listener for its progress.
        names_workloads: see `tuning.terminal.ProgressDisplay`.
    """
    console = Console(stderr=True)
    log_to(console)
    with quiet_tensorflow():
        import tensorflow as tf

        tf.config.list_logical_devices()
        from tuning import sweep
    try:
        with (
            unwinding(),
            ProgressDisplay(console, names_workloads=names_workloads) as display,
        ):
            start(sweep, display.show)
    except KeyboardInterrupt:
        typer.echo(take_advice(), err=True)
        raise typer.Exit(exit_status()) from None


def write_reports(directory: Path) -> Summary:
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

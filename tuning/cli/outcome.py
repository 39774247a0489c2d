"""What ``keras-adam-sweep run`` shows in the end: the results, or what a run takes."""

from __future__ import annotations

import shlex
import statistics
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from tuning.cli.terminal import summary_table
from tuning.report.number_text import count_of, format_seconds
from tuning.runs_file import read_records
from tuning.sweep import directory as directories
from tuning.system.paths import in_one_line

if TYPE_CHECKING:
    from tuning.sweep.progress import Progress

NOTHING_TO_JUDGE = 1


def show_results(directory: Path, *, overwrite: bool) -> None:
    """Show a finished sweep: a table, failures, where the report is.

    Raises:
        Exit: every run has failed.
    """
    # Imported here: Matplotlib takes a second, and help and errors need not wait.
    from tuning.cli.reports import read_summary, write_reports

    records = read_records(directory)
    failed = [record for record in records if record.status == "failed"]
    if failed:
        log = directory / directories.FAILURES_FILE
        without = " without --overwrite" if overwrite else ""
        typer.echo(
            f"{len(failed)} of {len(records)} runs failed; the first, "
            f"{failed[0].run_id}, with {in_one_line(failed[0].message)} (tracebacks: "
            f"{log}; the same command{without} tries them again)",
            err=True,
        )
    if len(failed) == len(records):
        raise typer.Exit(NOTHING_TO_JUDGE)
    Console().print(summary_table(read_summary(directory)))
    write_reports(directory)
    typer.echo(f"report:       {directory / 'report.html'}")
    command = shlex.join(["keras-adam-sweep", "tensorboard", str(directory)])
    typer.echo(f"TensorBoard:  {command}")


def show_time(directory: Path, progress: Progress | None, *, overwrite: bool) -> None:
    """Say how many runs a sweep has, and how long those that are missing may take.

    Args:
        directory: of the sweep; need not exist.
        progress: at the start; ``None`` shows nothing.
        overwrite: whether the sweep there is to be deleted.
    """
    if progress is None:
        return
    left = progress.total - progress.finished
    most = "at most " if progress.is_total_a_bound else ""
    typer.echo(
        f"{most}{count_of(progress.total, 'run')}, {left} of them to be trained."
    )
    try:
        records = [] if overwrite else read_records(directory)
    except FileNotFoundError:
        records = []
    seconds = [record.seconds for record in records if record.status != "failed"]
    if not seconds:
        typer.echo("Nothing has been trained yet, so the time is not known.")
        return
    mean = statistics.fmean(seconds)
    typer.echo(
        f"A run has taken {format_seconds(mean)} on average, without compiling: that "
        f"makes {most}{format_seconds(left * mean)}."
    )

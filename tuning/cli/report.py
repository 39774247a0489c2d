"""``keras-adam-sweep report``: write the reports of sweeps that have been trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tuning.cli.session import user_errors


def report(
    directories: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Directories of sweeps.")
    ],
) -> None:
    """Write report.html, report.md, summary.json and runs.csv from a sweep's records.

    With two directories, their sweeps are also compared run by run: comparison.html,
    comparison.md and comparison.json are written into the second one.
    """
    from tuning.report.report_files import write_report  # drawing: slow to import

    with user_errors():
        for directory in directories:
            typer.echo(write_report(directory))
        if len(directories) == 2:
            _compare(*directories)


def _compare(first: Path, second: Path) -> None:
    from tuning.report.comparison import write_comparison

    try:
        typer.echo(write_comparison(first, second))
    except ValueError as error:
        typer.echo(f"Not compared: {error}", err=True)

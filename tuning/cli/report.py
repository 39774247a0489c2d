"""``keras-adam-sweep report``: write the reports of sweeps that have been trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tuning.cli.session import user_errors
from tuning.report import write_comparison, write_report


def report(
    directories: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Directories of sweeps.")
    ],
) -> None:
    """Write report.html, report.md, summary.json and runs.csv from a sweep's records.

    With two directories, their sweeps are also compared run by run: comparison.html,
    comparison.md and comparison.json are written into the second one.
    """
    with user_errors():
        for directory in directories:
            typer.echo(write_report(directory))
        if len(directories) == 2:
            _compare(*directories)


def _compare(first: Path, second: Path) -> None:
    try:
        typer.echo(write_comparison(first, second))
    except ValueError as error:
        typer.echo(f"Not compared: {error}", err=True)

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
    opens: Annotated[
        bool, typer.Option("--open", help="Open the last page in the browser.")
    ] = False,
) -> None:
    """Write report.html, report.md, summary.json and runs.csv from a sweep's records.

    With two directories, their sweeps are also compared run by run: comparison.html,
    comparison.md and comparison.json are written into the second one.
    """
    from tuning.report.report_files import write_report  # drawing: slow to import

    with user_errors():
        page = None
        for directory in directories:
            page = write_report(directory)
            typer.echo(page)
        if len(directories) == 2:
            page = _compare(*directories) or page
        if opens and page is not None:
            typer.launch(page.absolute().as_uri())


def _compare(first: Path, second: Path) -> Path | None:
    from tuning.report.comparison import write_comparison

    try:
        page = write_comparison(first, second)
    except ValueError as error:
        typer.echo(f"Not compared: {error}", err=True)
        return None
    typer.echo(page)
    return page

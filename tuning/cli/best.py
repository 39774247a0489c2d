"""``keras-adam-sweep best``: what a sweep recommends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from tuning.cli.session import user_errors


def best(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Directory of a sweep.")
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON in place of text.")
    ] = False,
) -> None:
    """Print the optimizer, learning rate and batch size that a sweep recommends.

    The middle of a stable range, not the luckiest single run; and the line to paste.
    """
    from tuning.report.recommendation import recommend  # slow to import

    with user_errors():
        advice = recommend(directory)
        typer.echo(json.dumps(advice.to_dict(), indent=1) if as_json else str(advice))

"""The commands of ``keras-adam-sweep``, one file each.

No command imports TensorFlow before it needs it, so help and reports come at once.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from typing import Annotated

import typer

from tuning.cli.best import best
from tuning.cli.check import check
from tuning.cli.claims import claims
from tuning.cli.report import report
from tuning.cli.run import run
from tuning.cli.tensorboard import tensorboard
from tuning.cli.workloads import workloads

app = typer.Typer(
    name="keras-adam-sweep",
    help="Measure how an optimizer depends on learning rate and batch size.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # errors stay one plain line
)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"keras-adam {importlib.metadata.version('keras-adam')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_show_version,
            is_eager=True,
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    """Options of every command."""


for command in (run, check, report, best, claims, tensorboard, workloads):
    app.command()(command)


def shows_only(arguments: Sequence[str]) -> bool:
    """Whether a command line only asks for output in the terminal."""
    return arguments[:1] == ["workloads"] or bool(
        {"--help", "--dry-run", "--version"}.intersection(arguments)
    )

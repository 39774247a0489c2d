"""``keras-adam-sweep tensorboard``: show a sweep in TensorBoard."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Annotated

import typer

from tuning.cli.interruption import exit_status, unwinding
from tuning.cli.session import INTERRUPTED, user_errors
from tuning.cli.terminal import quiet_tensorflow
from tuning.sweep import directory as directories
from tuning.system.paths import check_directory, show_path


def tensorboard(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Directory of a sweep.")
    ],
    port: Annotated[
        int | None,
        typer.Option(help="0 to 65535. [default: 6006, or the next free one]"),
    ] = None,
) -> None:
    """Show a sweep in TensorBoard on this machine; Ctrl-C ends it."""
    with user_errors():
        if port is not None and not 0 <= port <= 65535:
            raise ValueError(f"--port must be from 0 to 65535; received {port}.")
        directory = check_directory(directory, "DIR")
        logs = directory / directories.TENSORBOARD_DIRECTORY
        if not logs.is_dir():
            raise ValueError(
                f"{show_path(directory)} holds no TensorBoard logs of a sweep; name "
                "the directory that --out named."
            )
        url = _launch_tensorboard(logs, port)
    typer.echo(f"TensorBoard shows {logs} at {url} (Ctrl-C ends it)")
    _wait_for_ctrl_c()


def _launch_tensorboard(logs: Path, port: int | None) -> str:
    with quiet_tensorflow():
        from tensorboard import program

        board = program.TensorBoard()
        chosen = [] if port is None else ["--port", str(port)]
        board.configure(
            argv=[None, "--logdir", str(logs), "--host", "127.0.0.1", *chosen]
        )
        try:
            # Curves as they were measured, and with the page that shows them first.
            return f"{board.launch()}?smoothing=0#timeseries"
        except program.TensorBoardServerException as error:
            raise ValueError(str(error)) from None


def _wait_for_ctrl_c() -> None:
    try:
        with unwinding():
            threading.Event().wait()
    except KeyboardInterrupt:
        if exit_status() != INTERRUPTED:  # not Ctrl-C, the way to end it
            raise typer.Exit(exit_status()) from None

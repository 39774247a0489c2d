"""What commands share: errors in one line, messages, progress.

Errors of the user end with exit code 2 and one line on standard error. Ctrl-C ends with
130, SIGTERM with 143.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.logging import RichHandler

from tuning.cli.interruption import exit_status, take_advice, unwinding
from tuning.cli.terminal import quiet_tensorflow
from tuning.engines.engine import WorkerStartError
from tuning.errors import format_error
from tuning.sweep.display import ProgressDisplay
from tuning.system.paths import explain_with_place, in_one_line

if TYPE_CHECKING:
    from tuning.sweep.progress import Progress

USER_ERROR = 2

LONGEST_ERROR = 1000
"""Most characters of an error that are shown; an error may quote a long option."""

INTERRUPTED = 130  # 128 + SIGINT, by the convention of shells


@contextlib.contextmanager
def user_errors() -> Iterator[None]:
    """Turn errors that the user can fix into one line and exit code 2."""
    try:
        yield
    except SystemExit as end:
        # The user's code called sys.exit outside of the lab's own checks.
        typer.echo(f"keras-adam-sweep: ended early by {format_error(end)}", err=True)
        raise typer.Exit(USER_ERROR) from None
    except (ValueError, TypeError, OSError, WorkerStartError) as error:
        text = str(error)
        if isinstance(error, OSError) and error.errno is not None:
            text = f"something cannot be read or written: {explain_with_place(error)}"
        text = in_one_line(text)
        if len(text) > LONGEST_ERROR:
            # Most errors begin with the cause and end with what to do.
            text = f"{text[:600]} ... {text[-300:]}"
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


def drive(
    start: Callable[[Any, Any], Any], *, names_workloads: bool = False
) -> Progress | None:
    """Start or continue sweeps, with progress on standard error.

    Args:
        start: called with the module `tuning.sweep.run` and a progress listener.
        names_workloads: see `tuning.sweep.display.ProgressDisplay`.

    Returns:
        How far the first sweep was at its start; ``None`` if it did not start.
    """
    console = Console(stderr=True)
    first: list[Progress] = []
    log_to(console)
    with quiet_tensorflow():
        import tensorflow as tf

        tf.config.list_logical_devices()
        from tuning.sweep import run as sweep
    try:
        with (
            unwinding(),
            ProgressDisplay(console, names_workloads=names_workloads) as display,
        ):

            def show(progress: Progress) -> None:
                if not first:
                    first.append(progress)
                display.show(progress)

            start(sweep, show)
    except KeyboardInterrupt:
        typer.echo(take_advice(), err=True)
        raise typer.Exit(exit_status()) from None
    return first[0] if first else None

"""The console script: checks that the lab's packages are installed, then hands over.

Exit status:

- 0 when everything was done, even if its output could not be shown (a closed standard
  output or error, a reader such as ``head`` that has gone, a full disk behind
  ``> log``);
- 1 when every run failed, so that there is nothing to judge, when a checked setting is
  not safe, or when a command that only shows something could not show it;
- 2 for an error that the user can fix;
- 130 after Ctrl-C, 143 after SIGTERM.

This module imports nothing slow, so that interruptions are caught from the start.
"""

from __future__ import annotations

import importlib
import signal
import sys

TYPE_CHECKING = False  # importing typing takes longer than all the rest
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NEEDED = (
    "cloudpickle",
    "jinja2",
    "keras_tuner",
    "matplotlib",
    "pydantic",
    "rich",
    "sklearn",
    "tensorboard",
    "typer",
)
"""Import names of the lab's packages, which the extra ``tuning`` installs."""


def main() -> None:
    """Run ``keras-adam-sweep``, or say in one line how to install what it needs."""
    if hasattr(signal, "pthread_sigmask"):
        # Blocked until the handlers are set; the signals are delivered then.
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    from tuning.cli.departure import end_in_time
    from tuning.cli.interruption import signals_caught
    from tuning.cli.standard_streams import protect

    finish = protect()
    status = 1  # of an unexpected error
    try:
        with signals_caught(advice_after(sys.argv[1:])):
            _run(finish)
        status = 0
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            status = end.code or 0
        raise
    finally:
        end_in_time(status)


def advice_after(arguments: Sequence[str]) -> str:
    """The line that is shown when a command is interrupted.

    Args:
        arguments: of the command line.
    """
    from tuning.cli.interruption import CONTINUES, STARTS_AGAIN

    command = next((word for word in arguments if not word.startswith("-")), "")
    # With --overwrite `tuning.cli.run` changes the line when the sweep has begun.
    starts_over = {"--overwrite", "--dry-run"}.intersection(arguments)
    is_sweep = command in ("run", "check", "claims") and not starts_over
    return CONTINUES if is_sweep else STARTS_AGAIN


def _run(finish: Callable[[], OSError | None]) -> None:
    util = importlib.import_module("importlib.util")
    missing = [name for name in NEEDED if util.find_spec(name) is None]
    if missing:
        sys.stderr.write(
            f"keras-adam-sweep needs {', '.join(missing)}: "
            "pip install 'keras-adam[tuning]'\n"
        )
        raise SystemExit(2)
    from tuning.cli.app import app, shows_only

    try:
        app()
    except SystemExit as end:
        if finish() is not None and not end.code and shows_only(sys.argv[1:]):
            raise SystemExit(1) from None
        raise

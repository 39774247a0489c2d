"""Errors of the user's code, as one line of text and as one kind of error."""

from __future__ import annotations

import contextlib
import re
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path

from tuning.system.process_end import os_exit_raises

_CALLERS = tuple(
    str(Path(__file__).parent / name)
    for name in (
        "errors.py",
        "references.py",
        "workload.py",
        "sweep/preparation.py",
        "trainers/dataset_batches.py",
        "trainers/fit_data.py",
        "trainers/fit_model.py",
        "system/process_end.py",
        "workloads/__init__.py",
    )
)
"""Files of this package that call the user's code; errors are not reported there."""


@contextlib.contextmanager
def user_code(failure: str, hint: str = "") -> Iterator[None]:
    """Turn whatever the user's code raises into one ``ValueError``.

    Args:
        failure: start of the message: what failed.
        hint: end of the message.

    Raises:
        ValueError: the code raised something, or ended the process. A
            ``KeyboardInterrupt`` is passed on.
    """
    try:
        with os_exit_raises():
            yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too: a script may end the process
        text = f"{failure}: {format_error_with_place(error)}{hint}"
        raise ValueError(text) from error


def format_error(error: BaseException) -> str:
    """The type and the text of an error, in one line of at most about 400 characters.

    Keras's messages go on for pages and contain colours.
    """
    text = " ".join(re.sub(r"\x1b\[\d*m", "", str(error)).split())
    if len(text) > 400:
        # Most messages begin with the cause; those of a tf.function end with it.
        text = f"{text[:250]} ... {text[-150:]}"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def format_error_with_place(error: BaseException) -> str:
    """As :func:`format_error`, with the line of the user's code that raised it."""
    libraries = tuple(
        sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib")
    )
    places = [
        f"{frame.filename}, line {frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(("<", *libraries, *_CALLERS))
    ]
    return format_error(error) + (f" ({places[-1]})" if places else "")

"""Checks of ``log_dir``, the directory that telemetry is written to."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from typing import Any


def checked_name(log_dir: Any) -> Path:
    """The path, if a local directory can have this name.

    Args:
        log_dir: as the user gave it.

    Raises:
        TypeError: it is not a path.
        ValueError: it is empty, a URL, or a name that the file system cannot store.
    """
    name = os.fspath(log_dir) if isinstance(log_dir, os.PathLike) else log_dir
    if not isinstance(name, str):
        raise TypeError(
            f"log_dir must be a path; received {log_dir!r} of type "
            f"{type(log_dir).__name__}."
        )
    if "://" in name:
        raise ValueError(
            f"log_dir must be a local directory; received {name!r}. Write to a "
            "local one and copy it."
        )
    try:
        is_possible = bool(name) and b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:
        is_possible = False
    if not is_possible:
        raise ValueError(f"log_dir must be the name of a directory; received {name!r}.")
    return Path(name)


def writable_directory(log_dir: Path) -> Path:
    """The absolute directory, which is made if it does not exist.

    Links are followed, also to a directory that does not exist yet. A later change of
    the working directory does not change the result.

    Raises:
        OSError: the directory cannot be made or written to.
    """
    directory = Path(os.path.realpath(log_dir))
    if directory.exists() and not directory.is_dir():
        message = "log_dir must be a directory, but a file has this name"
        raise NotADirectoryError(errno.ENOTDIR, message, str(log_dir))
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        message = f"log_dir cannot be written to ({error.strerror})"
        raise OSError(error.errno, message, str(log_dir)) from error
    return directory

"""In which directory a training is shown, so that none hides another's curves."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from keras_adam.telemetry.event_file import MARK, EventFile


def checked_directory(log_dir: Path) -> Path:
    """The absolute directory, made where it is missing.

    Links are followed, also to a directory that does not exist yet; a later change of
    the working directory has no effect on it.

    Raises:
        OSError: it cannot be made or written to.
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


def open_run(
    directory: Path, charts: Mapping[str, str], *, is_continued: bool, is_copy: bool
) -> EventFile:
    """Open a file for a training, in the directory or in a new one below it.

    Processes that do so at the same time get different directories.

    Args:
        directory: that was asked for.
        charts: of the file.
        is_continued: whether the training continues the one that the directory shows.
            A training that does not gets a directory to itself.
        is_copy: whether the directory itself is someone else's in any case.
    """
    if not is_copy:
        file = EventFile(directory, charts)
        # Of two that begin at once both may see the other, and both make room.
        if is_continued or file.is_alone():
            return file
        file.remove()
    return EventFile(_new_subdirectory(directory), charts)


def _new_subdirectory(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    # The directory itself counts as the first run where it shows one.
    number = 2 if any(directory.glob(f"*{MARK}")) else 1
    while True:
        subdirectory = directory / f"run-{number}"
        try:
            subdirectory.mkdir()
        except FileExistsError:
            number += 1
        else:
            return subdirectory

"""Which run of TensorBoard each training is written to, so that none hides another."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_adam.telemetry.run_file import MARK, RunFile
from keras_adam.telemetry.tags import CHARTS

logger = logging.getLogger(__name__)

_in_use: weakref.WeakValueDictionary[Path, Any] = weakref.WeakValueDictionary()
"""Directories that this process writes to -> the training, while it lasts."""


class Runs:
    """The runs that one callback writes: a directory and a file for each.

    Args:
        is_copy: whether the callback is a copy, which never writes to ``log_dir``
            itself, but always to a new directory in it.

    Attributes:
        directory: of the run written to last; ``None`` while there is none.
    """

    def __init__(self, *, is_copy: bool = False) -> None:
        self.directory: Path | None = None
        self._is_copy = is_copy
        self._has_opened = False
        # A later fit with the same optimizer continues the file.
        self._files: weakref.WeakKeyDictionary[Any, RunFile] = (
            weakref.WeakKeyDictionary()
        )
        self._new_optimizers: weakref.WeakSet[Any] = weakref.WeakSet()

    def note_new_optimizer(self, optimizer: Any) -> None:
        """Remember that an optimizer took its first step under this callback.

        Such an optimizer continues no run of an earlier process.
        """
        self._new_optimizers.add(optimizer)

    def file_of(
        self,
        training: Any,
        optimizer: Any,
        directory: Path,
        *,
        steps: int,
        starts_at_zero: bool,
    ) -> RunFile:
        """The file of a training: its optimizer's, or a new one.

        Args:
            training: any object that exists while the training lasts.
            optimizer: the optimizer that is trained with.
            directory: ``log_dir``, absolute.
            steps: how many steps the optimizer had taken when it was first seen.
            starts_at_zero: whether it had taken none before the training.

        Raises:
            OSError: the file cannot be written to.
        """
        file = self._files.get(optimizer)
        continues = not starts_at_zero
        if file is None or not continues:
            # The first optimizer may continue what an earlier process has written.
            continues = not self._has_opened and optimizer not in self._new_optimizers
            is_free = directory not in _in_use
            file = open_run(
                directory,
                CHARTS,
                is_continued=continues and is_free,
                is_copy=self._is_copy,
            )
            self._files[optimizer] = file
            self._has_opened = True
        if continues:
            file.restart(steps)
        self.directory = file.directory
        _in_use[file.directory] = training
        logger.info("AdamTelemetry writes to %r.", os.fspath(file.directory))
        return file


def open_run(
    directory: Path, charts: Mapping[str, str], *, is_continued: bool, is_copy: bool
) -> RunFile:
    """Open a file for a training, in the directory or in a new one below it.

    Processes that do so at the same time get different directories.

    Args:
        directory: the one that was asked for.
        charts: of the file.
        is_continued: whether the training continues the run in the directory. Any
            other training gets a directory of its own.
        is_copy: whether to leave the directory itself to another callback.
    """
    if not is_copy:
        file = RunFile(directory, charts)
        # Two processes that begin at once may see each other's file: both give way.
        if is_continued or file.is_alone():
            return file
        file.remove()
    return RunFile(_new_subdirectory(directory), charts)


def _new_subdirectory(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    # The directory itself counts as the first run if it holds one.
    number = 2 if any(directory.glob(f"*{MARK}")) else 1
    while True:
        subdirectory = directory / f"run-{number}"
        try:
            subdirectory.mkdir()
        except FileExistsError:
            number += 1
        else:
            return subdirectory

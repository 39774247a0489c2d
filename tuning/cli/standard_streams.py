"""Standard output and standard error whose failures do not stop any work.

A command's output is only a display: runs, records and reports are in files. So a
closed terminal, a reader that has read enough (``| head``) or a full disk behind
``> log`` must not end a sweep, or make a finished sweep look like a failed one.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable
from typing import Any, TextIO

_READER_IS_GONE = {errno.EPIPE, errno.EBADF, errno.ENXIO, errno.ESHUTDOWN}


class DisplayFile(io.FileIO):
    """A file whose writes never fail: after the first error it drops all data.

    Args:
        descriptor: open for writing; it stays open.
        on_failure: called once, with the error of the first write that failed.
    """

    def __init__(self, descriptor: int, on_failure: Callable[[OSError], None]) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._on_failure = on_failure
        self._has_failed = False

    def write(self, data: Any, /) -> int:
        """Write the data, or drop them if they cannot be written."""
        if not self._has_failed:
            try:
                return super().write(data)
            except OSError as error:
                self._has_failed = True
                self._on_failure(error)
        return memoryview(data).nbytes


def open_closed_descriptors() -> None:
    """Point standard streams that were closed at the start to the null device.

    Otherwise the next files that are opened get these descriptors, and a library's
    output to standard error ends up in one of those files.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # os.open returns the lowest free descriptor; worker processes inherit it.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def protect() -> Callable[[], OSError | None]:
    """Replace ``sys.stdout`` and ``sys.stderr`` by streams that do not fail.

    A failure of standard output is reported in one line on standard error, unless the
    reason is that its reader has gone.

    Returns:
        A function that flushes both streams and returns the error of standard output
        that was reported, or ``None``.
    """
    open_closed_descriptors()
    if sys.stdin is None:
        sys.stdin = io.StringIO()
    reported: list[OSError] = []

    def report(error: OSError) -> None:
        if error.errno not in _READER_IS_GONE:
            reported.append(error)
            sys.stderr.write(
                "keras-adam-sweep: standard output cannot be written to "
                f"({error.strerror}); the rest of the output is lost. Files are still "
                "written.\n"
            )

    # A stream that somebody has replaced, such as a test, stays.
    if sys.stderr is sys.__stderr__:
        sys.stderr = _stream(sys.stderr, 2, lambda _: None)
    if sys.stdout is sys.__stdout__:
        sys.stdout = _stream(sys.stdout, 1, report)

    def finish() -> OSError | None:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        return reported[0] if reported else None

    return finish


def _stream(
    earlier: TextIO | None, descriptor: int, on_failure: Callable[[OSError], None]
) -> TextIO:
    file = DisplayFile(descriptor, on_failure)
    if earlier is not None:
        earlier.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(file),
        encoding=getattr(earlier, "encoding", None) or "utf-8",
        # A letter that the encoding lacks is shown as its code, not as an error.
        errors="backslashreplace",
        line_buffering=descriptor == 2 or file.isatty(),
    )

"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write a file whole or not at all, also through a power cut.

    The text goes into a hidden file beside it, to the disk, and then in one step
    into its place; what stood there before stays until then.

    Raises:
        OSError: the file cannot be written; the old one is untouched.
    """
    # Two processes may write the same report: each has a partial file of its own.
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.unlink(missing_ok=True)
        # A new file: whatever stands there, such as a link, is not written through.
        with partial.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        if error.errno is None:
            raise
        # The hidden file says nothing to a user.
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)

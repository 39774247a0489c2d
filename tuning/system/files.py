"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write a file whole or not at all, even if the power fails.

    The text is written to a hidden file next to it and synced to the disk. One rename
    then replaces the old file, which stays until then.

    Raises:
        OSError: the file cannot be written; the old one is untouched.
    """
    # Two processes may write the same report: each has a partial file of its own.
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.unlink(missing_ok=True)
        # Mode "x" makes a new file, so that nothing is written through a link.
        with partial.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        if error.errno is None:
            raise
        # Users do not know the hidden file, so the error names the file itself.
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)

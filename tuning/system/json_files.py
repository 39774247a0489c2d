"""Files of JSON: their text, or an error of one line that says what to do."""

from __future__ import annotations

from pathlib import Path

from tuning.system.json_values import InvalidFileError
from tuning.system.paths import check_regular_file, explain, show_path


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, without a byte order mark.

    Raises:
        FileNotFoundError: the file does not exist.
        InvalidFileError: it is a directory, cannot be read or is not UTF-8.
    """
    check_file(path)
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        if path.is_symlink():
            raise InvalidFileError(describe_lost_link(path)) from None
        raise
    except OSError as error:
        raise InvalidFileError(
            f"{show_path(path)} cannot be read: {explain(error)}."
        ) from None
    except UnicodeDecodeError as error:
        raise InvalidFileError(
            f"{show_path(path)} cannot be read: it is not text in UTF-8 (byte "
            f"{error.start + 1})."
        ) from None


def check_file(path: Path) -> None:
    """Check that a path, if it exists, is a regular file.

    Raises:
        InvalidFileError: it is a directory, a pipe or the like.
    """
    try:
        check_regular_file(path)
    except ValueError as error:
        raise InvalidFileError(str(error)) from None


def describe_lost_link(path: Path) -> str:
    """The message about a symbolic link to a missing file."""
    return (
        f"{show_path(path)} is a symbolic link to a file that does not exist; restore "
        "that file, or remove the link."
    )

"""Checks paths from a user or a file before anything is read or written there.

Every check raises an error of one line that says what is at a path and what to do,
instead of the operating system's error about a failed call.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path
from typing import Any

_REASONS = {
    errno.ELOOP: "it is a symbolic link that leads back to itself; remove the link",
    errno.ENAMETOOLONG: "its name is too long; use a shorter one",
    errno.EACCES: "permission denied; use another one, or change its permissions",
    errno.EPERM: "permission denied; use another one, or change its permissions",
}


def show_path(path: str | os.PathLike[str]) -> str:
    r"""A path as one line of text, for any bytes in its name.

    Bytes that are not UTF-8 and characters that cannot be printed are shown as
    ``\xff`` or ``\n``.
    """
    return "".join(_shown(character) for character in os.fspath(path))


def in_one_line(text: str) -> str:
    """A text without line breaks and without control characters of a terminal."""
    return "".join(_shown(character) for character in " ".join(text.split()))


def explain(error: Exception) -> str:
    """Why something could not be read or written, and what to do if that is known.

    Args:
        error: an ``OSError``, or TensorFlow's own error for the same cause.
    """
    number = getattr(error, "errno", None)
    text = getattr(error, "strerror", None) or getattr(error, "message", None)
    # TensorFlow's message begins with an operation, and lists buffers on later lines.
    text = re.sub(r"\{\{.*?\}\} ?", "", str(text or error)).splitlines()[:1]
    first = re.sub(r" ?\[Op:.*", "", "".join(text)).rpartition("; ")[2].strip()
    return _REASONS.get(number or 0) or first or type(error).__name__


def explain_with_place(error: Exception) -> str:
    """As :func:`explain`, with the file or directory that the error names."""
    place = getattr(error, "filename", None)
    if not isinstance(place, (str, os.PathLike)):
        return explain(error)
    return f"{show_path(place)}: {explain(error)}"


def check_regular_file(path: Path) -> None:
    """Check that a path, if it exists, is a regular file.

    Raises:
        ValueError: it is a directory, or something such as a pipe, on which a reader
            would wait forever.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return  # missing or not accessible, which opening it will report
    if stat.S_ISDIR(mode):
        raise ValueError(f"{show_path(path)} is a directory; it must be a file.")
    if not stat.S_ISREG(mode):
        raise ValueError(f"{show_path(path)} is not a regular file; remove it.")


def check_path(path: Any, what: str) -> Path:
    """Check that a file or directory could have this path.

    Args:
        path: as the user gave it.
        what: name of the path in the error: ``out``, ``--data-dir``.

    Raises:
        TypeError: it is not a path.
        ValueError: it is empty, holds a NUL character or is not UTF-8.
    """
    text = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(text, str):
        raise TypeError(
            f"{what} must be a path, as text or pathlib.Path; received {path!r:.80}."
        )
    if not text:
        raise ValueError(f"{what} is empty; name a directory.")
    if "\0" in text:
        raise ValueError(
            f"{what} holds a NUL character, which no file name can have; received "
            f"{show_path(text)}."
        )
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(
            f"{what} has a name that is not UTF-8, {show_path(text)}, so it cannot be "
            "written into reports; rename it, or use another one."
        ) from None
    return Path(text)


def check_directory(path: Any, what: str) -> Path:
    """Check that a path is a directory, or that one could be made there.

    Args:
        path: as the user gave it.
        what: name of the path in the error, as in :func:`check_path`.

    Raises:
        TypeError: it is not a path.
        ValueError: the path or one of its parents is a file, a symbolic link to
            nowhere or not accessible.
    """
    path = check_path(path, what)
    shown = show_path(path)
    for place in (path, *path.parents):
        try:
            mode = os.stat(place).st_mode
        except FileNotFoundError:
            if os.path.islink(place):
                raise ValueError(_describe_dangling(path, place)) from None
            continue  # not there yet; what is above it?
        except NotADirectoryError:
            continue  # reported for the file above it
        except OSError as error:
            raise ValueError(f"{shown} cannot be used: {explain(error)}.") from None
        if stat.S_ISDIR(mode):
            break
        if place == path:
            raise ValueError(f"{shown} is a file; {what} must be a directory.")
        raise ValueError(
            f"{shown} cannot be written to or read: {show_path(place)} is a file, not "
            "a directory."
        )
    return path


def path_inside(directory: Path, name: str) -> Path:
    """The path below a directory for a name that was read from a file.

    Args:
        directory: that the path must not leave.
        name: parts with ``/`` between them.

    Raises:
        ValueError: the name or a symbolic link on its way leads out of the directory.
    """
    parts = name.split("/")
    is_plain = not {"", ".", ".."} & set(parts) and not {"\\", "\0"} & set(name)
    path = directory.joinpath(*parts)
    if not is_plain or path.drive != directory.drive:
        raise ValueError(
            f"{name!r:.200} is not the name of a place inside {show_path(directory)}; "
            "use parts separated by /, none of them empty, '.' or '..'."
        )
    check_inside(directory, path)
    return path


def check_inside(directory: Path, path: Path) -> None:
    """Check that no symbolic link leads from a directory to a place outside of it.

    Args:
        directory: that the path must not leave; may itself be a link.
        path: below the directory; need not exist.

    Raises:
        ValueError: a link leads out.
    """
    inside = os.path.realpath(directory)
    leads_to = os.path.realpath(path)
    if not Path(leads_to).is_relative_to(inside):
        raise ValueError(
            f"{show_path(path)} is reached through a symbolic link to "
            f"{show_path(leads_to)}, which is outside of {show_path(directory)}, so "
            "nothing is written there. Replace the link with a real file or directory."
        )


def _describe_dangling(path: Path, link: Path) -> str:
    target = show_path(os.readlink(link))
    if link == path:
        subject = f"{show_path(path)} is"
    else:
        subject = f"{show_path(path)} cannot be made: {show_path(link)} is"
    return (
        f"{subject} a symbolic link to {target}, which does not exist; create that "
        "directory, remove the link, or use another path."
    )


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    if "\udc80" <= character <= "\udcff":  # how Python holds a byte that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()

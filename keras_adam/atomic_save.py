"""Save a model so that an interruption never costs the previous good file."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Any

_ENDINGS = (".keras", ".weights.h5")


def save_atomically(model: Any, path: str | os.PathLike[str], **options: Any) -> Path:
    """Save a model, or its weights, either completely or not at all.

    ``model.save`` writes into the file that it replaces: if it is stopped half-way,
    the old and the new content are both lost. This function writes the new file into a
    hidden directory beside the old one, and then renames it.

    The result is the file that ``model.save`` would leave. A symbolic link stays, and
    the file that it points to is replaced. A file that existed keeps its permissions
    and extended attributes, and its owner and group as far as this process may set
    them. One difference is inherent to renaming: other hard links of the old file keep
    its content.

    Several processes or threads may save to one path at the same time; the last one
    wins. A process that is killed leaves the hidden directory, ``.saving-*``, behind.

    Args:
        model: a Keras model; its optimizer's state is saved with it.
        path: ends in ``.keras`` (everything) or ``.weights.h5`` (weights and
            optimizer state), on a local file system.
        **options: for ``model.save`` or ``model.save_weights``. Options that make Keras
            write several files (``zipped=False``, ``max_shard_size``) are refused.

    Returns:
        The path.

    Raises:
        ValueError: another ending, a URL, or an option that writes several files.
        TypeError: ``path`` is not a path, or ``model`` cannot be saved.
        FileExistsError: the path exists and ``overwrite=False``.
        FileNotFoundError: the directory of the path does not exist.
        OSError: the path is a directory or a device, or may not be written to; or
            writing failed, for example on a full disk. The previous file is unchanged.
    """
    path, ending = _checked(path)
    save = getattr(model, "save" if ending == ".keras" else "save_weights", None)
    if not callable(save):
        raise TypeError(
            f"model must be a Keras model; received {model!r} of type "
            f"{type(model).__name__}."
        )
    for option, allowed in {"zipped": (None, True), "max_shard_size": (None,)}.items():
        if options.get(option) not in allowed:
            raise ValueError(
                f"{option}={options[option]!r} makes Keras write several files, which "
                "cannot be replaced in one step: leave it out, or call model.save or "
                "model.save_weights."
            )
    may_overwrite = bool(options.get("overwrite", True))
    target = _checked_target(path, may_overwrite)
    with _directory_beside(target) as directory:
        # The same name in a new directory: Keras chooses the format by the ending, and
        # asks before it overwrites a file.
        partial = Path(directory) / path.name
        save(partial, **options)
        with partial.open("rb+") as file:
            _keep_attributes(target, partial)
            os.fsync(file.fileno())
        if may_overwrite:
            partial.replace(target)
        else:
            _move_unless_it_exists(partial, target)
    _flush_directory(target.parent)
    return path


def _checked(path: Any) -> tuple[Path, str]:
    """The path and its ending."""
    name = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(name, str):
        raise TypeError(
            f"path must be a str or a pathlib.Path; received {path!r} of type "
            f"{type(path).__name__}."
        )
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", name):
        raise ValueError(
            f"path must be on a local file system; received {name!r}. Save to a local "
            "file and copy it, or call model.save."
        )
    if "\0" in name:
        raise ValueError(f"path must not contain a null character; received {name!r}.")
    path = Path(name)
    ending = next((e for e in _ENDINGS if path.name.endswith(e)), None)
    if ending is None:
        raise ValueError(
            f"path must end in one of {list(_ENDINGS)}; received {name!r}."
        )
    return path, ending


def _checked_target(path: Path, may_overwrite: bool) -> Path:
    """The file that will be replaced, behind all symbolic links."""
    try:
        target = path.resolve()
        status = target.stat()
    except (FileNotFoundError, NotADirectoryError):
        status = None
    except RuntimeError as error:
        message = "path is a symbolic link that leads back to itself"
        raise OSError(errno.ELOOP, message, str(path)) from error
    if not target.parent.is_dir():
        message = f"there is no directory {str(target.parent)!r}: make it first"
        raise FileNotFoundError(errno.ENOENT, message, str(path))
    if status is None:
        return target
    if stat.S_ISDIR(status.st_mode):
        message = "path must be a file, but a directory has this name"
        raise IsADirectoryError(errno.EISDIR, message, str(path))
    if not stat.S_ISREG(status.st_mode):
        message = "path must be a regular file, for it is replaced; call model.save"
        raise OSError(errno.EINVAL, message, str(path))
    if not may_overwrite:
        raise _already_exists(path)
    if not os.access(target, os.W_OK):
        message = "path may not be written to"
        raise PermissionError(errno.EACCES, message, str(path))
    return target


def _directory_beside(target: Path) -> tempfile.TemporaryDirectory:
    """A directory on the same file system that nobody else can read."""
    try:
        return tempfile.TemporaryDirectory(
            dir=target.parent, prefix=".saving-", ignore_cleanup_errors=True
        )
    except OSError as error:
        message = (
            f"cannot save {str(target)!r} atomically: the new file must be made beside "
            f"it first, which fails ({error.strerror}). model.save writes into the "
            "file itself"
        )
        raise OSError(error.errno, message, str(target.parent)) from error


def _keep_attributes(target: Path, partial: Path) -> None:
    """Give the new file the old one's attributes, except for its times."""
    try:
        status = target.stat()
    except FileNotFoundError:
        return  # The path is new: the umask has set the permissions.
    if hasattr(os, "chown"):
        # One by one: setting the group may be allowed where setting the owner is not.
        for ids in ((-1, status.st_gid), (status.st_uid, -1)):
            with contextlib.suppress(PermissionError):
                os.chown(partial, *ids)
    # Not every file system can keep every extended attribute.
    with contextlib.suppress(OSError):
        shutil.copystat(target, partial)
    partial.chmod(stat.S_IMODE(status.st_mode))
    os.utime(partial)


def _move_unless_it_exists(partial: Path, target: Path) -> None:
    """Move the file, unless another process has created the target meanwhile."""
    try:
        os.link(partial, target)
    except FileExistsError as error:
        raise _already_exists(target) from error
    except OSError as error:
        # A file system without hard links.
        if target.exists():
            raise _already_exists(target) from error
        partial.replace(target)


def _already_exists(path: Path) -> FileExistsError:
    message = "path exists and overwrite=False"
    return FileExistsError(errno.EEXIST, message, str(path))


def _flush_directory(directory: Path) -> None:
    """Write the new name to the disk, where the file system can do that."""
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

"""Public data sets: read from the user's directory, or downloaded into it once.

Every data set is one file in a documented format (``docs/workloads.md``). If the
directory does not hold the file, the data are downloaded from where their makers
publish them. Their SHA-256 is compared with the one noted here, and they are converted
to that format. Nothing is left half written, and an existing file is never replaced.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
import sys
import tempfile
import urllib.error
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tuning.data_sources.archive import digest_of_members, read_members
from tuning.errors import format_error
from tuning.system.paths import check_directory, check_path, show_path

DIRECTORY_VARIABLE = "KERAS_ADAM_DATA"
"""Environment variable that names the directory of real data."""

SECONDS_WITHOUT_AN_ANSWER = 60.0
"""A server that is silent for this long counts as a broken connection."""


@dataclasses.dataclass(frozen=True)
class PublicData:
    """A public data set: where it is and how it becomes one file.

    Attributes:
        file: name of the file in the user's directory.
        url: where it is downloaded from.
        convert: writes ``file``; takes the downloaded contents by name, and the path
            to write to.
        sha256: of the file at ``url``.
        members: patterns of the needed members of an archive, without its top
            directory; empty if ``url`` is a plain file.
        members_sha256: instead of ``sha256``, that of the contents of these members
            (see `tuning.data_sources.archive.digest_of_members`), because GitHub does
            not promise that an archive keeps its bytes.
        licence: terms of use, as the makers state them.
    """

    file: str
    url: str
    convert: Callable[[Mapping[str, bytes], Path], None]
    sha256: str | None = None
    members: tuple[str, ...] = ()
    members_sha256: str | None = None
    licence: str = ""


def data_directory() -> Path | None:
    """The user's directory of real data; ``None`` for embedded data.

    Raises:
        ValueError: it is a file, or cannot be used for another reason.
    """
    name = os.environ.get(DIRECTORY_VARIABLE, "").strip()
    if not name:
        return None
    return _checked(Path(name))


@contextlib.contextmanager
def real_data_in(directory: Path | None) -> Iterator[None]:
    """Let the workloads use real data, in this process and in those it starts.

    Args:
        directory: where the data are; ``None`` changes nothing.

    Raises:
        ValueError: it is a file, or cannot be used for another reason.
    """
    if directory is None:
        yield
        return
    earlier = os.environ.get(DIRECTORY_VARIABLE)
    # Absolute, because another process may have another working directory.
    os.environ[DIRECTORY_VARIABLE] = str(_checked(directory).absolute())
    try:
        yield
    finally:
        if earlier is None:
            del os.environ[DIRECTORY_VARIABLE]
        else:
            os.environ[DIRECTORY_VARIABLE] = earlier


@contextlib.contextmanager
def embedded_data() -> Iterator[None]:
    """Let the workloads use embedded data, whatever the environment says."""
    earlier = os.environ.pop(DIRECTORY_VARIABLE, None)
    try:
        yield
    finally:
        if earlier is not None:
            os.environ[DIRECTORY_VARIABLE] = earlier


def find_file(source: PublicData, directory: Path) -> Path:
    """The data set's file in a directory, downloaded first if it does not exist.

    Raises:
        OSError: the data cannot be downloaded or written.
        ValueError: the downloaded data are not those that were published, or something
            other than a file has the file's name.
    """
    path = directory / source.file
    if path.is_file():
        return path
    if os.path.lexists(path):
        kind = "symbolic link to nowhere" if path.is_symlink() else "directory"
        raise ValueError(
            f"{show_path(path)} is a {kind}; it must be a file. Remove it, and the "
            "data are downloaded to its place."
        )
    with _write_errors_explained(directory, source):
        directory.mkdir(parents=True, exist_ok=True)
        workplace = tempfile.TemporaryDirectory(dir=directory, prefix=".download-")
    with workplace as name:
        contents = _download(source, Path(name), directory)
        fresh = Path(name) / source.file
        try:
            source.convert(contents, fresh)
        except (ValueError, KeyError, IndexError) as error:
            raise ValueError(
                f"{source.url} has another form than expected "
                f"({format_error(error)}). {_what_to_do(source, directory)}"
            ) from error
        os.replace(fresh, path)
    return path


def _checked(directory: Path) -> Path:
    """Check that the directory of real data exists, or can be made.

    Raises:
        ValueError: it is a file, or cannot be used for another reason.
    """
    what = f"the directory of real data (--data-dir, {DIRECTORY_VARIABLE})"
    try:
        path = check_path(directory, what).expanduser()
    except RuntimeError:  # there is no such user
        raise ValueError(
            f"{what}: the home directory of {show_path(directory)} is not known; name "
            "the directory in full."
        ) from None
    if path.exists() and not path.is_dir():
        raise ValueError(
            f"{what} must be a directory; received the file {show_path(path)}."
        )
    return check_directory(path, what)


def _download(
    source: PublicData, workplace: Path, directory: Path
) -> Mapping[str, bytes]:
    """The contents by name: of the needed members, or of the single file."""
    import keras

    try:
        # Keras reports the download on standard output, which is for results.
        with contextlib.redirect_stdout(sys.stderr), _limited_silence():
            name = keras.utils.get_file(
                "downloaded",
                source.url,
                cache_dir=str(workplace),
                cache_subdir="",
                file_hash=source.sha256,
                hash_algorithm="sha256",
            )
    except ValueError as error:
        raise ValueError(_describe_checksum(source, directory)) from error
    except Exception as error:  # Keras raises no narrower type here
        if isinstance(error.__context__, urllib.error.HTTPError):
            error.__context__.close()  # it is an open connection, too
        reason = str(error).removeprefix(f"URL fetch failure on {source.url}: ")
        raise ConnectionError(
            f"{source.url} cannot be downloaded ({reason.removeprefix('None -- ')}). "
            f"{_what_to_do(source, directory)}"
        ) from error
    if not source.members:
        return {source.url.rsplit("/", 1)[-1]: Path(name).read_bytes()}
    members = read_members(Path(name), source.members)
    if source.members_sha256 and digest_of_members(members) != source.members_sha256:
        raise ValueError(_describe_checksum(source, directory))
    return members


def _describe_checksum(source: PublicData, directory: Path) -> str:
    return (
        f"what {source.url} sent is not what was published there (SHA-256 differs): "
        f"incomplete, or changed since. {_what_to_do(source, directory)}"
    )


def _what_to_do(source: PublicData, directory: Path) -> str:
    return (
        f"Try again, or put {source.file} into {directory} yourself "
        "(docs/workloads.md), or leave --data-dir away for the embedded data."
    )


@contextlib.contextmanager
def _write_errors_explained(directory: Path, source: PublicData) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(
            f"{source.file} is not in {directory} and cannot be downloaded into it "
            f"({error.strerror}); name a directory that can be written to."
        ) from error


@contextlib.contextmanager
def _limited_silence() -> Iterator[None]:
    """Limit how long `keras.utils.get_file` waits; it has no argument for that."""
    earlier = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SECONDS_WITHOUT_AN_ANSWER)
    try:
        yield
    finally:
        socket.setdefaulttimeout(earlier)

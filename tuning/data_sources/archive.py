"""Reads the needed files of a downloaded archive, without unpacking it to disk."""

from __future__ import annotations

import fnmatch
import hashlib
import lzma
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

_UNREADABLE = (tarfile.TarError, EOFError, KeyError, zlib.error, lzma.LZMAError)
"""Errors of `tarfile` for a damaged archive; ``KeyError`` for a link to nowhere."""


def read_members(path: Path, patterns: Sequence[str]) -> dict[str, bytes]:
    """Contents of the files in a tar archive whose names match a pattern.

    The archive's top directory, whose name has a version, is removed from the names.

    Raises:
        ValueError: the file is not a tar archive, or a pattern matches nothing.
    """
    members: dict[str, bytes] = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = member.name.partition("/")[2]
                if not any(fnmatch.fnmatchcase(name, p) for p in patterns):
                    continue
                content = archive.extractfile(member)
                if content is not None:  # a directory has none
                    members[name] = content.read()
    except (*_UNREADABLE, OSError) as error:
        raise ValueError(
            f"{path.name} cannot be read as a tar archive: {error}."
        ) from error
    missing = [p for p in patterns if not fnmatch.filter(members, p)]
    if missing:
        raise ValueError(f"the archive holds no {', '.join(missing)}.")
    return members


def digest_of_members(members: Mapping[str, bytes]) -> str:
    """SHA-256 of names and contents, which does not depend on the packing.

    It is what ``sha256sum FILES | sha256sum`` prints in the archive's top directory
    with the files in the order of their names (``LC_ALL=C``).
    """
    listing = "".join(
        f"{hashlib.sha256(members[name]).hexdigest()}  {name}\n"
        for name in sorted(members)
    )
    return hashlib.sha256(listing.encode()).hexdigest()

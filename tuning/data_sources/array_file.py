"""Reads files of named NumPy arrays; other files raise an error of one line."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

_UNREADABLE = (
    ValueError,
    KeyError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
    MemoryError,  # a header that promises more numbers than there are
    NotImplementedError,  # a kind of compression that Python lacks
    RuntimeError,  # a file with a password
)
"""Errors of NumPy and `zipfile` for other files."""


def read_arrays(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """The named arrays of an ``.npz`` file.

    Raises:
        ValueError: the file is not an ``.npz`` file, or does not hold these arrays.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in names}
    except _UNREADABLE as error:
        raise ValueError(
            f"{path} must be an .npz file with the arrays {', '.join(names)}: {error}."
        ) from error

"""Arrays that stay in their files, as ``np.load(path, mmap_mode="r")`` gives them.

They may be larger than memory. So they are read batch by batch, and other processes get
the path in place of the values.
"""

from __future__ import annotations

import dataclasses
import mmap
from pathlib import Path
from typing import Any

import numpy as np


def is_in_file(array: Any) -> bool:
    """Whether an array, or what it is a view of, is mapped from a file."""
    return _mapping_of(array) is not None


@dataclasses.dataclass(frozen=True)
class FileArray:
    """Where the values of an array are, for another process on this machine.

    Attributes:
        path: of the file.
        offset: bytes before the first value.
        dtype: of the values.
        shape: of the array.
        strides: bytes between neighbours along each axis.
        size: bytes from the first value to the end of the last one.
    """

    path: str
    offset: int
    dtype: np.dtype
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    size: int

    def open(self) -> np.ndarray:
        """The array, mapped from its file.

        Raises:
            OSError: the file cannot be read here.
        """
        content = np.memmap(
            self.path, np.uint8, "r", offset=self.offset, shape=(self.size,)
        )
        return np.ndarray(self.shape, self.dtype, content, 0, self.strides)


def as_file_array(array: Any) -> Any:
    """Where the values of a mapped array are; anything else as it is.

    A mapping whose changes are not written to the file is no such array.
    """
    mapping = _mapping_of(array)
    if mapping is None or mapping.mode == "c" or mapping.filename is None:
        return array
    low, high = np.lib.array_utils.byte_bounds(array)
    start = array.__array_interface__["data"][0]
    if low != start:  # negative strides
        return array
    first = np.lib.array_utils.byte_bounds(mapping)[0]
    mapping.flush()
    return FileArray(
        path=str(Path(mapping.filename).absolute()),
        offset=mapping.offset + start - first,
        dtype=array.dtype,
        shape=array.shape,
        strides=array.strides,
        size=high - low,
    )


def opened(part: Any) -> Any:
    """The array of a `FileArray`; anything else as it is."""
    return part.open() if isinstance(part, FileArray) else part


def _mapping_of(array: Any) -> np.memmap | None:
    """The array that was mapped from the file, of which this may be a view."""
    while isinstance(array, np.ndarray):
        # Views of a mapping are mappings, too, but know only its place in the file.
        if isinstance(array, np.memmap) and isinstance(array.base, mmap.mmap):
            return array
        array = array.base
    return None

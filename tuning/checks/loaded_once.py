"""A function that loads data, called once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class LoadedOnce:
    """Calls ``load_data`` when first called, and returns the same data afterwards.

    A check must know how many examples there are before it plans its batch sizes. In
    another process, only the function arrives, not the data.

    Args:
        load_data: of a workload.
    """

    def __init__(self, load_data: Callable[[], Any]) -> None:
        self._load_data = load_data
        self._data: Any = None
        self._is_loaded = False

    def __call__(self) -> Any:
        """The data."""
        if not self._is_loaded:
            self._data = self._load_data()
            self._is_loaded = True
        return self._data

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._load_data,)

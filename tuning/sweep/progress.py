"""How far a sweep is, for whoever shows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tuning.records import RunRecord


class Progress(NamedTuple):
    """How far a sweep is.

    Attributes:
        finished: runs with a record, earlier ones included. An earlier run that
            failed counts only after it has been tried again.
        total: runs planned.
        record: of the run just finished; ``None`` at the start.
        is_total_a_bound: the strategy may end the sweep earlier.
        time_share: expected share of the total time that the finished runs have
            taken; ``None`` if all runs are assumed to be equally long.
    """

    finished: int
    total: int
    record: RunRecord | None
    is_total_a_bound: bool = False
    time_share: float | None = None

    @property
    def done(self) -> float:
        """How far the sweep is, 0 ... 1."""
        if self.time_share is not None:
            return self.time_share
        return self.finished / self.total if self.total else 1.0


ProgressListener = Callable[[Progress], None]

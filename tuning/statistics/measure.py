"""What a measure is: a figure of one optimizer on one workload, less is better."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal

from tuning.statistics.task_runs import Seeds, TaskRuns

Figure = Callable[[TaskRuns, str, Seeds], float | None]
"""Of an optimizer on a workload, over drawn seeds; ``None`` where it has no data."""


@dataclasses.dataclass(frozen=True)
class Measure:
    """One thing that is measured.

    Attributes:
        name: of the measure.
        figure: how it is taken.
        compared_by: ``"ratio"`` to a rival's figure, or ``"difference"`` from it.
        meaning: one sentence for the page.
        unit: of figures: ``""``, ``"share"`` (shown as a percentage) or ``"bytes"``.
    """

    name: str
    figure: Figure
    compared_by: Literal["ratio", "difference"]
    meaning: str
    unit: Literal["", "share", "bytes"] = ""

    @property
    def neutral(self) -> float:
        """The ratio or difference in which neither side is better."""
        return 1.0 if self.compared_by == "ratio" else 0.0

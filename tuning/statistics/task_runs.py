"""The runs of one workload, arranged so that figures can be taken over drawn seeds."""

from __future__ import annotations

import dataclasses
import functools
import statistics
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from tuning.records import RunRecord
from tuning.statistics.seed_losses import judged_loss

Seeds = tuple[int, ...]
"""Drawn seeds, ascending; a seed that was drawn twice appears twice."""


@dataclasses.dataclass(frozen=True, eq=False)
class TaskRuns:
    """The judged runs of one workload.

    Attributes:
        workload: its name.
        records: by optimizer, batch size, learning rate and seed.
        parameters: of the model; ``None`` where not known.
        state_bytes: size of a built optimizer's state, by name; may include
            optimizers without a run.
        peak_bytes: peak memory of a process that trained the workload, by optimizer
            and round.
    """

    workload: str
    records: Mapping[tuple[str, int, float, int], RunRecord]
    parameters: int | None = None
    state_bytes: Mapping[str, int] = dataclasses.field(default_factory=dict)
    peak_bytes: Mapping[tuple[str, int], int] = dataclasses.field(default_factory=dict)

    @classmethod
    def collect(
        cls,
        records: Iterable[RunRecord],
        parameters: int | None = None,
        state_bytes: Mapping[str, int] | None = None,
    ) -> TaskRuns:
        """Arrange the records of one sweep; runs that failed are left out.

        Args:
            records: of the sweep.
            parameters: see `TaskRuns`.
            state_bytes: see `TaskRuns`.

        Raises:
            ValueError: the records are of several workloads, or there are none.
        """
        records = list(records)
        names = sorted({record.workload for record in records})
        if len(names) != 1:
            raise ValueError(f"runs of one workload are needed; received {names}.")
        judged = {
            (r.optimizer, r.batch_size, r.learning_rate, r.seed): r
            for r in records
            if judged_loss(r) is not None
        }
        return cls(names[0], judged, parameters, state_bytes or {})

    @functools.cached_property
    def optimizers(self) -> tuple[str, ...]:
        """Optimizers with a run, in the order in which they were run."""
        return tuple(dict.fromkeys(key[0] for key in self.records))

    @functools.cached_property
    def batch_sizes(self) -> tuple[int, ...]:
        """Batch sizes, ascending."""
        return tuple(sorted({key[1] for key in self.records}))

    @functools.cached_property
    def learning_rates(self) -> tuple[float, ...]:
        """Learning rates, ascending."""
        return tuple(sorted({key[2] for key in self.records}))

    @functools.cached_property
    def seeds(self) -> Seeds:
        """Seeds, ascending; without runs, the rounds in which memory was measured."""
        rounds = {number for _, number in self.peak_bytes}
        return tuple(sorted({key[3] for key in self.records} or rounds))

    def at(
        self, optimizer: str, batch_size: int, rate: float | None, seeds: Seeds
    ) -> list[RunRecord]:
        """The runs of the drawn seeds at one learning rate, as far as they exist."""
        if rate is None:
            return []
        keys = [(optimizer, batch_size, rate, seed) for seed in seeds]
        return [self.records[key] for key in keys if key in self.records]

    def runs_of(self, optimizer: str, seeds: Seeds) -> list[RunRecord]:
        """All runs of an optimizer with the drawn seeds."""
        return [
            record
            for size in self.batch_sizes
            for rate in self.learning_rates
            for record in self.at(optimizer, size, rate, seeds)
        ]

    @functools.cache  # noqa: B019 - a few hundred values, gone with the process
    def losses(
        self, optimizer: str, batch_size: int, seeds: Seeds
    ) -> Mapping[float, float]:
        """Mean judged loss by rate (`tuning.statistics.seed_losses.judged_loss`)."""
        found = {}
        for rate in self.learning_rates:
            records = self.at(optimizer, batch_size, rate, seeds)
            losses = [x for r in records if (x := judged_loss(r)) is not None]
            if losses:
                found[rate] = statistics.fmean(losses)
        return found

    def best_rate(self, optimizer: str, batch_size: int) -> float | None:
        """The rate of the least mean judged loss over all seeds; the lower of equals.

        It is chosen by the validation loss over all seeds: a resample changes what is
        measured at this learning rate, not the learning rate.
        """
        losses = self.losses(optimizer, batch_size, self.seeds)
        return min(losses, key=lambda rate: losses[rate]) if losses else None

    @functools.cache  # noqa: B019 - as above
    def best_loss_of_any(self, batch_size: int, seeds: Seeds) -> float | None:
        """The least mean judged loss of any optimizer and rate."""
        found = [
            loss
            for optimizer in self.optimizers
            for loss in self.losses(optimizer, batch_size, seeds).values()
        ]
        return min(found, default=None)

    @functools.cache  # noqa: B019 - as above
    def initial_loss(self, batch_size: int, seeds: Seeds) -> float | None:
        """Mean loss before the first step."""
        losses = [
            record.initial_loss
            for optimizer in self.optimizers
            for rate in self.learning_rates
            for record in self.at(optimizer, batch_size, rate, seeds)
            if record.initial_loss is not None
        ]
        return statistics.fmean(losses) if losses else None


Figure = Callable[[TaskRuns, str, Seeds], float | None]
"""A figure of an optimizer on a workload over drawn seeds; ``None`` without data."""


@dataclasses.dataclass(frozen=True)
class Measure:
    """A figure, and how it is compared and shown.

    Attributes:
        name: of the measure.
        figure: computes the figure.
        compared_by: ``"ratio"`` to a rival's figure, or ``"difference"`` from it.
        meaning: one sentence for the page.
        unit: of the figure: ``""``, ``"share"`` (shown as a percentage) or ``"bytes"``.
    """

    name: str
    figure: Figure
    compared_by: Literal["ratio", "difference"]
    meaning: str
    unit: Literal["", "share", "bytes"] = ""

    @property
    def neutral(self) -> float:
        """The ratio or difference at which neither side is better."""
        return 1.0 if self.compared_by == "ratio" else 0.0

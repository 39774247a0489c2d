"""How the runs of a sweep's grid are chosen and trained, as one value."""

from __future__ import annotations

import dataclasses

EXECUTIONS = ("auto", "compiled-epochs", "model.fit")
"""Ways of executing a run; see `tuning.trainers.task.Task`."""

SCHEDULES = ("constant", "linear")
"""How the learning rate changes over a run; see `tuning.trainers.schedule`."""

STRATEGIES = ("grid", "edges", "random", "bayesian", "hyperband")
"""Which runs of a grid are trained; `tuning.search.strategies` makes their oracles."""

COUNTED_STRATEGIES = ("random", "bayesian")
"""Strategies that need to know how many runs to train."""


@dataclasses.dataclass(frozen=True)
class SweepOptions:
    """How the runs of a grid are chosen and trained.

    Attributes:
        strategy: which runs of the grid are trained; one of `STRATEGIES`.
        max_runs: the most runs to train, for a strategy that does not end by itself.
        schedule: how the learning rate changes over a run: one of `SCHEDULES`;
            ``None`` takes the workload's.
        execution: see `tuning.trainers.task.Task`.
        command: how the sweep was started, for the report.

    Raises:
        ValueError: a value is not allowed, or ``max_runs`` is missing for a strategy
            that needs it or given for one that ends by itself.
    """

    strategy: str = "grid"
    max_runs: int | None = None
    schedule: str | None = None
    execution: str = "auto"
    command: str = ""

    def __post_init__(self) -> None:
        check_execution(self.execution)
        check_strategy(self.strategy, self.max_runs)
        if self.schedule is not None:
            check_schedule(self.schedule)


def check_strategy(strategy: str, max_runs: int | None) -> None:
    """Check a strategy and its number of runs.

    Raises:
        ValueError: ``strategy`` is not one of `STRATEGIES`, or cannot be combined with
            ``max_runs``.
    """
    if strategy not in STRATEGIES:
        raise ValueError(
            f"strategy must be one of {list(STRATEGIES)}; received {strategy!r}."
        )
    if strategy in COUNTED_STRATEGIES and max_runs is None:
        raise ValueError(
            f"strategy {strategy!r} has no end of its own; set max_runs (--max-runs)."
        )
    if strategy not in COUNTED_STRATEGIES and max_runs is not None:
        raise ValueError(
            f"max_runs can be combined with {' and '.join(COUNTED_STRATEGIES)}; "
            f"strategy {strategy!r} ends by itself."
        )
    if max_runs is not None and max_runs < 1:
        raise ValueError(f"max_runs must be at least 1; received {max_runs}.")


def check_schedule(schedule: str) -> None:
    """Check the name of a learning-rate schedule.

    Raises:
        ValueError: ``schedule`` is not one of `SCHEDULES`.
    """
    if schedule not in SCHEDULES:
        raise ValueError(
            f"schedule must be one of {list(SCHEDULES)}; received {schedule!r}."
        )


def check_execution(execution: str) -> None:
    """Check the name of a way of executing runs.

    Raises:
        ValueError: ``execution`` is not one of `EXECUTIONS`.
    """
    if execution not in EXECUTIONS:
        raise ValueError(
            f"execution must be one of {list(EXECUTIONS)}; received {execution!r}."
        )

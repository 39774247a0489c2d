"""What is trained by a function of the user's own: any loop that reports its losses."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from tuning.objectives import direction_of
from tuning.options import check_schedule


@dataclasses.dataclass(frozen=True)
class LoopWorkload:
    """A training that a function does by itself; made by `training`.

    Attributes:
        function: takes a `tuning.trainers.loop_run.LoopRun` and trains.
        name: stands in records and reports.
        epochs: what ``run.epochs`` is, unless the grid says otherwise.
        learning_rates: swept by default.
        batch_sizes: swept by default.
        objective: the reported quantity by which runs are judged; ``None`` for
            ``val_loss`` if it is reported, else ``loss``.
        direction: ``"min"`` or ``"max"``; ``None`` where the name of the objective says
            it, as ``reward`` does.
        target_val_loss: a value of the objective worth reaching; see
            `tuning.workload.Workload`.
        description: one sentence for people, shown in lists and reports.
        schedule: always ``"constant"``: the function decides about its learning rate.

    Raises:
        TypeError: ``function`` is none.
        ValueError: another schedule, or an unknown direction.
    """

    function: Callable[[Any], Any]
    name: str
    epochs: int = 10
    learning_rates: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1)
    batch_sizes: tuple[int, ...] = (32, 128)
    objective: str | None = None
    direction: str | None = None
    target_val_loss: float | None = None
    description: str = ""
    schedule: str = "constant"

    def __post_init__(self) -> None:
        """Refuse what no run could use."""
        if not callable(self.function):
            raise TypeError(
                "@tuning.training belongs above a function that takes the run; "
                f"received {type(self.function).__name__}."
            )
        direction_of(self)
        check_schedule(self.schedule)
        if self.schedule != "constant":
            raise ValueError(
                f"workload {self.name!r} trains by a loop of its own, which decides "
                f"about its learning rate; the schedule {self.schedule!r} cannot be "
                "applied to it."
            )

    @property
    def execution(self) -> str:
        """Always the function itself."""
        return "loop"

    @property
    def examples_per_epoch(self) -> None:
        """Unknown: the function has its own data."""
        return None


def training(function: Callable[[Any], Any] | None = None, /, **options: Any) -> Any:
    """Make a workload of a function that trains.

    The function gets a `tuning.trainers.loop_run.LoopRun`: a new optimizer at the run's
    learning rate, the batch size, the seed, the number of epochs. It reports with
    ``run.report(step, loss=...)`` and may train in any way: with ``GradientTape``,
    several optimizers, reinforcement learning, a loop in JAX.

    Args:
        function: that trains; named like the workload, unless ``name`` is given.
        **options: further fields of `LoopWorkload`.

    Returns:
        A `LoopWorkload`; with options alone, a decorator that makes one.

    Example::

        @tuning.training(batch_sizes=(32,), epochs=3)
        def train(run):
            ...
            run.report(step, loss=loss)
    """
    if function is None:
        return lambda function: training(function, **options)
    text = (getattr(function, "__doc__", None) or "").strip().partition("\n")[0]
    named = {"name": getattr(function, "__name__", "training"), "description": text}
    return LoopWorkload(function, **{**named, **options})

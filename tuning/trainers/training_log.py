"""The log of a training, epoch by epoch, for every way of executing it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence

import numpy as np

from tuning.objectives import turned

CURVE_POINTS = 100
"""Largest number of points of a run's training-loss curve: enough to see how training
begins and where it diverges, and less than a kilobyte in the record."""


def losses_of_steps(
    running_means: Sequence[float], batch_size: int, examples: int
) -> np.ndarray:
    """The loss of each step, from the running means that Keras reports.

    ``loss_k = (n_k mean_k - n_{k-1} mean_{k-1}) / (n_k - n_{k-1})``, with n_k the
    examples seen after step k. Keras keeps its means in float32: after a loss of 1e8,
    ordinary losses are lost in rounding until the epoch ends.

    Args:
        running_means: after each step of one epoch.
        batch_size: examples of each step but the last.
        examples: of the epoch.

    Shapes:
        Returns [steps] float64.
    """
    means = np.asarray(running_means, np.float64)
    steps = np.arange(1, len(means) + 1, dtype=np.float64)
    seen = np.minimum(steps * batch_size, examples)
    with np.errstate(invalid="ignore"):  # later losses are unknown after infinity
        return np.diff(seen * means, prepend=0.0) / np.diff(seen, prepend=0.0)


def losses_between(running_means: Sequence[float], ends: Sequence[int]) -> np.ndarray:
    """The mean loss of every step, where a mean is reported after some of them only.

    As `losses_of_steps`, for batches of one size. Steps between two reports have the
    same loss here.

    Args:
        running_means: since the epoch began.
        ends: steps of the epoch taken at each report.

    Shapes:
        Returns [steps] float64.
    """
    means, taken = np.asarray(running_means, np.float64), np.asarray(ends)
    steps = np.diff(taken, prepend=0)
    with np.errstate(invalid="ignore"):  # after an infinite loss no other is known
        losses = np.diff(taken * means, prepend=0.0) / steps
    return np.repeat(losses, steps)


class TrainingLog:
    """Collects the logs of a training and decides when to stop it.

    Args:
        steps_per_epoch: optimizer steps that an epoch takes; ``None`` if that is only
            known after the first epoch.
        target: the value of the objective that ``steps_to_target`` counts to.
        epochs: planned; decides how many steps a point of the curve is made of.
        objective: the logged quantity by which the run is judged.
        direction: of the objective: ``"min"`` or ``"max"``.

    Attributes:
        history: per name the values after each epoch; ``None`` where not finite.
        objective: the logged quantity by which the run is judged.
        direction: of the objective.
        initial_loss: its value before the first step, as `turned` makes it a loss.
        diverged: why the training was stopped; empty if it was not.
        kept_epoch: whose weights are kept, counted from 0; ``None`` for the last.
        steps: optimizer steps taken.
        steps_to_target: steps until the target was met, checked after each epoch.
        training_seconds: time in training steps alone, without validation.
        seconds: time since :meth:`begin`, up to the last epoch.
    """

    def __init__(
        self,
        steps_per_epoch: int | None,
        target: float | None,
        epochs: int = 1,
        objective: str = "val_loss",
        direction: str = "min",
    ) -> None:
        self.objective = objective
        self.direction = direction
        self._epochs = epochs
        self._steps_per_epoch = steps_per_epoch
        self._planned_steps = (
            None if steps_per_epoch is None else steps_per_epoch * epochs
        )
        self._target = None if target is None else turned(target, direction)
        self._step_losses: list[np.ndarray] = []
        self._started = time.perf_counter()
        self.history: dict[str, list[float | None]] = {}
        self.initial_loss: float | None = None
        self.diverged = ""
        self.kept_epoch: int | None = None
        self.steps = 0
        self.steps_to_target: int | None = None
        self.training_seconds = 0.0
        self.seconds = 0.0

    def begin(self, logs: Mapping[str, float]) -> None:
        """Note the validation before the first step.

        Args:
            logs: as ``evaluate`` returns them, without ``val_`` before their names.
        """
        self._started = time.perf_counter()
        name = self.objective.removeprefix("val_")
        value = turned(_logged(logs, name), self.direction)
        self.initial_loss = _finite_or_none(value)

    @property
    def losses(self) -> list[float | None]:
        """The objective after each epoch, as losses: less is better."""
        return [
            None if value is None else turned(value, self.direction)
            for value in self.history.get(self.objective, [])
        ]

    @property
    def steps_per_point(self) -> int:
        """Steps that a point of `training_curve` is the mean of; 0 while unknown."""
        return math.ceil((self._planned_steps or 0) / CURVE_POINTS)

    def plan_steps(self, steps: int) -> None:
        """Say how many steps the run has, if that was not known before."""
        self._planned_steps = steps

    @property
    def training_curve(self) -> list[float | None]:
        """Training loss: one mean per `steps_per_point` steps or, at the end, fewer.

        ``None`` where it is not finite; empty if no step's loss is known.
        """
        if not self._step_losses:
            return []
        losses = np.concatenate(self._step_losses)
        if not losses.size:
            return []
        starts = range(0, len(losses), self.steps_per_point)
        means = [losses[i : i + self.steps_per_point].mean() for i in starts]
        return [_finite_or_none(float(mean)) for mean in means]

    def add_epoch(
        self,
        logs: Mapping[str, float],
        training_seconds: float,
        step_losses: np.ndarray | None = None,
        steps: int | None = None,
    ) -> bool:
        """Note an epoch, and return whether to go on.

        Args:
            logs: as Keras's callbacks get them: ``loss``, ``val_loss``, metrics.
            training_seconds: time in the epoch's training steps.
            step_losses: training loss of each step, if known.
            steps: of the epoch, if another number than planned.

        Shapes:
            step_losses: [steps].

        Raises:
            ValueError: the training loss or the objective is not among the logs.
        """
        # A training that is judged by something else need not log a loss.
        is_needed = self.objective in ("loss", "val_loss") or "loss" in logs
        names = ["loss"] * is_needed + [self.objective]
        losses = {name: _logged(logs, name) for name in dict.fromkeys(names)}
        logs = {name: value for name, value in logs.items() if not np.ndim(value)}
        epochs_before = len(self.history.get(self.objective, []))
        for name in {**self.history, **logs}:
            # Not every quantity is logged after every epoch.
            values = self.history.setdefault(name, [None] * epochs_before)
            values.append(_finite_or_none(logs.get(name, math.nan)))
        if step_losses is not None:
            self._step_losses.append(step_losses)
        taken = self._steps_per_epoch if steps is None else steps
        if taken is None:
            raise ValueError("the number of steps must be given if none is planned.")
        if self._planned_steps is None:
            self._planned_steps = taken * self._epochs
        self.steps += taken
        self.training_seconds += training_seconds
        self.seconds = time.perf_counter() - self._started
        epoch = len(self.history[self.objective])
        for name, value in losses.items():
            if not math.isfinite(value):
                self.diverged = f"{_named(name)} became {value} in epoch {epoch}"
                return False
        if (
            self.steps_to_target is None
            and self._target is not None
            and turned(losses[self.objective], self.direction) <= self._target
        ):
            self.steps_to_target = self.steps
        return True


def _logged(logs: Mapping[str, float], name: str) -> float:
    if name not in logs:
        raise ValueError(
            f"a training needs the value {name!r} among its logs; it logged "
            f"{sorted(logs)}."
        )
    return float(logs[name])


def _named(name: str) -> str:
    return {"loss": "the training loss", "val_loss": "the validation loss"}.get(
        name, name
    )


def _finite_or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None

"""The log of a training, epoch by epoch, for every way of executing it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence

import numpy as np

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


class TrainingLog:
    """Collects the logs of a training and decides when to stop it.

    Args:
        steps_per_epoch: optimizer steps that an epoch takes.
        target_val_loss: the validation loss that ``steps_to_target`` counts to.
        epochs: planned; decides how many steps each point of the curve averages.

    Attributes:
        history: per name the values after each epoch; ``None`` where not finite.
        initial_loss: validation loss before the first step.
        diverged: why the training was stopped; empty if it was not.
        steps: optimizer steps taken.
        steps_to_target: steps until the target was met, checked after each epoch.
        training_seconds: time in training steps alone, without validation.
        seconds: time since :meth:`begin`, up to the last epoch.
        steps_per_point: steps that each point of `training_curve` averages.
    """

    def __init__(
        self, steps_per_epoch: int, target_val_loss: float | None, epochs: int = 1
    ) -> None:
        self.steps_per_point = math.ceil(steps_per_epoch * epochs / CURVE_POINTS)
        self._steps_per_epoch = steps_per_epoch
        self._target = target_val_loss
        self._step_losses: list[np.ndarray] = []
        self._started = time.perf_counter()
        self.history: dict[str, list[float | None]] = {}
        self.initial_loss: float | None = None
        self.diverged = ""
        self.steps = 0
        self.steps_to_target: int | None = None
        self.training_seconds = 0.0
        self.seconds = 0.0

    def begin(self, logs: Mapping[str, float]) -> None:
        """Note the validation before the first step."""
        self._started = time.perf_counter()
        self.initial_loss = _finite_or_none(_loss(logs, "loss"))

    @property
    def training_curve(self) -> list[float | None]:
        """Training loss: one mean per `steps_per_point` steps or, at the end, fewer.

        ``None`` where it is not finite; empty if no step's loss is known.
        """
        if not self._step_losses:
            return []
        losses = np.concatenate(self._step_losses)
        starts = range(0, len(losses), self.steps_per_point)
        means = [losses[i : i + self.steps_per_point].mean() for i in starts]
        return [_finite_or_none(float(mean)) for mean in means]

    def add_epoch(
        self,
        logs: Mapping[str, float],
        training_seconds: float,
        step_losses: np.ndarray | None = None,
    ) -> bool:
        """Note an epoch, and return whether to go on.

        Args:
            logs: as Keras's callbacks get them: ``loss``, ``val_loss``, metrics.
            training_seconds: time in the epoch's training steps.
            step_losses: training loss of each step, if known.

        Shapes:
            step_losses: [steps].

        Raises:
            ValueError: the model's ``train_step`` or ``test_step`` reports no loss.
        """
        losses = {name: _loss(logs, name) for name in ("loss", "val_loss")}
        for name, value in logs.items():
            self.history.setdefault(name, []).append(_finite_or_none(value))
        if step_losses is not None:
            self._step_losses.append(step_losses)
        self.steps += self._steps_per_epoch
        self.training_seconds += training_seconds
        self.seconds = time.perf_counter() - self._started
        epoch = len(self.history["loss"])
        for name, value in losses.items():
            if not math.isfinite(value):
                kind = "training" if name == "loss" else "validation"
                self.diverged = f"the {kind} loss became {value} in epoch {epoch}"
                return False
        if (
            self.steps_to_target is None
            and self._target is not None
            and losses["val_loss"] <= self._target
        ):
            self.steps_to_target = self.steps
        return True


def _loss(logs: Mapping[str, float], name: str) -> float:
    if name not in logs:
        raise ValueError(
            f"a training needs the value {name!r} among its logs; the model's "
            f"train_step and test_step reported {sorted(logs)}."
        )
    return float(logs[name])


def _finite_or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None

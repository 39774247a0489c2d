"""What happens in a ``fit``, epoch by epoch, noted in the log of its run."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tuning.fit_workload import FitWorkload
from tuning.trainers.training_log import TrainingLog, losses_between


class FitReport(keras.callbacks.Callback):
    """Notes every epoch in the log, and stops the training when the log asks for it.

    Args:
        log: of the run.
        workload: that is trained.
        arguments: of ``fit``.
        optimizers: of the run.

    Attributes:
        error: what was wrong, so that the run has failed; empty if nothing was.
    """

    def __init__(
        self,
        log: TrainingLog,
        workload: FitWorkload,
        arguments: Mapping[str, Any],
        optimizers: Sequence[Any],
    ) -> None:
        super().__init__()
        self.error = ""
        self._log = log
        self._optimizers = optimizers
        self._planned: int | None = arguments.get("steps_per_epoch")
        self._is_generator = isinstance(arguments["x"], Iterator)
        limit = workload.max_steps
        self._max_steps = math.inf if limit is None else limit
        self._rate = _number_of(optimizers[0])
        self._means: list[Any] = []
        self._ends: list[int] = []
        self._count = 0
        self._logs_means = True
        self._start = self._trained = 0.0

    def on_epoch_begin(self, epoch: int, logs: Mapping | None = None) -> None:
        """Start to count, and check that the learning rate is the run's."""
        self._sync()
        self._means, self._ends = [], []
        self._count = max(map(steps_of, self._optimizers))
        self._start = self._trained = time.perf_counter()
        rate = _number_of(self._optimizers[0])
        if epoch == 0 and rate != self._rate:
            self.error = (
                f"a callback sets the learning rate to {_show(rate)}, but that of the "
                f"run is {_show(self._rate)}: leave it out, or compile the model with "
                "a schedule."
            )

    def on_train_batch_end(self, batch: int, logs: Mapping | None = None) -> None:
        """Note the loss of the steps since the last call."""
        logs = logs or {}
        if not self._means:
            self._logs_means = self._has_loss_metric()
            if self._log.initial_loss is None and self._log.objective in logs:
                # The first batch is seen by the initial weights.
                name = self._log.objective
                self._log.begin({name: float(logs[name])})
        # Turned into a number after the epoch: a device must not be waited for here.
        self._means.append(logs.get("loss"))
        # Not the number of calls: there may be several steps in one execution.
        self._ends.append(batch + 1)
        self._trained = time.perf_counter()
        if self._log.steps + batch + 1 >= self._max_steps or self.error:
            self._stop()

    def on_epoch_end(self, epoch: int, logs: Mapping | None = None) -> None:
        """Pass the epoch on to the log."""
        self._sync()
        if not self.error:
            self.error = self._note_epoch(epoch, dict(logs or {}))
        if self.error:
            self._stop()

    def _note_epoch(self, epoch: int, logs: dict[str, Any]) -> str:
        """Note an epoch; returns what is wrong with it."""
        steps = self._steps_taken()
        if steps < (self._planned or 1) and not self._is_stopped():
            if not self._planned:
                return f"there was no batch of data in epoch {epoch + 1}."
            return (
                f"the data ended after {steps} of {self._planned} steps in epoch "
                f"{epoch + 1}: give fewer steps_per_epoch, or data that do not end."
            )
        if self._is_generator and not self._planned and self._log.steps:
            # Keras goes through a generator once, and then on with what it has kept.
            return (
                f"the generator ended after {self._log.steps} steps: one without an "
                "end, with steps_per_epoch, lasts for several epochs."
            )
        losses = None
        if None not in self._means:
            means = [float(mean) for mean in self._means]
            ends = [*self._ends[:-1], steps]
            if self._logs_means:
                losses = losses_between(means, ends)
            else:
                # Keras logs the value of its own metric after an epoch, which is 0.
                losses = np.repeat(means, np.diff(ends, prepend=0))
                logs["loss"] = float(losses.mean())
        try:
            seconds = self._trained - self._start
            if not self._log.add_epoch(logs, seconds, losses, steps=steps):
                self._stop()
        except ValueError as error:
            return str(error)
        return ""

    def _steps_taken(self) -> int:
        """Optimizer steps of the epoch.

        If the data end within an execution of several steps, Keras reports its planned
        end; the optimizer has counted.
        """
        if not self._ends:
            return 0
        reported = self._ends[-1]
        counted = max(map(steps_of, self._optimizers)) - self._count
        before = self._ends[-2] if len(self._ends) > 1 else 0
        return counted if before < counted < reported else reported

    def _has_loss_metric(self) -> bool:
        """Whether a step logs the mean of the epoch so far, not its own loss.

        A ``train_step`` of the user's may return a loss that no metric keeps.
        """
        self._sync()
        metrics = self.model.metrics  # pyright: ignore[reportOptionalMemberAccess]
        return any(
            metric.name == "loss" and float(getattr(metric, "count", 0)) > 0
            for metric in metrics
        )

    def _sync(self) -> None:
        """Under JAX, `fit` keeps variables elsewhere: bring them up to date."""
        sync = getattr(self.model, "jax_state_sync", None)
        if sync is not None:
            sync()

    def _is_stopped(self) -> bool:
        return bool(self.model.stop_training)  # pyright: ignore[reportOptionalMemberAccess]

    def _stop(self) -> None:
        self.model.stop_training = True  # pyright: ignore[reportOptionalMemberAccess]


def steps_of(optimizer: Any) -> int:
    """Steps that an optimizer has taken."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    return int(keras.ops.convert_to_numpy(inner.iterations))


def _number_of(optimizer: Any) -> float | None:
    """An optimizer's learning rate if it is a number, not a schedule."""
    rate = optimizer.learning_rate
    if not isinstance(rate, keras.Variable):
        return None
    return float(keras.ops.convert_to_numpy(rate))


def _show(rate: float | None) -> str:
    return "a schedule" if rate is None else f"{rate:g}"

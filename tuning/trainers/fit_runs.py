"""Runs of a workload that is trained by ``model.fit``, as the user's script does."""

from __future__ import annotations

import collections
import gc
import math
import time
import warnings
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from tuning.fit_workload import FitWorkload
from tuning.grid import Run
from tuning.trainers import model_fit
from tuning.trainers.fit_data import fit_input
from tuning.trainers.fit_model import FitModel, scaled_to
from tuning.trainers.model_builder import ModelBuilder
from tuning.trainers.optimizers import check_schedule_of, state_bytes
from tuning.trainers.task import Task
from tuning.trainers.training_log import TrainingLog, losses_between

NAME = model_fit.NAME


class FitRuns:
    """Trains every run by a ``fit`` of its own.

    Args:
        task: what all runs have in common.
        workload: that of the task.

    Attributes:
        traces: empty: Keras traces every run anew.
    """

    def __init__(self, task: Task, workload: FitWorkload) -> None:
        self.traces: collections.Counter[tuple[str, int]] = collections.Counter()
        self._task = task
        self._workload = workload
        self._builder = ModelBuilder(FitModel(workload), task.shared)
        self._last_callbacks: list[Any] = []

    def new_log(self, run: Run) -> TrainingLog:
        """See `tuning.trainers.way.Way`."""
        workload = self._workload
        epochs = self._task.epochs_of(run)
        objective = workload.objective or "val_loss"
        return TrainingLog(None, workload.target_val_loss, epochs, objective)

    def train(self, run: Run, log: TrainingLog, facts: dict[str, Any]) -> None:
        """See `tuning.trainers.way.Way`."""
        workload, epochs = self._workload, self._task.epochs_of(run)
        facts["execution"] = NAME
        made: list[Any] = []

        def make_optimizer(learning_rate: Any = None) -> Any:
            if isinstance(
                learning_rate, keras.optimizers.schedules.LearningRateSchedule
            ):
                steps = _planned_steps(workload, epochs)
                learning_rate = scaled_to(learning_rate, run.learning_rate, steps)
            optimizer = self._task.build_optimizer(run, learning_rate)
            check_schedule_of(run.optimizer, optimizer, workload.schedule)
            made.append(optimizer)
            return optimizer

        model = self._builder.build(run.seed, make_optimizer)
        facts["optimizer_config"] = made[0].get_config()
        # Again: making the model has drawn as many numbers as it needed.
        keras.utils.set_random_seed(run.seed)
        arguments = fit_input(workload, run.batch_size, model).arguments
        validation = arguments.get("validation_data")
        if workload.objective is None and validation is None:
            log.objective = "loss"
        if log.objective.startswith("val_") and validation is not None:
            log.begin(_evaluate(model, validation, arguments))
        planned = arguments.get("steps_per_epoch")
        report = _Report(log, planned, workload.max_steps)
        rates = (
            []
            if workload.schedule == "constant"
            else [model_fit.EpochRate(workload.schedule, epochs)]
        )
        with warnings.catch_warnings():
            # That is how an epoch of unknown length ends; `_Report` knows the others.
            warnings.filterwarnings("ignore", "Your input ran out of data")
            model.fit(
                **arguments,
                epochs=epochs,
                verbose=0,
                callbacks=[*self._new_callbacks(), *rates, report],
            )
        if report.error:
            raise ValueError(report.error)
        facts["state_bytes"] = sum(state_bytes(one) for one in made if one.built)

    def drop(self) -> None:
        """See `tuning.trainers.way.Way`."""
        gc.collect()  # layers of a model refer to each other

    def restore(self) -> None:
        """See `tuning.trainers.way.Way`."""
        self._builder.restore()

    def _new_callbacks(self) -> list[Any]:
        """The workload's callbacks for a run.

        Raises:
            ValueError: one of them was returned for the run before, too.
        """
        workload = self._workload
        callbacks = list(workload.callbacks()) if workload.callbacks else []
        if any(one is other for one in callbacks for other in self._last_callbacks):
            raise ValueError(
                f"callbacks of workload {workload.name!r} must return new callbacks "
                "each time: one of them has been used by another run."
            )
        self._last_callbacks = callbacks
        return callbacks


class _Report(keras.callbacks.Callback):
    """Notes every epoch in the log, and stops the training when the log asks for it."""

    def __init__(
        self, log: TrainingLog, planned_steps: int | None, max_steps: int | None
    ) -> None:
        super().__init__()
        self.error = ""
        self._log = log
        self._planned_steps = planned_steps
        self._max_steps = math.inf if max_steps is None else max_steps
        self._means: list[Any] = []
        self._ends: list[int] = []
        self._logs_means = True
        self._start = self._trained = 0.0

    def on_epoch_begin(self, epoch: int, logs: Mapping | None = None) -> None:
        self._means, self._ends = [], []
        self._start = self._trained = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Mapping | None = None) -> None:
        logs = logs or {}
        if not self._means:
            self._logs_means = self._has_loss_metric()
            if self._log.initial_loss is None and self._log.objective in logs:
                # The first batch is seen by the initial weights.
                name = self._log.objective
                self._log.begin({name: float(logs[name])})
        # Turned into a number after the epoch: a device must not be waited for here.
        self._means.append(logs.get("loss", math.nan))
        # Not the number of calls: there may be several steps in one execution.
        self._ends.append(batch + 1)
        self._trained = time.perf_counter()
        if self._log.steps + batch + 1 >= self._max_steps:
            self._stop()

    def on_epoch_end(self, epoch: int, logs: Mapping | None = None) -> None:
        logs, steps = dict(logs or {}), self._ends[-1] if self._ends else 0
        if steps < (self._planned_steps or 1) and not self._is_stopped():
            self.error = (
                f"the data ended after {steps} of {self._planned_steps} steps in epoch "
                f"{epoch + 1}: give fewer steps_per_epoch, or data that do not end."
                if self._planned_steps
                else f"there was no batch of data in epoch {epoch + 1}."
            )
            self._stop()
            return
        means = [float(mean) for mean in self._means]
        if self._logs_means:
            losses = losses_between(means, self._ends)
        else:
            # Keras logs the value of its own metric after an epoch, which is 0 then.
            losses = np.repeat(means, np.diff(self._ends, prepend=0))
            logs["loss"] = float(losses.mean())
        try:
            goes_on = self._log.add_epoch(
                logs, self._trained - self._start, losses, steps=steps
            )
        except ValueError as error:
            self.error = str(error)
            goes_on = False
        if not goes_on:
            self._stop()

    def _has_loss_metric(self) -> bool:
        """Whether a step logs the mean of the epoch so far, not its own loss.

        A ``train_step`` of the user's may return a loss that no metric keeps.
        """
        metrics = self.model.metrics  # pyright: ignore[reportOptionalMemberAccess]
        return any(
            metric.name == "loss" and float(getattr(metric, "count", 0)) > 0
            for metric in metrics
        )

    def _is_stopped(self) -> bool:
        return bool(self.model.stop_training)  # pyright: ignore[reportOptionalMemberAccess]

    def _stop(self) -> None:
        self.model.stop_training = True  # pyright: ignore[reportOptionalMemberAccess]


def _evaluate(model: Any, validation: Any, arguments: Mapping[str, Any]) -> Any:
    """The logs of a validation before the first step."""
    parts = validation if isinstance(validation, (tuple, list)) else (validation,)
    named = dict(zip(("x", "y", "sample_weight"), parts, strict=False))
    size = arguments.get("validation_batch_size") or arguments.get("batch_size")
    return model.evaluate(
        **named,
        batch_size=size,
        steps=arguments.get("validation_steps"),
        verbose=0,
        return_dict=True,
    )


def _planned_steps(workload: FitWorkload, epochs: int) -> int | None:
    """Steps of a run, where the workload says how many."""
    per_epoch = workload.fit_options.get("steps_per_epoch")
    planned = None if per_epoch is None else per_epoch * epochs
    counts = [count for count in (planned, workload.max_steps) if count is not None]
    return min(counts, default=None)

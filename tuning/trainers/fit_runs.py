"""Runs of a workload that is trained by ``model.fit``, as the user's script does."""

from __future__ import annotations

import collections
import gc
import math
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tuning.fit_workload import FitWorkload
from tuning.grid import Run
from tuning.trainers import model_fit
from tuning.trainers.fit_data import fit_input
from tuning.trainers.fit_model import FitModel, scaled_to, takes_argument
from tuning.trainers.model_builder import ModelBuilder
from tuning.trainers.optimizers import check_schedule_of, state_bytes
from tuning.trainers.seeding import seed_all
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
        seed_all(run.seed)
        arguments = fit_input(workload, run.batch_size, model).arguments
        validation = arguments.get("validation_data")
        if workload.objective is None and validation is None:
            log.objective = "loss"
        if log.objective.startswith("val_") and validation is not None:
            log.begin(_evaluate(model, validation, arguments))
            if isinstance(validation, Iterator):  # it is exhausted now
                seed_all(run.seed)
                arguments = fit_input(workload, run.batch_size, model).arguments
        callbacks = self._new_callbacks(run)
        if workload.schedule != "constant":
            callbacks.append(model_fit.EpochRate(workload.schedule, epochs, made))
        report = _Report(log, workload, arguments, made)
        with warnings.catch_warnings():
            # That is how an epoch of unknown length ends; `_Report` knows the others.
            warnings.filterwarnings("ignore", "Your input ran out of data")
            model.fit(
                **arguments, epochs=epochs, verbose=0, callbacks=[*callbacks, report]
            )
        if report.error:
            raise ValueError(report.error)
        if not log.diverged and all(_count(optimizer) == 0 for optimizer in made):
            raise ValueError(
                "the run's optimizer took no step: the train_step of workload "
                f"{workload.name!r} uses others. Let build_model take make_optimizer "
                "and call it for each of them."
            )
        log.kept_epoch = _restored_epoch(callbacks, log)
        facts["state_bytes"] = sum(state_bytes(one) for one in made if one.built)

    def drop(self) -> None:
        """See `tuning.trainers.way.Way`."""
        gc.collect()  # layers of a model refer to each other

    def restore(self) -> None:
        """See `tuning.trainers.way.Way`."""
        self._builder.restore()

    def _new_callbacks(self, run: Run) -> list[Any]:
        """The workload's callbacks for a run.

        Raises:
            ValueError: one of them was returned for the run before, too, or would carry
                the state of one run into another.
        """
        make, name = self._workload.callbacks, self._workload.name
        if make is None:
            return []
        callbacks = list(make(run) if takes_argument(make) else make())
        if any(one is other for one in callbacks for other in self._last_callbacks):
            raise ValueError(
                f"callbacks of workload {name!r} must return new callbacks each time: "
                "one of them has been used by another run."
            )
        if any(isinstance(c, keras.callbacks.BackupAndRestore) for c in callbacks):
            raise ValueError(
                f"callbacks of workload {name!r} have BackupAndRestore, with which a "
                "run may go on from the weights of another. Leave it out: a sweep that "
                "is interrupted goes on by itself."
            )
        self._last_callbacks = list(callbacks)
        return callbacks


class _Report(keras.callbacks.Callback):
    """Notes every epoch in the log, and stops the training when the log asks for it.

    Args:
        log: of the run.
        workload: that is trained.
        arguments: of ``fit``.
        optimizers: of the run.
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
        self._sync()
        self._means, self._ends = [], []
        self._count = max(map(_count, self._optimizers))
        self._start = self._trained = time.perf_counter()
        rate = _number_of(self._optimizers[0])
        if epoch == 0 and rate != self._rate:
            self.error = (
                f"a callback sets the learning rate to {_show(rate)}, but that of the "
                f"run is {_show(self._rate)}: leave it out, or compile the model with "
                "a schedule."
            )

    def on_train_batch_end(self, batch: int, logs: Mapping | None = None) -> None:
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
        counted = max(map(_count, self._optimizers)) - self._count
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


def _count(optimizer: Any) -> int:
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


def _restored_epoch(callbacks: Sequence[Any], log: TrainingLog) -> int | None:
    """The epoch whose weights early stopping has put back, counted from 0."""
    for callback in callbacks:
        if (
            isinstance(callback, keras.callbacks.EarlyStopping)
            and callback.restore_best_weights
            and callback.best_weights is not None
            and callback.best_epoch < len(log.history.get(log.objective, ()))
        ):
            return int(callback.best_epoch)
    return None


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

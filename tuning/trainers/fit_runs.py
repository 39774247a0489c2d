"""Runs of a workload that is trained by ``model.fit``, as the user's script does."""

from __future__ import annotations

import collections
import gc
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras

from tuning.fit_workload import FitWorkload
from tuning.grid import Run
from tuning.objectives import direction_of
from tuning.trainers import model_fit
from tuning.trainers.fit_data import fit_input
from tuning.trainers.fit_model import FitModel, scaled_to, takes_argument
from tuning.trainers.fit_report import FitReport, steps_of
from tuning.trainers.model_builder import ModelBuilder
from tuning.trainers.optimizers import check_schedule_of, state_bytes
from tuning.trainers.seeding import seed_all
from tuning.trainers.task import Task
from tuning.trainers.training_log import TrainingLog

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
        self._recipe = FitModel(workload)
        self._builder = ModelBuilder(self._recipe, task.shared)
        self._last_callbacks: list[Any] = []

    def new_log(self, run: Run) -> TrainingLog:
        """See `tuning.trainers.way.Way`."""
        workload = self._workload
        epochs = self._task.epochs_of(run)
        objective = workload.objective or "val_loss"
        direction = direction_of(workload)
        return TrainingLog(None, workload.target_val_loss, epochs, objective, direction)

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

        self._recipe.run = None
        self._builder.ensure_trial()
        self._recipe.run = run
        model = self._builder.build(run.seed, make_optimizer)
        facts["optimizer_config"] = made[0].get_config()
        # Again: making the model has drawn as many numbers as it needed.
        seed_all(run.seed)
        arguments = fit_input(workload, run.batch_size, model).arguments
        validation = arguments.get("validation_data")
        if workload.objective is None and validation is None:
            log.objective = "loss"
        if log.objective.startswith("val_") and validation is not None:
            log.begin(evaluate_validation(model, validation, arguments))
            if isinstance(validation, Iterator):  # it is exhausted now
                seed_all(run.seed)
                arguments = fit_input(workload, run.batch_size, model).arguments
        callbacks = self._new_callbacks(run)
        if workload.schedule != "constant":
            callbacks.append(model_fit.EpochRate(workload.schedule, epochs, made))
        report = FitReport(log, workload, arguments, made)
        with warnings.catch_warnings():
            # That is how an epoch of unknown length ends; `FitReport` knows the others.
            warnings.filterwarnings("ignore", "Your input ran out of data")
            model.fit(
                **arguments, epochs=epochs, verbose=0, callbacks=[*callbacks, report]
            )
        if report.error:
            raise ValueError(report.error)
        if not log.diverged and _took_no_step(model, made):
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


def _took_no_step(model: Any, optimizers: Sequence[Any]) -> bool:
    """Whether the training went on without the run's optimizers."""
    if isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer):
        return False  # it leaves out steps until it has found a scale
    return all(steps_of(optimizer) == 0 for optimizer in optimizers)


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


def evaluate_validation(
    model: Any, validation: Any, arguments: Mapping[str, Any]
) -> Any:
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
    own = workload.data if isinstance(workload.data, Mapping) else {}
    per_epoch = {**workload.fit_options, **own}.get("steps_per_epoch")
    planned = None if per_epoch is None else per_epoch * epochs
    counts = [count for count in (planned, workload.max_steps) if count is not None]
    return min(counts, default=None)

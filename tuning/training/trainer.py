"""One run of a sweep: from a planned `Run` to its `RunRecord`."""

from __future__ import annotations

import collections
import gc
import logging
import traceback
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from tuning.errors import format_error
from tuning.grid import Run
from tuning.options import check_execution
from tuning.records import RunRecord, installed_versions, least_finite
from tuning.system.process_end import os_exit_raises
from tuning.training import model_fit
from tuning.training.model_builder import ModelBuilder
from tuning.training.optimizers import (
    build_optimizer,
    check_schedule_of,
    state_bytes,
    trace_key,
)
from tuning.training.task import Task
from tuning.training.training_log import TrainingLog
from tuning.workload import Data

logger = logging.getLogger(__name__)


class Trainer:
    """Trains the runs of one workload, one after the other, reusing what it can.

    Runs with the same optimizer share a model and a trace. If their batch size is the
    same, too, they share a compiled train function. So such runs should follow each
    other, as `tuning.grid.Grid.runs` lists them. Two runs share only if their
    optimizers differ in nothing but the learning rate (see
    `tuning.training.optimizers.trace_key`).

    Args:
        task: what all runs have in common.

    Attributes:
        traces: how often a train function was traced, by the (optimizer, batch size)
            that first needed it.
        tracebacks: of the first failed run with each message, by message.

    Raises:
        ValueError: the task's ``execution`` is not one of `EXECUTIONS`.
    """

    def __init__(self, task: Task) -> None:
        check_execution(task.execution)
        workload = task.workload
        self.traces: collections.Counter[tuple[str, int]] = collections.Counter()
        self.tracebacks: dict[str, str] = {}
        self._task = task
        self._workload = workload
        self._data = Data(*(_in_float_type(array) for array in task.data))
        self._builder = ModelBuilder(workload, self._data, task.shared)
        is_auto = task.execution == "auto"
        self._execution = workload.execution if is_auto else task.execution
        self._versions = installed_versions()
        self._states: dict[int, list[np.ndarray]] = {}
        self._optimizer_states: dict[int, list[np.ndarray]] = {}
        self._group: Any = None
        self._group_key: tuple | None = None
        self._refused: dict[tuple, str] = {}

    def run(self, run: Run) -> RunRecord:
        """Train once; the record says what happened, errors included."""
        examples = self._workload.examples_per_epoch or len(self._data.x_train)
        steps_per_epoch = -(-examples // run.batch_size)
        target = self._workload.target_val_loss
        log = TrainingLog(steps_per_epoch, target, self._epochs_of(run))
        facts: dict[str, Any] = {"optimizer_config": {}}
        try:
            with os_exit_raises():
                self._train(run, log, facts)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            # The user's model, loss and optimizer may raise anything, sys.exit
            # included; one bad run must not cost the other two hundred.
            message = format_error(error)
            self.tracebacks.setdefault(message, traceback.format_exc())
            self._drop_group()
            return self._record(run, log, facts, "failed", message)
        finally:
            # However the run ended, even if it was interrupted.
            self._builder.restore()
        status = "diverged" if log.diverged else "ok"
        return self._record(run, log, facts, status, log.diverged)

    def _train(self, run: Run, log: TrainingLog, facts: dict[str, Any]) -> None:
        optimizer = self._build_optimizer(run)
        facts["optimizer_config"] = optimizer.get_config()
        fixed, rate = trace_key(optimizer, run.learning_rate)
        check_schedule_of(run.optimizer, optimizer, self._workload.schedule)
        key = (run.optimizer, run.batch_size, fixed)
        if self._can_compile(key):
            group = self._group_with_start(key, run, optimizer)
            if group is not None:
                facts["execution"] = group.execution
                facts["state_bytes"] = state_bytes(group.model.optimizer)
                group.train(
                    self._states[run.seed],
                    rate,
                    run.seed,
                    self._epochs_of(run),
                    log,
                    optimizer_state=self._optimizer_states[run.seed],
                    schedule=self._workload.schedule,
                )
                return
        self._drop_group()
        # A new optimizer: one that has been built cannot move to another model.
        model = self._builder.build(run.seed, self._build_optimizer(run))
        model.optimizer.build(model.trainable_variables)
        facts["execution"] = model_fit.NAME
        facts["state_bytes"] = state_bytes(model.optimizer)
        epochs = self._epochs_of(run)
        model_fit.fit(
            model,
            self._data,
            run.batch_size,
            run.seed,
            epochs,
            log,
            schedule=self._workload.schedule,
            examples_per_epoch=self._workload.examples_per_epoch,
        )

    def _epochs_of(self, run: Run) -> int:
        return self._task.epochs if run.epochs is None else run.epochs

    def _build_optimizer(self, run: Run) -> Any:
        task = self._task
        options = task.options.get(run.optimizer)
        return build_optimizer(run.optimizer, run.learning_rate, options, task.custom)

    def _can_compile(self, key: tuple) -> bool:
        if self._execution == "model.fit" or key in self._refused:
            return False
        reason = _why_not_compiled()
        if reason:
            self._refuse(key, reason)
        return not reason

    def _group_with_start(self, key: tuple, run: Run, optimizer: Any) -> Any:
        """The compiled epochs for a run; its seed's start values are then in memory."""
        group = self._compiled_group(key, run, optimizer)
        if group is None or run.seed in self._optimizer_states:
            return group
        model = self._builder.build(run.seed, self._build_optimizer(run))
        if model is group.model:
            # ``build_model`` returns the same model every time: its optimizer is now
            # another one than the traced one.
            self._drop_group()
            return self._compiled_group(key, run, optimizer)
        self._remember_start(run.seed, model)
        return group

    def _compiled_group(self, key: tuple, run: Run, optimizer: Any) -> Any:
        """The compiled epochs for this kind of run; ``None`` if it cannot be compiled.

        Batch sizes share the model, its evaluation and the trace of its training.
        """
        from tuning.training.compiled_epochs import CompiledEpochs

        name, _, fixed = key
        is_new = self._group_key != (name, fixed)
        if is_new:
            self._drop_group()
        model = self._builder.build(run.seed, optimizer) if is_new else None
        try:
            if model is not None:
                self._remember_start(run.seed, model)
                per_epoch = self._workload.examples_per_epoch
                group = CompiledEpochs(model, self._data, per_epoch)
            else:
                group = self._group
            traces = group.traces
            group.set_batch_size(run.batch_size)
        except Exception as error:
            self._drop_group()
            # Any model that XLA, TensorFlow or the tracing refuses still trains
            # with fit; if the fault is the model's, fit will raise it again.
            self._refuse(key, format_error(error))
            return None
        self.traces[run.optimizer, run.batch_size] += group.traces - traces
        self._group, self._group_key = group, (name, fixed)
        return group

    def _refuse(self, key: tuple, reason: str) -> None:
        """Use ``model.fit`` for this kind of run, and log each reason once.

        Raises:
            RuntimeError: ``execution="compiled-epochs"`` forbids that.
        """
        if self._execution == "compiled-epochs":
            raise RuntimeError(f"training cannot be compiled: {reason}")
        if reason not in self._refused.values():
            logger.warning(
                "Workload %s with optimizer %s is trained with model.fit, which is "
                "slower: %s",
                self._workload.name,
                key[0],
                reason,
            )
        self._refused[key] = reason

    def _drop_group(self) -> None:
        """Free the model and its compiled functions before the next ones are made."""
        if self._group is not None:
            self._group = self._group_key = None
            self._optimizer_states.clear()
            gc.collect()  # model and functions refer to each other

    def _remember_start(self, seed: int, model: Any) -> None:
        """Keep the values of model and optimizer from which a seed's runs start.

        Some of an optimizer's variables begin as copies of the weights, for example
        averages, or the point from which steps are taken.
        """
        from tuning.training.compiled_epochs import stored_variables, values_of

        if seed not in self._states:
            self._states[seed] = values_of(model.variables)
        model.optimizer.build(model.trainable_variables)
        self._optimizer_states[seed] = values_of(stored_variables(model.optimizer))

    def _record(
        self,
        run: Run,
        log: TrainingLog,
        facts: Mapping[str, Any],
        status: str,
        message: str,
    ) -> RunRecord:
        val_losses = log.history.get("val_loss", [])
        return RunRecord(
            run_id=run.run_id,
            workload=self._workload.name,
            optimizer=run.optimizer,
            learning_rate=run.learning_rate,
            batch_size=run.batch_size,
            seed=run.seed,
            epochs=self._epochs_of(run),
            schedule=self._workload.schedule,
            status=status,
            message=message,
            initial_loss=log.initial_loss,
            best_val_loss=least_finite(val_losses),
            final_val_loss=val_losses[-1] if status == "ok" and val_losses else None,
            val_metrics=_last_finite_metrics(log.history),
            steps=log.steps,
            steps_to_target=log.steps_to_target,
            seconds=log.seconds,
            seconds_per_step=(log.training_seconds / log.steps if log.steps else None),
            history=log.history,
            training_curve=log.training_curve,
            steps_per_point=log.steps_per_point,
            versions=self._versions,
            **facts,
        )


def _why_not_compiled() -> str:
    """Why runs cannot be compiled at present; empty if they can."""
    if keras.backend.backend() != "tensorflow":
        return f"the Keras backend is {keras.backend.backend()}, not tensorflow."
    import tensorflow as tf

    if tf.config.functions_run_eagerly():
        return "tf.config.run_functions_eagerly is on."
    if tf.distribute.has_strategy():
        return "a tf.distribute strategy is active."
    return ""


def _in_float_type(array: np.ndarray) -> np.ndarray:
    """Floating-point data in Keras's float type, as ``fit`` converts it."""
    if np.issubdtype(array.dtype, np.floating):
        return array.astype(keras.config.floatx(), copy=False)
    return array


def _last_finite_metrics(
    history: Mapping[str, list[float | None]],
) -> dict[str, float | None]:
    """The metrics on the validation data after the last epoch with a finite loss."""
    finite = [
        i for i, loss in enumerate(history.get("val_loss", [])) if loss is not None
    ]
    if not finite:
        return {}
    return {
        name.removeprefix("val_"): values[finite[-1]]
        for name, values in history.items()
        if name.startswith("val_") and name != "val_loss"
    }

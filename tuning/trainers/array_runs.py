"""Runs of a workload of arrays: compiled epochs where they can be, else `model.fit`."""

from __future__ import annotations

import collections
import logging
from typing import Any

import keras
import numpy as np

from tuning.array_data import count_examples, map_arrays
from tuning.errors import format_error
from tuning.file_arrays import is_in_file
from tuning.grid import Run
from tuning.objectives import direction_of
from tuning.trainers import model_fit
from tuning.trainers.array_batches import is_streamed
from tuning.trainers.array_model import ArrayModel
from tuning.trainers.kept_epochs import Kept, KeptEpochs
from tuning.trainers.model_builder import ModelBuilder
from tuning.trainers.optimizers import check_schedule_of, state_bytes, trace_key
from tuning.trainers.task import Task
from tuning.trainers.training_log import TrainingLog
from tuning.workload import AnyData, Workload

logger = logging.getLogger(__name__)


class ArrayRuns:
    """Trains runs on arrays and reuses what runs have in common.

    Runs with the same optimizer and batch size share a compiled train function, those
    with the same optimizer a model and a trace. Two runs share only if their optimizers
    differ in nothing but the learning rate: see `tuning.trainers.optimizers.trace_key`.
    Where models are small, those of several optimizers are kept (`KeptEpochs`). Runs of
    large models should follow each other, as `tuning.grid.Grid.runs` lists them.

    Args:
        task: what all runs have in common.
        workload: that of the task.
        data: that of the task.

    Attributes:
        traces: how often a train function was traced, by the (optimizer, batch size)
            that it was first needed for.
        data: with floating-point arrays in Keras's float type.
    """

    def __init__(self, task: Task, workload: Workload, data: AnyData) -> None:
        self.traces: collections.Counter[tuple[str, int]] = collections.Counter()
        self._task = task
        self._workload = workload
        self.data = type(data)(*(map_arrays(_in_float_type, part) for part in data))
        self._examples = count_examples(data.x_train)
        self._builder = ModelBuilder(ArrayModel(workload, self.data), task.shared)
        is_auto = task.execution == "auto"
        self._execution = workload.execution if is_auto else task.execution
        self._states: dict[int, list[np.ndarray]] = {}
        self._kept = KeptEpochs()
        self._last: tuple = ()
        self._refused: dict[tuple, str] = {}

    def new_log(self, run: Run) -> TrainingLog:
        """See `tuning.trainers.way.Way`."""
        examples = self._workload.examples_per_epoch or self._examples
        steps_per_epoch = -(-examples // run.batch_size)
        return TrainingLog(
            steps_per_epoch,
            self._workload.target_val_loss,
            self._task.epochs_of(run),
            self._workload.objective or "val_loss",
            direction_of(self._workload),
        )

    def train(self, run: Run, log: TrainingLog, facts: dict[str, Any]) -> None:
        """See `tuning.trainers.way.Way`."""
        optimizer = self._task.build_optimizer(run)
        facts["optimizer_config"] = optimizer.get_config()
        fixed, rate = trace_key(optimizer, run.learning_rate)
        check_schedule_of(run.optimizer, optimizer, self._workload.schedule)
        key = (run.optimizer, run.batch_size, fixed)
        if self._can_compile(key):
            kept = self._kept_with_start(key, run, optimizer)
            if kept is not None:
                group = kept.group
                facts["execution"] = group.execution
                facts["state_bytes"] = state_bytes(group.model.optimizer)
                group.train(
                    self._states[run.seed],
                    rate,
                    run.seed,
                    self._task.epochs_of(run),
                    log,
                    optimizer_state=kept.optimizer_states[run.seed],
                    schedule=self._workload.schedule,
                )
                return
        self._kept.make_room()
        # A new one: an optimizer that was built belongs to that model for good.
        model = self._builder.build(run.seed, self._task.build_optimizer(run))
        model.optimizer.build(model.trainable_variables)
        facts["execution"] = model_fit.NAME
        facts["state_bytes"] = state_bytes(model.optimizer)
        epochs = self._task.epochs_of(run)
        model_fit.fit(
            model,
            self.data,
            run.batch_size,
            run.seed,
            epochs,
            log,
            schedule=self._workload.schedule,
            examples_per_epoch=self._workload.examples_per_epoch,
        )

    def restore(self) -> None:
        """See `tuning.trainers.way.Way`."""
        self._builder.restore()

    def _can_compile(self, key: tuple) -> bool:
        if self._execution == "model.fit" or key in self._refused:
            return False
        reason = _why_not_compiled()
        if self._execution == "auto" and is_streamed(self.data):
            reason = "its data stay in their files, and are read batch by batch."
        if reason:
            self._refuse(key, reason)
        return not reason

    def _kept_with_start(self, key: tuple, run: Run, optimizer: Any) -> Kept | None:
        """The compiled epochs for a run, and in memory what its seed starts from."""
        kept = self._compiled(key, run, optimizer)
        if kept is None or run.seed in kept.optimizer_states:
            return kept
        model = self._builder.build(run.seed, self._task.build_optimizer(run))
        if model is kept.group.model:
            # ``build_model`` returns one model again and again: it has now another
            # optimizer than the one that was traced.
            self.drop()
            return self._compiled(key, run, optimizer)
        self._remember_start(run.seed, model, kept)
        return kept

    def _compiled(self, key: tuple, run: Run, optimizer: Any) -> Kept | None:
        """The compiled epochs for this kind of run; ``None`` if it has none.

        Batch sizes share the model, its evaluation and the trace of its training.
        """
        name, _, fixed = key
        self._last = name, fixed
        kept = self._kept.get(self._last)
        model = None
        if kept is None:
            self._kept.make_room()
            model = self._builder.build(run.seed, optimizer)
            self._kept.forget(model)
        try:
            if kept is None:
                kept = self._new(model, run.seed)
                self._kept.add(self._last, kept)
            traces = kept.traces
            kept.group.set_batch_size(run.batch_size)
        except Exception as error:
            self.drop()
            # Any model that XLA, TensorFlow or the tracing refuses still trains
            # with fit; if the fault is the model's, fit will raise it again.
            self._refuse(key, format_error(error))
            return None
        kept.traces = kept.group.traces
        self.traces[run.optimizer, run.batch_size] += kept.traces - traces
        return kept

    def _new(self, model: Any, seed: int) -> Kept:
        """The compiled epochs of a new model.

        Raises:
            Exception: whatever tracing or compiling the model raises.
        """
        from tuning.trainers.compiled_epochs import CompiledEpochs

        starts = Kept(None)
        self._remember_start(seed, model, starts)
        other = self._kept.any_group()
        per_epoch = self._workload.examples_per_epoch
        starts.group = CompiledEpochs(model, self.data, per_epoch, other)
        return starts

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

    def drop(self) -> None:
        """See `tuning.trainers.way.Way`."""
        self._kept.free(self._last)

    def _remember_start(self, seed: int, model: Any, kept: Kept) -> None:
        """Keep what a seed's runs start from: values of model and optimizer.

        Some of an optimizer's variables begin as copies of the weights: averages, the
        point that steps start from.
        """
        from tuning.trainers.compiled_epochs import stored_variables, values_of

        if seed not in self._states:
            self._states[seed] = values_of(model.variables)
        model.optimizer.build(model.trainable_variables)
        kept.optimizer_states[seed] = values_of(stored_variables(model.optimizer))


def _why_not_compiled() -> str:
    """Why nothing can be trained in compiled epochs now; empty if it can."""
    if keras.backend.backend() != "tensorflow":
        return f"the Keras backend is {keras.backend.backend()}, not tensorflow."
    import tensorflow as tf

    if tf.config.functions_run_eagerly():
        return "tf.config.run_functions_eagerly is on."
    if tf.distribute.has_strategy():
        return "a tf.distribute strategy is active."
    return ""


def _in_float_type(array: np.ndarray) -> np.ndarray:
    """Floating-point data in Keras's float type, as ``fit`` converts it.

    Those in files stay there; their batches are converted.
    """
    if np.issubdtype(array.dtype, np.floating) and not is_in_file(array):
        return array.astype(keras.config.floatx(), copy=False)
    return array

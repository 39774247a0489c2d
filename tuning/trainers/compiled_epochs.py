"""One training epoch as one computation, shared by many runs.

A sweep trains small models hundreds of times. Keras's ``fit`` then spends most of its
time outside the arithmetic: on a new model, a new trace, a Python call per step. Here
one function, traced once per optimizer and compiled once per batch size, loops over
Keras's own ``train_step`` (`tuning.trainers.traced_epochs`); between runs only
variables are assigned. TensorFlow only.

It computes what ``fit`` computes, including metrics, mixed precision and a model's own
``train_step``. Wherever losses have been compared (`benchmarks/lab/fast_path.py`),
they equal those of ``fit`` with ``jit_compile=True`` bit for bit. Without
``jit_compile`` they agree to rounding error, which training at a high learning rate
amplifies step by step. Layers such as Dropout then draw other random numbers, because
TensorFlow uses another generator inside XLA.

XLA compiles the computation, unless the model has convolutions and runs on a CPU:
there XLA's convolutions take about seven times as long as TensorFlow's own. Such a
model runs as a TensorFlow graph, and equals ``fit`` with Keras's default settings.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tuning.array_data import arrays_of, count_examples
from tuning.trainers.data_order import epoch_order
from tuning.trainers.schedule import scheduled_rate
from tuning.trainers.traced_epochs import (
    ANY_ROWS,
    batches,
    check_random_numbers,
    convolves,
    training_epoch,
    validation,
)
from tuning.trainers.training_log import TrainingLog, losses_of_steps
from tuning.workload import AnyData, training_parts, validation_parts

logger = logging.getLogger(__name__)

NAME = "compiled-epochs"
NAME_WITHOUT_XLA = "graph-epochs"
"""Names of the two ways of running the computation, in records."""

NUMERIC_KINDS = "biufc"
"""Kinds of NumPy types that XLA computes with."""


class CompiledEpochs:
    """A model, an optimizer and their compiled epochs, at one batch size at a time.

    The constructor compiles the evaluation. :meth:`set_batch_size` compiles the
    training, once for each size. :meth:`train` then only runs.

    Args:
        model: built and compiled (in Keras's sense) with its optimizer.
        data: arrays; kept on the device.
        examples_per_epoch: see `tuning.workload.Workload`.
        other: compiled epochs on the same data, whose copy is used here, too.

    Attributes:
        traces: how often a train function was traced.
        execution: `NAME` or `NAME_WITHOUT_XLA`.

    Raises:
        ValueError: the data are not numbers, or training uses variables or random
            numbers that cannot be reset here, so a second run would not start like
            the first.
        Exception: whatever tracing or compiling the model raises.
    """

    def __init__(
        self,
        model: Any,
        data: AnyData,
        examples_per_epoch: int | None = None,
        other: CompiledEpochs | None = None,
    ) -> None:
        # Text as input of compiled code makes TensorFlow end the process.
        for array in (array for part in data for array in arrays_of(part)):
            if array.dtype.kind not in NUMERIC_KINDS:
                raise ValueError(
                    f"training data of type {array.dtype} cannot be compiled"
                )
        self.model = model
        self.traces = 0
        train, validation = training_parts(data), validation_parts(data)
        # Flat in what is traced, where their nesting is put together again.
        if other is not None:
            self._train_data, self._val_data = other._train_data, other._val_data
        else:
            flat = tf.nest.flatten(train), tf.nest.flatten(validation)
            self._train_data = [tf.convert_to_tensor(array) for array in flat[0]]
            self._val_data = [tf.convert_to_tensor(array) for array in flat[1]]
        self._nesting = tf.nest.map_structure(lambda _: 0, (train, validation))
        self._examples = count_examples(data.x_train)
        self._examples_per_epoch = examples_per_epoch
        self._batch_size: int | None = None
        self._train: Any = None
        self._trained_by: dict[int, Any] = {}
        # Assigning the state of another seed needs the same variables in the same
        # order; metrics are left out, because every epoch resets them.
        self._model_variables = list(model.variables)
        if not model.optimizer.built:  # LossScaleOptimizer would build twice
            model.optimizer.build(model.trainable_variables)
        self._optimizer_state = values_of(stored_variables(model.optimizer))
        # An eager step creates the variables of loss and metrics; inside a
        # tf.function they would cost a second trace.
        model.test_step(self._nested(1, [array[:1] for array in self._val_data]))
        self.execution = NAME
        self._evaluate = self._make(self._trace_evaluation, *self._val_data)
        has_gpu = bool(tf.config.list_logical_devices("GPU"))
        if convolves(self._evaluate) and not has_gpu:
            self.execution = NAME_WITHOUT_XLA
            self._evaluate = self._make(self._trace_evaluation, *self._val_data)
        check_random_numbers(self._evaluate)
        self._evaluation_logs()

    def set_batch_size(self, batch_size: int) -> None:
        """Trace and compile the training for a batch size, unless that has been done.

        Compiling here keeps it out of every run's time. The loop takes no steps,
        because compiling needs only shapes.

        Args:
            batch_size: examples per step; the last step of an epoch takes the rest,
                as in ``fit``.

        Raises:
            ValueError: as for the constructor.
            Exception: whatever tracing or compiling the model raises.
        """
        if batch_size == self._batch_size:
            return
        self._batch_size = None
        if batch_size not in self._trained_by:
            self._trained_by[batch_size] = self._compiled_training(batch_size)
        self._train = self._trained_by[batch_size]
        self._batch_size = batch_size

    def train(
        self,
        state: Sequence[np.ndarray],
        learning_rate: float | None,
        seed: int,
        epochs: int,
        log: TrainingLog,
        *,
        optimizer_state: Sequence[np.ndarray] | None = None,
        schedule: str = "constant",
    ) -> None:
        """Train from the given state and note every epoch in ``log``.

        Args:
            state: values of ``model.variables`` at the start.
            learning_rate: assigned to the optimizer; ``None`` keeps the optimizer's
                own schedule.
            seed: decides the order of the data.
            epochs: passes over the data, unless ``log`` ends them earlier.
            log: receives the logs of each epoch.
            optimizer_state: values of the optimizer's variables at the start; ``None``
                takes the values they had when this object was made.
            schedule: of the learning rate; see `tuning.trainers.schedule`.

        Raises:
            ValueError: no batch size has been set.
        """
        if self._batch_size is None:
            raise ValueError("set_batch_size comes before train.")
        self._restore(state, optimizer_state)
        log.begin(self._evaluation_logs())
        for epoch in range(epochs):
            if learning_rate is not None:
                rate = scheduled_rate(schedule, learning_rate, epoch, epochs)
                self.model.optimizer.learning_rate.assign(rate)
            order = epoch_order(self._examples, seed, epoch, self._examples_per_epoch)
            rows = batches(order, self._batch_size)
            start = time.perf_counter()
            last, means = self._train(*self._train_data, *rows)
            logs = _as_floats(last)
            seconds = time.perf_counter() - start
            steps = -(-len(order) // self._batch_size)
            losses = losses_of_steps(
                means.numpy()[:steps], self._batch_size, len(order)
            )
            for name, value in self._evaluation_logs().items():
                logs[f"val_{name}"] = value
            if not log.add_epoch(logs, seconds, losses):
                return

    def _restore(
        self,
        state: Sequence[np.ndarray],
        optimizer_state: Sequence[np.ndarray] | None,
    ) -> None:
        for variable, value in zip(self._model_variables, state, strict=True):
            variable.assign(value)
        if optimizer_state is None:
            optimizer_state = self._optimizer_state
        variables = stored_variables(self.model.optimizer)
        for variable, value in zip(variables, optimizer_state, strict=True):
            variable.assign(value)

    def _compiled_training(self, batch_size: int) -> Any:
        """The compiled training for a batch size, run once with only the last step.

        With XLA one trace serves all batch sizes, as in Keras's ``fit``: XLA compiles
        each size at its first call. Without XLA each size has a trace of its own,
        because a graph runs faster if its shapes are known.
        """
        order = epoch_order(self._examples, 0, 0, self._examples_per_epoch)
        matrix, _, last = batches(order, batch_size)
        rows = (matrix, np.int32(0), last)
        if self.execution == NAME:
            shared = next(iter(self._trained_by.values()), None)
            try:
                return self._tried_training(shared, ANY_ROWS, rows)
            except Exception:
                # Some models need to know the batch size. Any other error is raised
                # again below.
                logger.debug("No trace for any batch size.", exc_info=True)
        return self._tried_training(None, rows, rows)

    def _tried_training(self, train: Any, traced_for: Any, rows: Any) -> Any:
        """Trace a training unless one is given, and run it once on ``rows``."""
        if train is None:
            train = self._make(self._trace_training, *self._train_data, *traced_for)
            self._check_variables(train)
            check_random_numbers(train)
        train(*self._train_data, *rows)
        return train

    def _make(self, trace: Callable[..., Any], *arguments: Any) -> Any:
        """Trace a function for arguments of these shapes and types."""
        uses_xla = self.execution == NAME
        function = tf.function(trace, jit_compile=uses_xla, autograph=False)
        return function.get_concrete_function(*arguments)

    def _check_variables(self, traced: Any) -> None:
        model = self.model
        known = {
            variable.value.ref()
            for variable in (
                *self._model_variables,
                *stored_variables(model.optimizer),
                *model.metrics_variables,
            )
        }
        strangers = [v.name for v in traced.graph.variables if v.ref() not in known]
        if strangers:
            raise ValueError(
                f"training uses variables {strangers} that belong to neither the "
                "model nor its optimizer (random numbers drawn without a "
                "keras.random.SeedGenerator do)"
            )

    def _trace_training(self, *arguments: Any) -> Any:
        self.traces += 1  # runs in Python, so once per trace
        count = len(self._train_data)
        return training_epoch(
            self.model, self._nested(0, arguments[:count]), *arguments[count:]
        )

    def _trace_evaluation(self, *arguments: Any) -> Any:
        return validation(self.model, self._nested(1, arguments))

    def _nested(self, which: int, flat: Sequence[Any]) -> Any:
        """Training (0) or validation data (1) in the user's nesting."""
        return tf.nest.pack_sequence_as(self._nesting[which], flat)

    def _evaluation_logs(self) -> dict[str, float]:
        return _as_floats(self._evaluate(*self._val_data))


def stored_variables(optimizer: Any) -> list[Any]:
    """The variables of a built optimizer that can be assigned."""
    # Entries of `keras_adam.Adam.variables` may be views of variables they share.
    return getattr(optimizer, "stored_variables", optimizer.variables)


def values_of(variables: Sequence[Any]) -> list[np.ndarray]:
    """Copies of the current values of variables."""
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def _as_floats(logs: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in logs.items()}

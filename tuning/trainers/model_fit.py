"""Training by Keras's own ``model.fit``: works for every model and backend.

The batches, their order and the validation are those of
`tuning.trainers.compiled_epochs`, so both give the same result. The exception is random
numbers that differ between compiled and uncompiled TensorFlow, such as Dropout's.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from tuning.array_data import count_examples, map_arrays
from tuning.trainers.array_batches import (
    OrderedBatches,
    ShuffledBatches,
    is_streamed,
)
from tuning.trainers.data_order import evaluation_batch
from tuning.trainers.model_input import as_model_input
from tuning.trainers.schedule import scheduled_rate
from tuning.trainers.training_log import TrainingLog, losses_of_steps
from tuning.workload import AnyData, training_parts, validation_parts

NAME = "model.fit"


def fit(
    model: Any,
    data: AnyData,
    batch_size: int,
    seed: int,
    epochs: int,
    log: TrainingLog,
    *,
    schedule: str = "constant",
    examples_per_epoch: int | None = None,
) -> None:
    """Train a freshly built and compiled model and note every epoch in ``log``.

    The logged times include Keras's tracing and compiling in the first epoch.

    Args:
        model: with its optimizer, set to the learning rate of the first epoch.
        data: for training and validation.
        batch_size: examples per step.
        seed: decides the order of the data.
        epochs: to train, unless ``log`` ends them earlier.
        log: receives the logs of each epoch.
        schedule: of the learning rate; see `tuning.trainers.schedule.scheduled_rate`.
        examples_per_epoch: see `tuning.workload.Workload`.
    """
    validation: Any = map_arrays(as_model_input, validation_parts(data))
    size = evaluation_batch(count_examples(data.x_val))
    named = dict(zip(("x", "y", "sample_weight"), validation, strict=False))
    if is_streamed(validation):
        validation = OrderedBatches(validation, size)
        logs = model.evaluate(validation, verbose=0, return_dict=True)
    else:
        logs = model.evaluate(**named, batch_size=size, verbose=0, return_dict=True)
    log.begin(logs)
    examples = examples_per_epoch or count_examples(data.x_train)
    model.fit(
        ShuffledBatches(training_parts(data), batch_size, seed, examples_per_epoch),
        validation_data=validation,
        validation_batch_size=None if is_streamed(validation) else size,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=[
            _Report(log, batch_size, examples),
            *([] if schedule == "constant" else [EpochRate(schedule, epochs)]),
        ],
    )


class EpochRate(keras.callbacks.Callback):
    """Gives every epoch its learning rate."""

    def __init__(
        self, schedule: str, epochs: int, optimizers: Sequence[Any] = ()
    ) -> None:
        super().__init__()
        self._schedule = schedule
        self._epochs = epochs
        self._optimizers = optimizers
        self._first: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Mapping | None = None) -> None:
        """Assign the learning rate of the epoch."""
        own = self.model.optimizer  # pyright: ignore[reportOptionalMemberAccess]
        rates = [optimizer.learning_rate for optimizer in self._optimizers or [own]]
        if epoch == 0:
            self._first = [float(keras.ops.convert_to_numpy(rate)) for rate in rates]
        for rate, first in zip(rates, self._first, strict=True):
            rate.assign(scheduled_rate(self._schedule, first, epoch, self._epochs))


class _Report(keras.callbacks.Callback):
    """Notes every epoch in the log, and stops the training when the log asks for it."""

    def __init__(self, log: TrainingLog, batch_size: int, examples: int) -> None:
        super().__init__()
        self._log = log
        self._batch_size = batch_size
        self._examples = examples
        self._means: list[Any] = []
        self._start = self._trained = 0.0

    def on_epoch_begin(self, epoch: int, logs: Mapping | None = None) -> None:
        self._means = []
        self._start = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Mapping | None = None) -> None:
        # Made a number after the epoch: here that would wait for the device.
        self._means.append((logs or {}).get("loss", math.nan))

    def on_test_begin(self, logs: Mapping | None = None) -> None:
        self._trained = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Mapping | None = None) -> None:
        means = [float(mean) for mean in self._means]
        losses = losses_of_steps(means, self._batch_size, self._examples)
        if not self._log.add_epoch(logs or {}, self._trained - self._start, losses):
            self.model.stop_training = True  # pyright: ignore[reportOptionalMemberAccess]

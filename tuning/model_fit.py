"""Training by Keras's own ``model.fit``: works for every model and backend.

The batches, their order and the validation are those of `tuning.compiled_epochs`,
so a run comes out the same either way (random numbers that differ between compiled
and uncompiled TensorFlow, such as Dropout's, aside).
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from tuning.course import EVALUATION_BATCH, Course, epoch_order
from tuning.workload import Data

NAME = "model.fit"


def fit(
    model: Any, data: Data, batch_size: int, seed: int, epochs: int, course: Course
) -> None:
    """Train a freshly built and compiled model and tell ``course`` how it goes.

    Its times include Keras's tracing and compiling in the first epoch.
    """
    logs = model.evaluate(
        data.x_val, data.y_val, EVALUATION_BATCH, verbose=0, return_dict=True
    )
    course.begin(logs)
    model.fit(
        ShuffledBatches(data.x_train, data.y_train, batch_size, seed),
        validation_data=(data.x_val, data.y_val),
        validation_batch_size=EVALUATION_BATCH,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=[_Report(course)],
    )


class ShuffledBatches(keras.utils.PyDataset):
    """Batches in the order that the seed gives each epoch."""

    def __init__(
        self, x: np.ndarray, y: np.ndarray, batch_size: int, seed: int
    ) -> None:
        super().__init__()
        self._x, self._y = x, y
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = -1
        self._order = epoch_order(len(x), seed, 0)

    def __len__(self) -> int:
        """Steps per epoch, the last one perhaps smaller."""
        return math.ceil(len(self._x) / self._batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """The batch of one step: inputs and targets."""
        start = index * self._batch_size
        rows = self._order[start : start + self._batch_size]
        return self._x[rows], self._y[rows]

    def on_epoch_begin(self) -> None:
        """Turn to the epoch's order.

        Keras calls it before it asks for the epoch's batches; ``on_epoch_end`` comes
        too late for the first of them, and once before the first epoch.
        """
        self._epoch += 1
        self._order = epoch_order(len(self._x), self._seed, self._epoch)


class _Report(keras.callbacks.Callback):
    """Hands every epoch to the course and ends the training when told to."""

    def __init__(self, course: Course) -> None:
        super().__init__()
        self._course = course
        self._start = self._trained = 0.0

    def on_epoch_begin(self, epoch: int, logs: Mapping | None = None) -> None:
        self._start = time.perf_counter()

    def on_test_begin(self, logs: Mapping | None = None) -> None:
        self._trained = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Mapping | None = None) -> None:
        if not self._course.add_epoch(logs or {}, self._trained - self._start):
            self.model.stop_training = True  # pyright: ignore[reportOptionalMemberAccess]

"""Batches of arrays, cut when they are needed: the arrays are never copied whole."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np

from tuning.array_data import arrays_of, count_examples, map_arrays
from tuning.file_arrays import is_in_file
from tuning.trainers.data_order import epoch_order
from tuning.trainers.model_input import as_model_input


def is_streamed(parts: Any) -> bool:
    """Whether the data are read from files batch by batch."""
    return any(is_in_file(array) for array in arrays_of(parts))


class OrderedBatches(keras.utils.PyDataset):
    """Batches in the order of the arrays.

    Args:
        parts: inputs, targets and, if there are any, weights.
        batch_size: examples per batch, but for the last one.
    """

    def __init__(self, parts: tuple[Any, ...], batch_size: int) -> None:
        super().__init__()
        self._parts = map_arrays(as_model_input, parts)
        self._batch_size = batch_size
        self._order = np.arange(count_examples(parts))

    def __len__(self) -> int:
        """Batches per epoch, the last one perhaps smaller."""
        return math.ceil(len(self._order) / self._batch_size)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """A batch: inputs, targets and, if there are any, weights."""
        start = index * self._batch_size
        rows = self._order[start : start + self._batch_size]
        return map_arrays(lambda array: _take(array, rows), self._parts)


class ShuffledBatches(OrderedBatches):
    """Batches in the order that the seed gives each epoch.

    Args:
        parts: inputs, targets and, if there are any, weights.
        batch_size: examples per batch, but for the last one.
        seed: decides the order.
        examples_per_epoch: see `tuning.workload.Workload`.
    """

    def __init__(
        self,
        parts: tuple[Any, ...],
        batch_size: int,
        seed: int,
        examples_per_epoch: int | None = None,
    ) -> None:
        super().__init__(parts, batch_size)
        self._examples = len(self._order)
        self._per_epoch = examples_per_epoch
        self._seed = seed
        self._epoch = -1
        self._order = epoch_order(self._examples, seed, 0, examples_per_epoch)

    def on_epoch_begin(self) -> None:
        """Switch to the order of the next epoch.

        Keras calls this before it asks for the epoch's batches. ``on_epoch_end`` comes
        too late for the first batch, and also once before the first epoch.
        """
        self._epoch += 1
        self._order = epoch_order(
            self._examples, self._seed, self._epoch, self._per_epoch
        )


def _take(array: Any, rows: np.ndarray) -> Any:
    if isinstance(array, np.ndarray):
        taken = array[rows]
        if np.issubdtype(taken.dtype, np.floating):
            return taken.astype(keras.config.floatx(), copy=False)
        return taken
    import tensorflow as tf

    return tf.gather(array, rows)

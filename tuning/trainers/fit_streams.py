"""Arrays in files for ``model.fit``: batches are cut when they are needed."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tuning.array_data import as_arrays
from tuning.file_arrays import is_in_file
from tuning.trainers.array_batches import OrderedBatches, ShuffledBatches

VALIDATION_BATCH = 256
"""Examples per validation step where the data have no batches: means do not depend on
it."""


def with_streams(arguments: dict[str, Any], batch_size: int) -> dict[str, Any]:
    """Batches that are cut when they are needed, in the place of arrays in files.

    ``fit`` would copy the arrays whole.

    Args:
        arguments: of ``fit``, with arrays.
        batch_size: of the run.
    """
    names = ("x", "y", "sample_weight")
    parts = tuple(arguments.get(name) for name in names)
    if _are_streamed(parts):
        rest = {k: v for k, v in arguments.items() if k not in (*names, "batch_size")}
        present = _present(parts)
        if rest.pop("shuffle", True):
            # Of the run's own random numbers, which have been seeded.
            seed = int(np.random.randint(2**31))
            rest["x"] = ShuffledBatches(present, batch_size, seed)
        else:
            rest["x"] = OrderedBatches(present, batch_size)
        arguments = {**rest, "shuffle": False}
    validation = arguments.get("validation_data")
    if isinstance(validation, (tuple, list)) and _are_streamed(tuple(validation)):
        size = arguments.pop("validation_batch_size", None) or VALIDATION_BATCH
        batches = OrderedBatches(_present(tuple(validation)), size)
        arguments = {**arguments, "validation_data": batches}
    return arguments


def _are_streamed(parts: tuple[Any, ...]) -> bool:
    """Whether arrays are in files, and are all that a batch has."""
    arrays = [array for part in parts for array in keras.tree.flatten(part)]
    has_gap = parts[1:] and parts[1] is None and parts[2:] not in ((), (None,))
    return not has_gap and any(map(is_in_file, arrays))


def _present(parts: tuple[Any, ...]) -> tuple[Any, ...]:
    """The parts that are there, with arrays at every leaf."""
    return tuple(as_arrays(part, "data") for part in parts if part is not None)

"""The order of the data, the same for every way of training."""

from __future__ import annotations

import math

import numpy as np

EVALUATION_BATCH = 256
"""Most examples per validation step. Means do not depend on it; 256 keeps a step's
memory near that of training."""


def epoch_order(
    examples: int, seed: int, epoch: int, per_epoch: int | None = None
) -> np.ndarray:
    """The training data of one epoch in their order: [per_epoch] row numbers.

    It depends on seed and epoch alone, so optimizers and learning rates are compared
    on the same batches.

    Args:
        examples: of the training data.
        seed: of the run.
        epoch: counted from 0.
        per_epoch: examples that make an epoch, if not all of them: then epochs are
            equal pieces of one pass over the data after the other, each pass in an
            order of its own.
    """
    if per_epoch is None:
        return _pass_order(examples, seed, epoch)
    start = epoch * per_epoch
    first, last = start // examples, (start + per_epoch - 1) // examples
    passes = [_pass_order(examples, seed, n) for n in range(first, last + 1)]
    begin = start - first * examples
    return np.concatenate(passes)[begin : begin + per_epoch]


def evaluation_batch(examples: int) -> int:
    """Examples per validation step: equally many in each, where that can be.

    Steps of one size are compiled once. At most twice as many steps as needed are
    taken for it; else the last one is smaller.

    Args:
        examples: of the validation data.
    """
    needed = math.ceil(examples / EVALUATION_BATCH)
    for steps in range(needed, 2 * needed + 1):
        if examples % steps == 0:
            return examples // steps
    return EVALUATION_BATCH


def _pass_order(examples: int, seed: int, number: int) -> np.ndarray:
    return np.random.default_rng([seed, number]).permutation(examples)

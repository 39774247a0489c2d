"""The order of the data, the same for every way of training."""

from __future__ import annotations

import math

import numpy as np

EVALUATION_BATCH = 256
"""Largest number of examples per validation step. Means do not depend on it; 256 keeps
a step's memory near that of training."""


def epoch_order(
    examples: int, seed: int, epoch: int, per_epoch: int | None = None
) -> np.ndarray:
    """Row numbers of the training data of one epoch, in training order: [per_epoch].

    They depend on seed and epoch alone, so optimizers and learning rates are compared
    on the same batches.

    Args:
        examples: number of training examples.
        seed: of the run.
        epoch: counted from 0.
        per_epoch: examples per epoch; ``None`` for all. Otherwise epochs cut
            consecutive passes over the data into equal pieces, and every pass has
            its own order.
    """
    if per_epoch is None:
        return _pass_order(examples, seed, epoch)
    start = epoch * per_epoch
    first, last = start // examples, (start + per_epoch - 1) // examples
    passes = [_pass_order(examples, seed, n) for n in range(first, last + 1)]
    begin = start - first * examples
    return np.concatenate(passes)[begin : begin + per_epoch]


def evaluation_batch(examples: int) -> int:
    """Examples per validation step, the same number in every step if possible.

    Steps of one size are compiled once, which is worth up to twice as many steps as
    needed. If even that does not divide the data evenly, the last step is smaller.

    Args:
        examples: number of validation examples.
    """
    needed = math.ceil(examples / EVALUATION_BATCH)
    for steps in range(needed, 2 * needed + 1):
        if examples % steps == 0:
            return examples // steps
    return EVALUATION_BATCH


def _pass_order(examples: int, seed: int, number: int) -> np.ndarray:
    return np.random.default_rng([seed, number]).permutation(examples)

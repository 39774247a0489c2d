"""The saved form of the state, which is that of ``keras.optimizers.Adam``.

Keras numbers the variables of an optimizer in the order of their creation and, on
loading, compares nothing but their number: with another number it trains on from
zero. Here the order is Keras's, so that files go both ways, and what does not fit is
refused before anything is overwritten.

Order: step count, rate (if it is a number), averages, accumulators, both moments
interleaved per weight, AMSGrad's largest second moments; then what only ours has: the
remainders of low-precision weights. The count of skipped steps is not saved.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np

logger = logging.getLogger(__name__)

Arrays = dict[str, np.ndarray]


def write_variables(
    store: MutableMapping[str, Any], variables: Sequence[Any], extras: Sequence[Any]
) -> None:
    """Write Keras's variables and then ours, numbered in one row.

    Args:
        store: of Keras's saving format; keys are numbers as text.
        variables: those that Keras's Adam has as well, in its order.
        extras: those that only ours has.
    """
    for number, variable in enumerate([*variables, *extras]):
        store[str(number)] = variable.numpy()


def copy_arrays(store: Any) -> Arrays:
    """Read a store into memory, where it outlives the file."""
    return {str(key): np.asarray(store[str(key)]) for key in list(store.keys())}


def read_variables(
    store: Any, variables: Sequence[Any], extras: Sequence[Any], scalars: int
) -> None:
    """Assign a saved state, or refuse it and leave everything as it was.

    Args:
        store: as `write_variables` or Keras's Adam wrote it.
        variables: those that Keras's Adam has as well, in its order.
        extras: those that only ours has; zero if the file is Keras's.
        scalars: how many of the first ``variables`` exist before the optimizer is
            built. A file with just these was saved before the first step.

    Raises:
        ValueError: another number of variables, or other shapes.
    """
    count = len(list(store.keys()))
    if count == scalars:
        targets = list(variables[:scalars])
    elif count == len(variables):
        targets = list(variables)
        if extras:
            logger.info(
                "The file holds no remainders of low-precision weights, as those of "
                "keras.optimizers.Adam do not; they start from zero."
            )
            for extra in extras:
                extra.assign(np.zeros(extra.shape))
    else:
        targets = [*variables, *extras]
    if count != len(targets):
        raise ValueError(_count_mismatch(count, len(targets)))
    _check_shapes(store, targets)
    for number, variable in enumerate(targets):
        variable.assign(store[str(number)])


def _check_shapes(store: Mapping[str, Any], targets: Sequence[Any]) -> None:
    for number, variable in enumerate(targets):
        saved = tuple(store[str(number)].shape)
        if saved != tuple(variable.shape):
            raise ValueError(
                f"The saved optimizer state does not fit: its variable {number} has "
                f"the shape {saved}, {variable.path!r} has {tuple(variable.shape)}. "
                + _ADVICE
            )


def _count_mismatch(saved: int, wanted: int) -> str:
    return (
        f"The saved optimizer state does not fit: it has {saved} variables, this "
        f"optimizer needs {wanted}. {_ADVICE}"
    )


_ADVICE = (
    "It was saved for another model or with other options: amsgrad, use_ema, "
    "gradient_accumulation_steps, and whether the learning rate is a number decide "
    "what is saved. Create the optimizer with the options of the saved one; or, to "
    "start its state from zero, load with compile=False or call compile() again "
    "after loading."
)

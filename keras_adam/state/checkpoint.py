"""The state of the optimizer, saved in the form of ``keras.optimizers.Adam``.

Keras numbers the variables of an optimizer in the order of their creation. When it
loads a file, it compares only their number; if that differs, it trains on from zero.
Here the order is Keras's (`keras_adam.state.checkpoint_layout`), so that files can be
exchanged in both directions. A file that does not fit is refused before anything is
overwritten.

Moments are saved as they are stored. If the optimizer that loads them has another
``moment_storage``, they are converted (`keras_adam.state.checkpoint_storage`). Counts
of skipped and of clipped steps are not saved.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import MutableMapping
from typing import Any

import numpy as np

from keras_adam.state import checkpoint_laws as state_laws
from keras_adam.state.checkpoint_layout import (
    CONTROLS,
    KINDS,
    REMAINDERS,
    Arrays,
    Layout,
    Place,
    StoredMoment,
    lengths,
    places,
    places_of_moment,
)
from keras_adam.state.checkpoint_storage import convert_moments, saved_storage
from keras_adam.storage import STORAGES

logger = logging.getLogger(__name__)


def write_variables(store: MutableMapping[str, Any], layout: Layout) -> None:
    """Write Keras's variables and then ours, numbered consecutively.

    Args:
        store: of Keras's saving format; keys are numbers as text.
        layout: the optimizer's variables.
    """
    arrays = [variable.numpy() for variable in layout.without_last_steps()]
    if layout.steps_taken is not None and _is_a_row_behind(layout):
        # Keras's Adam cannot load last steps, so they are saved only if a row is
        # behind. After `fit` none is.
        arrays += _last_steps_by_step_count(layout, layout.steps_taken.numpy())
    for number, array in enumerate(arrays):
        store[str(number)] = array


def copy_arrays(store: Any) -> Arrays:
    """Copy a store into memory: its file may be closed before the state is used.

    Raises:
        ValueError: an array is missing.
    """
    arrays = {str(key): np.asarray(store[str(key)]) for key in list(store.keys())}
    state_laws.check_numbering(arrays)
    return arrays


def read_scalars(store: Any, scalars: list[Any]) -> Arrays:
    """Assign step count and learning rate of a state; the rest has to wait.

    They keep their values if the file's first arrays are not scalars. Such a file will
    be refused when the optimizer is built.

    Args:
        store: as `write_variables` or Keras's Adam wrote it.
        scalars: step count and, if it is a number, the learning rate.

    Returns:
        The whole state.

    Raises:
        ValueError: it cannot be the state of any optimizer; nothing has been changed.
    """
    arrays = copy_arrays(store)
    found = [arrays.get(str(number)) for number in range(len(scalars))]
    saved = [array for array in found if array is not None and array.shape == ()]
    are_scalars = len(saved) == len(scalars)
    if are_scalars:
        state_laws.check_scalars(saved, scalars)
    state_laws.check_numbers(arrays)
    if are_scalars:
        for variable, array in zip(scalars, saved, strict=True):
            variable.assign(array)
    return arrays


def read_variables(store: Any, layout: Layout, *, with_scalars: bool = True) -> None:
    """Assign a saved state, or refuse it and leave everything as it was.

    A file with only step count and learning rate was saved before the first step.
    Keras's Adam saves no rounding errors, controls or last steps. State that a file
    does not have starts from zero. If it has no last steps, all table rows are up to
    date.

    Args:
        store: as `write_variables` or Keras's Adam wrote it.
        layout: the optimizer's variables.
        with_scalars: whether step count and learning rate are assigned as well.

    Raises:
        ValueError: another number of variables, other shapes or dtypes, or values
            that cannot be a state: NaN, infinity, a negative second moment and so on.
    """
    saved = copy_arrays(store)
    storage = saved_storage(saved, layout)
    expected = places(layout, storage)
    if len(saved) not in lengths(expected):
        own = lengths(places(layout, layout.moment_storage))
        wanted = sorted(own - {len(layout.scalars)}) or [len(layout.scalars)]
        raise ValueError(
            f"The saved optimizer state does not fit: it has {len(saved)} variables, "
            f"this optimizer needs {' or '.join(map(str, wanted))}. {_ADVICE}"
        )
    arrays = [saved[str(number)] for number in range(len(saved))]
    _check_shapes(arrays, expected)
    _check_laws(arrays, expected, layout)
    values = convert_moments(arrays, layout, storage)
    if len(arrays) > len(layout.scalars):
        _warn_of_the_unusual(values, layout)
        _log_what_is_missing(len(arrays), expected)
        steps = values[id(layout.scalars[0])]
        for last_step, second in layout.last_steps:
            if id(last_step) not in values:
                values[id(last_step)] = _step_of_all_rows(values[id(second)], steps)
    if layout.steps_taken is not None:
        layout.steps_taken.assign(values[id(layout.scalars[0])])
    everything = layout.everything()
    for variable in everything if with_scalars else everything[len(layout.scalars) :]:
        value = values.get(id(variable))
        variable.assign(np.zeros(variable.shape) if value is None else value)


def _check_shapes(arrays: list[np.ndarray], expected: list[Place]) -> None:
    for number, (array, place) in enumerate(zip(arrays, expected, strict=False)):
        if array.shape != place.shape:
            raise ValueError(
                f"The saved optimizer state does not fit: its variable {number} has "
                f"the shape {array.shape}, {place.variable.path!r} has {place.shape}. "
                + _ADVICE
            )


def _check_laws(
    arrays: list[np.ndarray], expected: list[Place], layout: Layout
) -> None:
    for number, (array, place) in enumerate(zip(arrays, expected, strict=False)):
        path = place.variable.path
        state_laws.check_array(number, path, array, place.dtype, place.law)
    dtypes = {
        id(place.variable): array.dtype
        for array, place in zip(arrays, expected, strict=False)
    }
    for second, largest in zip(
        layout.second_moments, layout.largest_second_moments, strict=False
    ):
        found = [dtypes.get(id(moment.codes)) for moment in (second, largest)]
        if found[0] != found[1]:
            raise ValueError(
                "The saved optimizer state does not fit: for the largest second moment "
                f"{largest.codes.path!r} it has the dtype {found[1]}, for the second "
                f"moment {found[0]}. {_ADVICE}"
            )


def is_of_other_weights(arrays: Arrays, layout: Layout) -> bool:
    """Whether a state is of other weights than the optimizer's, whatever its options.

    This happens if layers were frozen, unfrozen or replaced after it was saved. Only
    the shapes are compared. If the same weights can have these shapes under any
    options, the result is false: it may be the options that differ.

    Args:
        arrays: of the saved state.
        layout: of the optimizer's variables.
    """
    shapes = [arrays[str(number)].shape for number in range(len(arrays))]
    weights = [moment.shape for moment in layout.first_moments]
    pairs = zip(layout.first_moments, layout.second_moments, strict=True)
    both = [part for pair in pairs for part in zip(pair, KINDS, strict=True)]
    largest = [(moment, "second") for moment in layout.second_moments]
    if shapes in ([()], [(), ()]) or _fits(arrays, layout):
        return False  # Saved before the first step, or exactly what is needed.
    for scalars, copies, storage, moments in itertools.product(
        (1, 2), (0, 1, 2), STORAGES, (both, both + largest)
    ):
        # Averages and accumulators have the weights' shapes.
        expected = [()] * scalars + weights * copies
        for moment, kind in moments:
            expected += [p.shape for p in places_of_moment(moment, kind, storage)]
        number = len(expected)
        if shapes[:number] == expected and _may_follow_moments(shapes[number:], layout):
            return False
    return True


def _fits(arrays: Arrays, layout: Layout) -> bool:
    expected = places(layout, saved_storage(arrays, layout))
    return len(arrays) in lengths(expected) and all(
        arrays[str(number)].shape == place.shape
        for number, place in enumerate(expected[: len(arrays)])
    )


def _may_follow_moments(shapes: list[tuple[int, ...]], layout: Layout) -> bool:
    """Whether these can be (some of) rounding errors, controls and last steps."""
    remainders = [tuple(variable.shape) for variable in layout.remainders]
    if remainders and shapes[: len(remainders)] == remainders:
        shapes = shapes[len(remainders) :]
    rest = list(itertools.dropwhile(lambda shape: shape == (), shapes))
    if len(shapes) - len(rest) > _MOST_CONTROLS:
        return False
    rows = {moment.shape[:1] for moment in layout.first_moments}
    return all(shape in rows and shape != () for shape in rest)


_MOST_CONTROLS = 5
"""Two scalars of the learning rate, and three of the spike guard."""


def _is_a_row_behind(layout: Layout) -> bool:
    if layout.steps_taken is None:
        return False
    step = layout.steps_taken.numpy()
    saved = (last_step.numpy() for last_step, _ in layout.last_steps)
    return any(np.any((array != 0) & (array != step)) for array in saved)


def _last_steps_by_step_count(layout: Layout, steps_taken: Any) -> list[np.ndarray]:
    """Last steps as if the step count had never been set by the user.

    A row that has missed more steps than the step count allows is saved as if step 1
    was its last.
    """
    ahead = int(layout.scalars[0].numpy()) - int(steps_taken)
    saved = [last_step.numpy() for last_step, _ in layout.last_steps]
    return [
        np.where(array == 0, 0, np.maximum(array + ahead, 1)).astype(array.dtype)
        for array in saved
    ]


def _step_of_all_rows(second_moment: np.ndarray, step: Any) -> np.ndarray:
    """The step count for each row that ever had a gradient, 0 for the others."""
    axes = tuple(range(1, second_moment.ndim))
    return np.where(np.any(second_moment != 0, axis=axes), step, 0)


def _warn_of_the_unusual(values: dict[int, np.ndarray], layout: Layout) -> None:
    """Warn of values that suggest, without proof, that the file's options differed."""
    steps = int(values[id(layout.scalars[0])])

    def of(moments: list[StoredMoment]) -> list[np.ndarray]:
        return [values[id(moment.codes)] for moment in moments]

    averages = [values[id(variable)] for variable in layout.averages]
    sums = [values[id(variable)] for variable in layout.accumulators]
    second, largest = of(layout.second_moments), of(layout.largest_second_moments)
    unusual = []
    if any(np.any(a < b) for a, b in zip(largest, second, strict=bool(largest))):
        unusual.append("a largest second moment (amsgrad) is below the second moment")
    if steps >= layout.micro_batches and averages and not any(map(np.any, averages)):
        unusual.append("the averages of all weights (use_ema) are zero")
    if steps % layout.micro_batches == 0 and any(map(np.any, sums)):
        unusual.append(
            "gradients are left over from a finished accumulation "
            "(gradient_accumulation_steps)"
        )
    if unusual:
        logger.warning(
            "The optimizer state was loaded, but something in it is unusual after %d "
            "steps: %s. If the file was saved with other options, training will not "
            "continue as before.",
            steps,
            "; ".join(unusual),
        )


def _log_what_is_missing(length: int, expected: list[Place]) -> None:
    def is_missing(group: int) -> bool:
        has_group = any(place.group == group for place in expected)
        return has_group and not any(p.group == group for p in expected[:length])

    if is_missing(REMAINDERS):
        logger.info(
            "The file has no rounding errors of low-precision weights, which "
            "keras.optimizers.Adam does not save. They start from zero."
        )
    elif is_missing(CONTROLS):
        logger.info(
            "The file holds nothing of rate_cap, rate_adaptation or spike_guard, "
            "which keras.optimizers.Adam does not save. The rate is capped anew; its "
            "adaptation is as slow as it is at the file's step count."
        )


_ADVICE = (
    "It was saved for another model, with other layers frozen, or with other options: "
    "amsgrad, use_ema, "
    "gradient_accumulation_steps, sparse_updates, rate_cap, rate_adaptation, "
    "spike_guard, and whether the learning rate is a number decide what is saved. "
    "Create the optimizer with the options of the saved one; or, to start its state "
    "from zero, load with compile=False, or call compile() with a new optimizer after "
    "loading (also after load_weights(skip_mismatch=True))."
)

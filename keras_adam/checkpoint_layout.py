"""The saved form of the state, which is that of ``keras.optimizers.Adam``.

Keras numbers the variables of an optimizer in the order of their creation and, on
loading, compares nothing but their number: with another number it trains on from
zero. Here the order is Keras's, so that files go both ways, and what does not fit is
refused before anything is overwritten.

Order: step count, rate (if it is a number), averages, accumulators, both moments
interleaved per weight, AMSGrad's largest second moments; then what only ours has: the
remainders of low-precision weights, the scalars that control a step, and the last step
of each row of a table if a row is behind. Counts of skipped and of clipped steps are
not saved.

Moments are saved as they are stored. Under another ``moment_storage`` than the
optimizer's they are converted when they are loaded.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import MutableMapping
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from keras_adam.moment_storage import STORAGES, Codec, largest_magnitudes

logger = logging.getLogger(__name__)

Arrays = dict[str, np.ndarray]


class StoredMoment(NamedTuple):
    """One moment of one weight.

    Attributes:
        codes: the variable that holds it.
        scales: a second one, where the storage has scales.
        shape: of the weight.
        can_be_encoded: whether the optimizer's ``moment_storage`` concerns it.
    """

    codes: Any
    scales: Any | None
    shape: tuple[int, ...]
    can_be_encoded: bool

    def variables(self) -> list[Any]:
        """What is saved, in order."""
        return [self.codes] if self.scales is None else [self.codes, self.scales]


class Layout(NamedTuple):
    """The variables that are saved, by what they are.

    Attributes:
        scalars: step count and, if it is a number, the rate; they exist before the
            optimizer is built.
        averages: of the weights.
        accumulators: of gradients.
        first_moments: one per weight.
        second_moments: one per weight.
        largest_second_moments: one per weight, with AMSGrad.
        remainders: of low-precision weights; Keras's Adam has none.
        last_steps: per table that is stepped by rows, the last step of each row (0:
            never) and the table's second moment.
        steps_taken: the count by which last steps are counted, where there are any. In
            files they are counted by the step count.
        micro_batches: per update; 1 without accumulation.
        moment_storage: the name of how large weights' moments are kept.
        controls: scalars that control a step; Keras's Adam has none.
    """

    scalars: list[Any]
    averages: list[Any]
    accumulators: list[Any]
    first_moments: list[StoredMoment]
    second_moments: list[StoredMoment]
    largest_second_moments: list[StoredMoment]
    remainders: list[Any]
    last_steps: list[tuple[Any, Any]]
    steps_taken: Any | None
    micro_batches: int
    moment_storage: str
    controls: list[Any]

    def before_moments(self) -> list[Any]:
        """What is saved before the first moment."""
        return [*self.scalars, *self.averages, *self.accumulators]

    def moments(self) -> list[tuple[StoredMoment, str]]:
        """All moments in order, each with its kind: a field of `MomentStorage`."""
        pairs = zip(self.first_moments, self.second_moments, strict=True)
        return [
            *((m, kind) for p in pairs for m, kind in zip(p, _KINDS, strict=True)),
            *((largest, "second") for largest in self.largest_second_moments),
        ]

    def shared(self) -> list[Any]:
        """What Keras's Adam has as well, in its order."""
        of_moments = [moment.variables() for moment, _ in self.moments()]
        return [*self.before_moments(), *itertools.chain.from_iterable(of_moments)]


_KINDS = ("first", "second")


def write_variables(store: MutableMapping[str, Any], layout: Layout) -> None:
    """Write Keras's variables and then ours, numbered in one row.

    Args:
        store: of Keras's saving format; keys are numbers as text.
        layout: the optimizer's variables.
    """
    variables = [*layout.shared(), *layout.remainders, *layout.controls]
    arrays = [variable.numpy() for variable in variables]
    if _is_a_row_behind(layout):
        # Only then: Keras's Adam would not load them, and after `fit` none is.
        arrays += _last_steps_by_step_count(layout)
    for number, array in enumerate(arrays):
        store[str(number)] = array


def copy_arrays(store: Any) -> Arrays:
    """Read a store into memory, where it outlives the file."""
    return {str(key): np.asarray(store[str(key)]) for key in list(store.keys())}


def read_variables(store: Any, layout: Layout, *, with_scalars: bool = True) -> None:
    """Assign a saved state, or refuse it and leave everything as it was.

    A file with nothing but step count and rate was saved before the first step; one
    without remainders and controls is Keras's. What a file does not have starts from
    zero; rows whose last step it does not have are not behind.

    Args:
        store: as `write_variables` or Keras's Adam wrote it.
        layout: the optimizer's variables.
        with_scalars: whether step count and rate are assigned as well.

    Raises:
        ValueError: another number of variables, other shapes, or values that are no
            state of such an optimizer.
    """
    arrays = _in_own_storage(copy_arrays(store), layout)
    shared = layout.shared()
    last_steps = [last_step for last_step, _ in layout.last_steps]
    with_remainders = [*shared, *layout.remainders]
    without_last_steps = [*with_remainders, *layout.controls]
    everything = [*without_last_steps, *last_steps]
    complete = (layout.scalars, shared, with_remainders, without_last_steps, everything)
    lengths = {len(variables) for variables in complete}
    if len(arrays) not in lengths:
        wanted = sorted(lengths - {len(layout.scalars)}) or [len(layout.scalars)]
        raise ValueError(
            f"The saved optimizer state does not fit: it has {len(arrays)} variables, "
            f"this optimizer needs {' or '.join(map(str, wanted))}. {_ADVICE}"
        )
    targets = everything[: len(arrays)]
    values = {id(v): arrays[str(i)] for i, v in enumerate(targets)}
    _check_shapes(values, targets)
    if len(arrays) > len(layout.scalars):
        _check_values(values, layout)
        if len(arrays) < len(with_remainders):
            logger.info(
                "The file holds no remainders of low-precision weights, as those of "
                "keras.optimizers.Adam do not; they start from zero."
            )
        if len(with_remainders) <= len(arrays) < len(without_last_steps):
            logger.info(
                "The file holds nothing of rate_cap, rate_adaptation or spike_guard, "
                "as those of keras.optimizers.Adam do not. The rate is capped anew; "
                "adaptation is as slow as the file's step count says."
            )
        if len(arrays) < len(everything):
            steps = values[id(layout.scalars[0])]
            for last_step, second in layout.last_steps:
                values[id(last_step)] = _step_of_all_rows(values[id(second)], steps)
    if layout.steps_taken is not None:
        layout.steps_taken.assign(values[id(layout.scalars[0])])
    for variable in everything if with_scalars else everything[len(layout.scalars) :]:
        saved = values.get(id(variable))
        variable.assign(np.zeros(variable.shape) if saved is None else saved)


def _in_own_storage(arrays: Arrays, layout: Layout) -> Arrays:
    """The saved arrays with moments in this optimizer's storage.

    Left as they are where they are so already, or where they cannot be told: what
    does not fit will be refused.
    """
    moments = layout.moments()
    if not any(moment.can_be_encoded for moment, _ in moments):
        return arrays
    number = len(layout.before_moments())
    storage, own_storage = (
        _saved_storage(arrays, moments, number),
        layout.moment_storage,
    )
    if storage in (None, own_storage):
        return arrays
    saved = [arrays[str(i)] for i in range(len(arrays))]
    own, remaining = saved[:number], saved[number:]
    for moment, kind in moments:
        if not moment.can_be_encoded:
            own += remaining[:1]
            remaining = remaining[1:]
            continue
        count = 2 if getattr(STORAGES[storage], kind).has_scales else 1
        parts, remaining = remaining[:count], remaining[count:]
        shape = STORAGES[storage].stored_shape(moment.shape)
        if len(parts) < count or parts[0].shape != shape:
            return arrays
        own += _converted(parts, moment.shape, storage, own_storage, kind)
    logger.info(
        "The optimizer state was saved with moment_storage=%r and is converted to %r.",
        storage,
        own_storage,
    )
    return {str(i): array for i, array in enumerate([*own, *remaining])}


def _converted(
    parts: list[np.ndarray], shape: tuple[int, ...], saved: str, own: str, kind: str
) -> list[np.ndarray]:
    """Codes, and scales if there are some, of one storage as those of another."""
    tensors = [ops.convert_to_tensor(part) for part in parts]
    codec: Codec = getattr(STORAGES[saved], kind)
    values = codec.decode(tensors[0], tensors[1] if codec.has_scales else None)
    values = STORAGES[own].arrange(STORAGES[saved].restore(values, shape))
    codec = getattr(STORAGES[own], kind)
    scales = largest_magnitudes(values) if codec.has_scales else None
    tensors = [
        codec.encode(values, scales, None),
        *([scales] if codec.has_scales else []),
    ]
    return [ops.convert_to_numpy(tensor) for tensor in tensors]


def _saved_storage(
    arrays: Arrays, moments: list[tuple[StoredMoment, str]], number: int
) -> str | None:
    """The storage whose dtype the first moment has that a storage concerns.

    Those before it are one array each, the first of them with the given number.
    """
    before = itertools.takewhile(lambda pair: not pair[0].can_be_encoded, moments)
    array = arrays.get(str(number + len(list(before))))
    if array is None:
        return None
    names = {storage.first.dtype: name for name, storage in STORAGES.items()}
    return names.get(str(array.dtype))


def _is_a_row_behind(layout: Layout) -> bool:
    if layout.steps_taken is None:
        return False
    step = layout.steps_taken.numpy()
    saved = (last_step.numpy() for last_step, _ in layout.last_steps)
    return any(np.any((array != 0) & (array != step)) for array in saved)


def _last_steps_by_step_count(layout: Layout) -> list[np.ndarray]:
    """Last steps as if the step count had never been set by the user.

    A row that is behind by more steps than the count has is behind by all but one.
    """
    ahead = int(layout.scalars[0].numpy()) - int(layout.steps_taken.numpy())
    saved = [last_step.numpy() for last_step, _ in layout.last_steps]
    return [
        np.where(array == 0, 0, np.maximum(array + ahead, 1)).astype(array.dtype)
        for array in saved
    ]


def _step_of_all_rows(second_moment: np.ndarray, step: Any) -> np.ndarray:
    """The step count for each row that ever had a gradient, 0 for the others."""
    axes = tuple(range(1, second_moment.ndim))
    return np.where(np.any(second_moment != 0, axis=axes), step, 0)


def assign_scalars(arrays: Arrays, scalars: list[Any]) -> None:
    """Assign step count and rate of a state whose rest has to wait.

    Left alone if the file's first arrays are no scalars; the rest will be refused.
    """
    saved = [arrays.get(str(number)) for number in range(len(scalars))]
    if all(array is not None and array.shape == () for array in saved):
        for variable, array in zip(scalars, saved, strict=True):
            variable.assign(array)


def _check_shapes(values: dict[int, np.ndarray], targets: list[Any]) -> None:
    for number, variable in enumerate(targets):
        saved = values[id(variable)].shape
        if saved != tuple(variable.shape):
            raise ValueError(
                f"The saved optimizer state does not fit: its variable {number} has "
                f"the shape {saved}, {variable.path!r} has {tuple(variable.shape)}. "
                + _ADVICE
            )


def _check_values(values: dict[int, np.ndarray], layout: Layout) -> None:
    """Tell apart files that agree in number and shapes, by laws of the right one."""
    steps = int(values[id(layout.scalars[0])])

    def saved(variables: list[Any]) -> list[np.ndarray]:
        return [np.asarray(values[id(v)], "float64") for v in variables]

    second = saved([moment.codes for moment in layout.second_moments])
    largest = saved([moment.codes for moment in layout.largest_second_moments])
    averages, sums = saved(layout.averages), saved(layout.accumulators)
    problem = ""
    if any(np.any(array < 0) for array in [*second, *largest]):
        problem = "a second moment is negative"
    elif any(np.any(a < b) for a, b in zip(largest, second, strict=bool(largest))):
        problem = "a largest second moment is below the second moment"
    elif steps >= layout.micro_batches and averages and not any(map(np.any, averages)):
        problem = "all averages of weights are zero"
    elif steps % layout.micro_batches == 0 and any(map(np.any, sums)):
        problem = "gradients are left over from a finished accumulation"
    if problem:
        raise ValueError(
            f"The saved optimizer state does not fit: read as this optimizer's, "
            f"{problem}. {_ADVICE}"
        )


_ADVICE = (
    "It was saved for another model or with other options: amsgrad, use_ema, "
    "gradient_accumulation_steps, sparse_updates, rate_cap, rate_adaptation, "
    "spike_guard, and whether the learning rate is a number decide what is saved. "
    "Create the optimizer with the options of the saved one; or, to start its state "
    "from zero, load with compile=False, or call compile() with a new optimizer after "
    "loading (also after load_weights(skip_mismatch=True))."
)

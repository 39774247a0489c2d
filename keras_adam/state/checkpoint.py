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
import math
from collections.abc import MutableMapping
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from keras_adam.state import checkpoint_laws as state_laws
from keras_adam.state.checkpoint_laws import Law
from keras_adam.storage import LEAST_ENCODED, STORAGES, Codec, largest_magnitudes

logger = logging.getLogger(__name__)

Arrays = dict[str, np.ndarray]


class StoredMoment(NamedTuple):
    """One moment of one weight.

    Attributes:
        codes: the variable that holds it.
        scales: a second one, where the storage has scales.
        shape: of the weight.
        is_float32: whether it is computed in float32, which storages encode.
    """

    codes: Any
    scales: Any | None
    shape: tuple[int, ...]
    is_float32: bool

    @property
    def can_be_encoded(self) -> bool:
        """Whether the optimizer's ``moment_storage`` concerns it."""
        return self.is_float32 and math.prod(self.shape) >= LEAST_ENCODED

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
        controls: scalars that control a step, each with its law; Keras's Adam has
            none.
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
    controls: list[tuple[Any, Law]]

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

    def without_last_steps(self) -> list[Any]:
        """What Keras's Adam has, and then what only ours has."""
        controls = [variable for variable, _ in self.controls]
        return [*self.shared(), *self.remainders, *controls]

    def everything(self) -> list[Any]:
        """All that can be in a file, in order."""
        return [*self.without_last_steps(), *(last for last, _ in self.last_steps)]


_KINDS = ("first", "second")


def write_variables(store: MutableMapping[str, Any], layout: Layout) -> None:
    """Write Keras's variables and then ours, numbered in one row.

    Args:
        store: of Keras's saving format; keys are numbers as text.
        layout: the optimizer's variables.
    """
    arrays = [variable.numpy() for variable in layout.without_last_steps()]
    if layout.steps_taken is not None and _is_a_row_behind(layout):
        # Only then: Keras's Adam would not load them, and after `fit` no row is behind.
        arrays += _last_steps_by_step_count(layout, layout.steps_taken.numpy())
    for number, array in enumerate(arrays):
        store[str(number)] = array


def copy_arrays(store: Any) -> Arrays:
    """Read a store into memory, where it outlives the file.

    Raises:
        ValueError: an array is missing.
    """
    arrays = {str(key): np.asarray(store[str(key)]) for key in list(store.keys())}
    state_laws.check_numbering(arrays)
    return arrays


def read_scalars(store: Any, scalars: list[Any]) -> Arrays:
    """Assign step count and rate of a state whose rest has to wait.

    They are left alone if the file's first arrays are no scalars; the rest will be
    refused.

    Args:
        store: as `write_variables` or Keras's Adam wrote it.
        scalars: step count and, if it is a number, the rate.

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

    A file with nothing but step count and rate was saved before the first step; one
    without remainders and controls is Keras's. What a file does not have starts from
    zero; rows whose last step it does not have are not behind.

    Args:
        store: as `write_variables` or Keras's Adam wrote it.
        layout: the optimizer's variables.
        with_scalars: whether step count and rate are assigned as well.

    Raises:
        ValueError: another number of variables, other shapes or dtypes, or values
            that cannot be a state: NaN, infinity, a negative second moment and so on.
    """
    saved = copy_arrays(store)
    storage = _saved_storage(saved, layout)
    places = _places(layout, storage)
    lengths = _lengths(places)
    if len(saved) not in lengths:
        own = _lengths(_places(layout, layout.moment_storage))
        wanted = sorted(own - {len(layout.scalars)}) or [len(layout.scalars)]
        raise ValueError(
            f"The saved optimizer state does not fit: it has {len(saved)} variables, "
            f"this optimizer needs {' or '.join(map(str, wanted))}. {_ADVICE}"
        )
    arrays = [saved[str(number)] for number in range(len(saved))]
    _check_shapes(arrays, places)
    _check_laws(arrays, places, layout)
    values = _in_own_storage(arrays, layout, storage)
    if len(arrays) > len(layout.scalars):
        _warn_of_the_unusual(values, layout)
        _log_what_is_missing(len(arrays), places)
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


class _Place(NamedTuple):
    """Where an array of a file belongs.

    Attributes:
        variable: that it is for; the codes' one for scales that are converted.
        shape: as saved.
        dtype: whose range it must keep to.
        law: that it must obey.
        group: which of the parts that are saved together it is in.
    """

    variable: Any
    shape: tuple[int, ...]
    dtype: str
    law: Law
    group: int


_SCALARS, _SHARED, _REMAINDERS, _CONTROLS, _LAST_STEPS = range(5)


def _places(layout: Layout, storage: str) -> list[_Place]:
    """All arrays of a file in order, if large moments were saved in that storage."""

    def of(group: int, law: Law, variables: list[Any]) -> list[_Place]:
        return [
            _Place(v, tuple(v.shape), state_laws.dtype_of(v), law, group)
            for v in variables
        ]

    places = of(_SCALARS, state_laws.STEP_COUNT, layout.scalars[:1])
    places += of(_SCALARS, state_laws.LEARNING_RATE, layout.scalars[1:])
    places += of(_SHARED, state_laws.AVERAGE, layout.averages)
    places += of(_SHARED, state_laws.ACCUMULATOR, layout.accumulators)
    for moment, kind in layout.moments():
        places += _places_of_moment(moment, kind, storage)
    places += of(_REMAINDERS, state_laws.REMAINDER, layout.remainders)
    for variable, law in layout.controls:
        places += of(_CONTROLS, law, [variable])
    last_steps = [last_step for last_step, _ in layout.last_steps]
    return places + of(_LAST_STEPS, state_laws.LAST_STEPS, last_steps)


def _places_of_moment(moment: StoredMoment, kind: str, storage: str) -> list[_Place]:
    codec: Codec = getattr(STORAGES[storage], kind)
    law, codes = _LAWS_OF_MOMENTS[kind], moment.codes
    if not moment.can_be_encoded:
        dtype = state_laws.dtype_of(codes)
        return [_Place(codes, moment.shape, dtype, law, _SHARED)]
    if not codec.has_scales:
        return [_Place(codes, moment.shape, "float32", law, _SHARED)]
    shape = STORAGES[storage].stored_shape(moment.shape)
    law = state_laws.law_of_codes(codec.dtype)
    scales = codes if moment.scales is None else moment.scales
    return [
        _Place(codes, shape, codec.dtype, law, _SHARED),
        _Place(scales, (shape[0], 1), "float32", state_laws.SCALES, _SHARED),
    ]


_LAWS_OF_MOMENTS = {
    "first": state_laws.FIRST_MOMENT,
    "second": state_laws.SECOND_MOMENT,
}


def _lengths(places: list[_Place]) -> set[int]:
    """How many arrays a file may have: it ends after one of the groups."""
    groups = range(_LAST_STEPS + 1)
    return {sum(place.group <= group for place in places) for group in groups}


def _check_shapes(arrays: list[np.ndarray], places: list[_Place]) -> None:
    for number, (array, place) in enumerate(zip(arrays, places, strict=False)):
        if array.shape != place.shape:
            raise ValueError(
                f"The saved optimizer state does not fit: its variable {number} has "
                f"the shape {array.shape}, {place.variable.path!r} has {place.shape}. "
                + _ADVICE
            )


def _check_laws(arrays: list[np.ndarray], places: list[_Place], layout: Layout) -> None:
    for number, (array, place) in enumerate(zip(arrays, places, strict=False)):
        path = place.variable.path
        state_laws.check_array(number, path, array, place.dtype, place.law)
    dtypes = {
        id(place.variable): array.dtype
        for array, place in zip(arrays, places, strict=False)
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


def _in_own_storage(
    arrays: list[np.ndarray], layout: Layout, storage: str
) -> dict[int, np.ndarray]:
    """The saved arrays by the identity of their variables.

    Large moments that were saved in another storage than this optimizer's are
    converted.
    """
    number, own = len(layout.before_moments()), layout.moment_storage
    values = {
        id(variable): array
        for variable, array in zip(layout.before_moments(), arrays, strict=False)
    }
    remaining = arrays[number:]
    if not remaining:
        return values
    for moment, kind in layout.moments():
        has_scales = getattr(STORAGES[storage], kind).has_scales
        count = 2 if moment.can_be_encoded and has_scales else 1
        parts, remaining = remaining[:count], remaining[count:]
        if moment.can_be_encoded and storage != own:
            parts = _converted(parts, moment.shape, storage, own, kind)
        values |= {id(v): a for v, a in zip(moment.variables(), parts, strict=True)}
    if storage != own:
        logger.info(
            "The optimizer state was saved with moment_storage=%r and is converted to "
            "%r.",
            storage,
            own,
        )
    after = layout.everything()[len(layout.shared()) :]
    return values | {id(v): a for v, a in zip(after, remaining, strict=False)}


def _converted(
    parts: list[np.ndarray], shape: tuple[int, ...], saved: str, own: str, kind: str
) -> list[np.ndarray]:
    """Codes, and scales if there are some, of one storage as those of another."""
    codec: Codec = getattr(STORAGES[saved], kind)
    if not codec.has_scales:
        # Keras's Adam saves moments in the dtype of its weight, whatever that was.
        parts = [part.astype(codec.dtype) for part in parts]
    tensors = [ops.convert_to_tensor(part) for part in parts]
    values = codec.decode(tensors[0], tensors[1] if codec.has_scales else None)
    values = STORAGES[own].arrange(STORAGES[saved].restore(values, shape))
    codec = getattr(STORAGES[own], kind)
    scales = largest_magnitudes(values) if codec.has_scales else None
    tensors = [
        codec.encode(values, scales, None),
        *([scales] if codec.has_scales else []),
    ]
    return [ops.convert_to_numpy(tensor) for tensor in tensors]


def _saved_storage(arrays: Arrays, layout: Layout) -> str:
    """The storage in which large moments were saved, by the first one's dtype.

    The optimizer's own where there is none, or where the dtype is that of no storage.
    """
    moments = layout.moments()
    if not any(moment.can_be_encoded for moment, _ in moments):
        return layout.moment_storage
    before = itertools.takewhile(lambda pair: not pair[0].can_be_encoded, moments)
    array = arrays.get(str(len(layout.before_moments()) + len(list(before))))
    if array is None:
        return layout.moment_storage
    names = {storage.first.dtype: name for name, storage in STORAGES.items()}
    unencoded = "float32" if state_laws.is_float(array) else layout.moment_storage
    return names.get(array.dtype.name, unencoded)


def is_of_other_weights(arrays: Arrays, layout: Layout) -> bool:
    """Whether a state is of other weights than the optimizer's, whatever its options.

    So it is where layers were frozen, unfrozen or replaced since it was saved. Judged
    by the shapes alone: if they can be those of the same weights under some options,
    the options may be what differs.

    Args:
        arrays: of the saved state.
        layout: of the optimizer's variables.
    """
    shapes = [arrays[str(number)].shape for number in range(len(arrays))]
    weights = [moment.shape for moment in layout.first_moments]
    pairs = zip(layout.first_moments, layout.second_moments, strict=True)
    both = [part for pair in pairs for part in zip(pair, _KINDS, strict=True)]
    largest = [(moment, "second") for moment in layout.second_moments]
    if shapes in ([()], [(), ()]) or _fits(arrays, layout):
        return False  # Saved before the first step, or just what is needed.
    for scalars, copies, storage, moments in itertools.product(
        (1, 2), (0, 1, 2), STORAGES, (both, both + largest)
    ):
        # Averages and accumulators have the weights' shapes.
        expected = [()] * scalars + weights * copies
        for moment, kind in moments:
            expected += [p.shape for p in _places_of_moment(moment, kind, storage)]
        number = len(expected)
        if shapes[:number] == expected and _may_follow_moments(shapes[number:], layout):
            return False
    return True


def _fits(arrays: Arrays, layout: Layout) -> bool:
    places = _places(layout, _saved_storage(arrays, layout))
    return len(arrays) in _lengths(places) and all(
        arrays[str(number)].shape == place.shape
        for number, place in enumerate(places[: len(arrays)])
    )


def _may_follow_moments(shapes: list[tuple[int, ...]], layout: Layout) -> bool:
    """Whether these can be remainders, controls and last steps, as far as there are."""
    remainders = [tuple(variable.shape) for variable in layout.remainders]
    if remainders and shapes[: len(remainders)] == remainders:
        shapes = shapes[len(remainders) :]
    rest = list(itertools.dropwhile(lambda shape: shape == (), shapes))
    if len(shapes) - len(rest) > _MOST_CONTROLS:
        return False
    rows = {moment.shape[:1] for moment in layout.first_moments}
    return all(shape in rows and shape != () for shape in rest)


_MOST_CONTROLS = 5
"""Of the rate two, and three of the spike guard."""


def _is_a_row_behind(layout: Layout) -> bool:
    if layout.steps_taken is None:
        return False
    step = layout.steps_taken.numpy()
    saved = (last_step.numpy() for last_step, _ in layout.last_steps)
    return any(np.any((array != 0) & (array != step)) for array in saved)


def _last_steps_by_step_count(layout: Layout, steps_taken: Any) -> list[np.ndarray]:
    """Last steps as if the step count had never been set by the user.

    A row that is behind by more steps than the count has is behind by all but one.
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
    """Log what may mean that the file is of other options, and may be just so."""
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
            "The optimizer state was loaded, but after %d steps it is unusual that %s. "
            "If the file was saved with other options, training will not go on as it "
            "was.",
            steps,
            " and that ".join(unusual),
        )


def _log_what_is_missing(length: int, places: list[_Place]) -> None:
    def is_missing(group: int) -> bool:
        has_group = any(place.group == group for place in places)
        return has_group and not any(p.group == group for p in places[:length])

    if is_missing(_REMAINDERS):
        logger.info(
            "The file holds no remainders of low-precision weights, as those of "
            "keras.optimizers.Adam do not; they start from zero."
        )
    elif is_missing(_CONTROLS):
        logger.info(
            "The file holds nothing of rate_cap, rate_adaptation or spike_guard, "
            "as those of keras.optimizers.Adam do not. The rate is capped anew; "
            "adaptation is as slow as the file's step count says."
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

"""Which arrays a saved state consists of, in which order, and what each must be.

Keras numbers the variables of an optimizer in the order of their creation. Here the
order is that of ``keras.optimizers.Adam``: step count, learning rate (if it is a
number), averages, accumulators, both moments interleaved per weight, AMSGrad's largest
second moments. Arrays that only this project's Adam has come last: the rounding errors
of low-precision weights, the scalars that control a step, and the last step of each row
of a table. A file may end after each of these groups.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np

from keras_adam.state import checkpoint_laws as state_laws
from keras_adam.state.checkpoint_laws import Law
from keras_adam.storage import STORAGES, UNENCODED, Codec, MomentStorage

Arrays = dict[str, np.ndarray]
"""Saved arrays by their number as text."""

KINDS = ("first", "second")
"""The kinds of moments, named like the codecs of a `MomentStorage`."""

SCALARS, SHARED, REMAINDERS, CONTROLS, LAST_STEPS = range(5)
"""Groups of arrays that are saved together; Keras's Adam has the first two."""

_LAWS_OF_MOMENTS = {
    "first": state_laws.FIRST_MOMENT,
    "second": state_laws.SECOND_MOMENT,
}


class StoredMoment(NamedTuple):
    """One moment of one weight.

    Attributes:
        codes: the variable that holds it.
        scales: a second variable, where the storage has scales.
        shape: of the weight.
        is_float32: whether it is computed in float32. Storages encode no others.
    """

    codes: Any
    scales: Any | None
    shape: tuple[int, ...]
    is_float32: bool

    def variables(self) -> list[Any]:
        """What is saved, in order."""
        return [self.codes] if self.scales is None else [self.codes, self.scales]

    def storage(self, name: str) -> MomentStorage:
        """How an optimizer with this ``moment_storage`` keeps the moment."""
        storage = STORAGES[name]
        is_encoded = self.is_float32 and storage.encodes(self.shape)
        return storage if is_encoded else UNENCODED


class Layout(NamedTuple):
    """The variables that are saved, by their kind.

    Attributes:
        scalars: step count and, if it is a number, the learning rate; they exist before
            the optimizer is built.
        averages: of the weights.
        accumulators: of gradients.
        first_moments: one per weight.
        second_moments: one per weight.
        largest_second_moments: one per weight, with AMSGrad.
        remainders: rounding errors of low-precision weights; Keras's Adam has none.
        last_steps: per table that is stepped by rows, the last step of each row (0:
            never) and the table's second moment.
        steps_taken: the step count that last steps refer to, if there are any. In files
            they refer to the optimizer's step count.
        micro_batches: per update; 1 without accumulation.
        moment_storage: how the optimizer keeps large moments, a name of `STORAGES`.
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
        """All moments in order, each with its kind."""
        pairs = zip(self.first_moments, self.second_moments, strict=True)
        return [
            *((m, kind) for p in pairs for m, kind in zip(p, KINDS, strict=True)),
            *((largest, "second") for largest in self.largest_second_moments),
        ]

    def shared(self) -> list[Any]:
        """What Keras's Adam has as well, in its order."""
        of_moments = [moment.variables() for moment, _ in self.moments()]
        return [*self.before_moments(), *itertools.chain.from_iterable(of_moments)]

    def without_last_steps(self) -> list[Any]:
        """What Keras's Adam has, then what only ours has, except last steps."""
        controls = [variable for variable, _ in self.controls]
        return [*self.shared(), *self.remainders, *controls]

    def everything(self) -> list[Any]:
        """All that can be in a file, in order."""
        return [*self.without_last_steps(), *(last for last, _ in self.last_steps)]


class Place(NamedTuple):
    """Where an array of a file belongs.

    Attributes:
        variable: the variable that the array is for. Saved scales have the variable of
            their codes if the optimizer's storage has no scales.
        shape: the shape in the file.
        dtype: a dtype that must be able to hold the values.
        law: the law that the values must obey.
        group: number of the group of arrays that are saved together.
    """

    variable: Any
    shape: tuple[int, ...]
    dtype: str
    law: Law
    group: int


def places(layout: Layout, storage: str) -> list[Place]:
    """All arrays of a file in order.

    Args:
        layout: the optimizer's variables.
        storage: the ``moment_storage`` with which the file was saved.
    """

    def of(group: int, law: Law, variables: list[Any]) -> list[Place]:
        return [
            Place(v, tuple(v.shape), state_laws.dtype_of(v), law, group)
            for v in variables
        ]

    found = of(SCALARS, state_laws.STEP_COUNT, layout.scalars[:1])
    found += of(SCALARS, state_laws.LEARNING_RATE, layout.scalars[1:])
    found += of(SHARED, state_laws.AVERAGE, layout.averages)
    found += of(SHARED, state_laws.ACCUMULATOR, layout.accumulators)
    for moment, kind in layout.moments():
        found += places_of_moment(moment, kind, storage)
    found += of(REMAINDERS, state_laws.REMAINDER, layout.remainders)
    for variable, law in layout.controls:
        found += of(CONTROLS, law, [variable])
    last_steps = [last_step for last_step, _ in layout.last_steps]
    return found + of(LAST_STEPS, state_laws.LAST_STEPS, last_steps)


def places_of_moment(moment: StoredMoment, kind: str, storage: str) -> list[Place]:
    """The places of one moment: its codes and, if the storage has them, its scales."""
    stored = moment.storage(storage)
    codec: Codec = getattr(stored, kind)
    shape = stored.stored_shape(moment.shape)
    if not codec.codes_are_values:
        dtype, law = codec.dtype, state_laws.law_of_codes(codec.dtype)
    else:
        law = _LAWS_OF_MOMENTS[kind]
        # The array is converted to float32 before it is rounded to the codes' dtype.
        is_float32 = moment.is_float32
        dtype = "float32" if is_float32 else state_laws.dtype_of(moment.codes)
    found = [Place(moment.codes, shape, dtype, law, SHARED)]
    if codec.has_scales:
        scales = moment.codes if moment.scales is None else moment.scales
        found.append(Place(scales, (shape[0], 1), "float32", state_laws.SCALES, SHARED))
    return found


def lengths(of_places: list[Place]) -> set[int]:
    """How many arrays a file may have: it ends after one of the groups."""
    groups = range(LAST_STEPS + 1)
    return {sum(place.group <= group for place in of_places) for group in groups}

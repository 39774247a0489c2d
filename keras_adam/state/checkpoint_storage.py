"""Finds the storage in which a file's moments were saved, and converts them to another.

A file does not name its ``moment_storage``: it is a list of numbered arrays, as
``keras.optimizers.Adam`` saves it, and Keras passes nothing else to an optimizer. But
each storage has its own dtypes and shapes, so the arrays of all large moments together
show which storage wrote them. A test checks that no two storages of the table write the
same. The optimizer's own storage is tried first. It is nearly always the right one,
because ``moment_storage`` is part of the saved configuration.

Floating-point arrays that no storage writes (float16, float64, or several dtypes in one
file) are those of Keras's Adam, which saves a moment in the dtype of its weight. They
are read as values.
"""

from __future__ import annotations

import logging

import numpy as np
from keras import ops

from keras_adam.state import checkpoint_laws as state_laws
from keras_adam.state.checkpoint_layout import (
    Arrays,
    Layout,
    StoredMoment,
    places_of_moment,
)
from keras_adam.storage import STORAGES, Codec, MomentStorage, largest_magnitudes

logger = logging.getLogger(__name__)


def saved_storage(arrays: Arrays, layout: Layout) -> str:
    """The ``moment_storage`` with which a state was saved.

    If no storage writes exactly these arrays, floating-point arrays count as the exact
    storage. Other arrays count as the storage that most of them fit: the state will be
    refused, and the message compares it with that storage.

    Args:
        arrays: of the file.
        layout: the optimizer's variables.

    Raises:
        ValueError: several storages, and not the optimizer's own, write such arrays.
    """
    own = layout.moment_storage
    fits = {name: _which_fit(arrays, layout, name) for name in STORAGES}
    fitting = [name for name in STORAGES if all(fits[name])]
    if own in fitting:
        return own
    if len(fitting) > 1:
        names = " or ".join(map(repr, fitting))
        raise ValueError(
            "The saved optimizer state can have been saved with moment_storage="
            f"{names}, whose arrays look alike, and this optimizer has moment_storage="
            f"{own!r}. Load it with the moment_storage that it was saved with."
        )
    if fitting:
        return fitting[0]
    first = _first_large_moment(arrays, layout)
    if first is not None and state_laws.is_float(first):
        return next(name for name, storage in STORAGES.items() if storage.is_exact)
    return max((own, *STORAGES), key=lambda name: sum(fits[name]))


def convert_moments(
    arrays: list[np.ndarray], layout: Layout, saved: str
) -> dict[int, np.ndarray]:
    """Saved arrays by the `id` of their variables, in the optimizer's storage.

    Args:
        arrays: of the file, checked already.
        layout: the optimizer's variables.
        saved: the ``moment_storage`` with which they were saved.
    """
    before, own = layout.before_moments(), layout.moment_storage
    values = {id(v): array for v, array in zip(before, arrays, strict=False)}
    remaining = arrays[len(before) :]
    if not remaining:
        return values
    for moment, kind in layout.moments():
        count = len(places_of_moment(moment, kind, saved))
        parts, remaining = remaining[:count], remaining[count:]
        storages = moment.storage(saved), moment.storage(own)
        if storages[0] != storages[1]:
            parts = _converted(parts, moment.shape, *storages, kind)
        values |= {id(v): a for v, a in zip(moment.variables(), parts, strict=True)}
    if saved != own:
        logger.info(
            "The optimizer state was saved with moment_storage=%r and is converted to "
            "%r.",
            saved,
            own,
        )
    after = layout.everything()[len(layout.shared()) :]
    return values | {id(v): a for v, a in zip(after, remaining, strict=False)}


def _converted(
    parts: list[np.ndarray],
    shape: tuple[int, ...],
    saved: MomentStorage,
    own: MomentStorage,
    kind: str,
) -> list[np.ndarray]:
    """Codes, and scales if there are any, of one storage as those of another."""
    codec: Codec = getattr(saved, kind)
    if codec.codes_are_values:
        # Keras's Adam saves moments in the dtype of their weight, whatever that is.
        parts = [parts[0].astype(codec.dtype), *parts[1:]]
    tensors = [ops.convert_to_tensor(part) for part in parts]
    values = codec.decode(tensors[0], tensors[1] if codec.has_scales else None)
    values = own.arrange(saved.restore(values, shape))
    codec = getattr(own, kind)
    scales = largest_magnitudes(values) if codec.has_scales else None
    tensors = [
        codec.encode(values, scales, None),
        *([] if scales is None else [scales]),
    ]
    return [ops.convert_to_numpy(tensor) for tensor in tensors]


def _which_fit(arrays: Arrays, layout: Layout, name: str) -> list[bool]:
    """For each array of a large moment, whether this storage could have written it."""
    number = len(layout.before_moments())
    fit = []
    for moment, kind in layout.moments():
        codec: Codec = getattr(moment.storage(name), kind)
        dtypes = (codec.dtype, "float32")
        expected = places_of_moment(moment, kind, name)
        for place, dtype in zip(expected, dtypes, strict=False):
            array = arrays.get(str(number))
            number += 1
            if _is_large(moment):
                is_there = array is not None
                fit.append(
                    is_there
                    and array.dtype.name == dtype
                    and array.shape == place.shape
                )
    return fit


def _first_large_moment(arrays: Arrays, layout: Layout) -> np.ndarray | None:
    moments = layout.moments()
    large = (n for n, (moment, _) in enumerate(moments) if _is_large(moment))
    # The moments before it are encoded by no storage, so each has one array.
    return arrays.get(str(len(layout.before_moments()) + next(large)))


def _is_large(moment: StoredMoment) -> bool:
    """Whether any storage encodes this moment."""
    storages = STORAGES.values()
    return moment.is_float32 and any(one.encodes(moment.shape) for one in storages)

"""Many small weights' moments, kept as a few flat variables.

TensorFlow spends about 10 µs on every resource variable of a step, whatever its size:
a network of 400 small weights pays for 1,200 variables where the arithmetic takes a
few microseconds. So small weights share *packs*: one flat variable per moment for up
to `MOST_MEMBERS` weights, stepped as one long weight. The optimizer's `variables` are
views, one per weight, with the names and shapes of Keras's own variables. Files are
written from the views, so they keep Keras's form.

Only the TensorFlow backend packs: JAX and torch have no such cost.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_adam.backend import precision
from keras_adam.backend.variables import (
    VariableView,
    colocated_with,
    is_replicated,
    native_variable,
)

Tensor = Any
Shape = tuple[int, ...]

SMALL = 4_096
"""A weight with at least this many entries is not packed: copying it would cost more
than a variable of its own. Measured with 4 to 64 weights of 1,000 to 160,000 entries,
against limits of 2,048, 8,192, 16,384 and 65,536 (``benchmarks/step/step_time.py``)."""

BESIDE_CONTROLS = 16
"""`SMALL` is multiplied by this if a common norm or the control of the learning rate
looks at all gradients: its computation for each separate weight costs more than
copying."""

MOST_MEMBERS = 64
"""The most weights per pack. XLA's compile time grows faster than the number of
operands of a concatenation. 16 to 64 weights step equally fast, and 64 make the fewest
variables."""


ENOUGH_FOR_OWN_PACK = 8
"""At least this many weights with the same shape after the first axis get packs of that
shape."""


class Pack:
    """Weights whose moments are stored end to end, along the first axis.

    Args:
        indices: of the weights, in the optimizer's order.
        variables: the weights.
        row: shape of the pack after its first axis. It is that of the weights if they
            have one in common, which saves reshaping each of them; else ``()``.
    """

    def __init__(
        self, indices: Sequence[int], variables: Sequence[Any], row: Shape
    ) -> None:
        self.indices = tuple(indices)
        self.dtype = precision.compute_dtype(variables[0])
        self._row = row
        self._shapes = [tuple(variable.shape) for variable in variables]
        self._lengths = [math.prod(s) // math.prod(row) for s in self._shapes]
        self._reference = variables[0]
        self._moments: dict[str, keras.Variable] = {}

    def form(self) -> tuple[Any, ...]:
        """What two packs must have in common to be stepped by the same program."""
        return self.indices, tuple(self._shapes), self._row, self.dtype

    def moment(self, name: str) -> keras.Variable:
        """The variable that keeps one moment of all members; zero at first."""
        if name not in self._moments:
            with colocated_with(self._reference):
                self._moments[name] = keras.Variable(
                    "zeros",
                    shape=(sum(self._lengths), *self._row),
                    dtype=self.dtype,
                    trainable=False,
                    autocast=False,
                    name=f"packed_{name}",
                )
        return self._moments[name]

    def moments(self) -> list[keras.Variable]:
        """The variables of all moments asked for so far."""
        return list(self._moments.values())

    def bounds(self, index: int) -> tuple[int, int]:
        """Where a weight begins and ends on the first axis."""
        position = self.indices.index(index)
        begin = sum(self._lengths[:position])
        return begin, begin + self._lengths[position]

    def join(self, tensors: Mapping[int, Tensor]) -> Tensor:
        """One tensor of all members; zeros for those that are not given.

        Args:
            tensors: by the weight's index, of the weight's shape.
        """
        parts = []
        for index, length in zip(self.indices, self._lengths, strict=True):
            shape = (length, *self._row)
            if index in tensors:
                parts.append(_reshaped(tensors[index], shape))
            else:
                parts.append(ops.zeros(shape, dtype=self.dtype))
        return ops.concatenate(parts)

    def split(self, joined: Tensor) -> dict[int, Tensor]:
        """Take apart what `join` put together."""
        ends = np.cumsum(self._lengths)[:-1].tolist()
        return {
            index: _reshaped(part, shape)
            for index, part, shape in zip(
                self.indices, ops.split(joined, ends), self._shapes, strict=True
            )
        }

    def mask(self, present: Mapping[int, Any]) -> np.ndarray | None:
        """Which rows belong to the given members; ``None`` if all members are given.

        Shapes:
            that of the pack, with ones after the first axis.
        """
        there = [index in present for index in self.indices]
        if all(there):
            return None
        return np.repeat(there, self._lengths).reshape(-1, *(1 for _ in self._row))


def _reshaped(tensor: Tensor, shape: Shape) -> Tensor:
    # Keras adds a graph node even for a reshape to the same shape.
    return tensor if tensor.shape == shape else ops.reshape(tensor, shape)


class Packing:
    """The packs of an optimizer, and which of them holds a weight.

    An object of its own, so that TensorFlow does not save the packs beside the views.

    Attributes:
        packs: all of them.
        of_weight: the pack of each packed weight, by the weight's index.
    """

    def __init__(self, packs: Sequence[Pack] = ()) -> None:
        self.packs = tuple(packs)
        self.of_weight = {index: pack for pack in packs for index in pack.indices}


class PackedVariable(VariableView):
    """One weight's share of a pack, in the form of a variable of its own.

    Reads and assigns the entries of the pack; creates nothing.

    Args:
        pack: that holds the entries.
        index: of the weight.
        moment: name of the moment.
        shape: of the weight.
        name: as Keras names it.
    """

    def __init__(
        self, pack: Pack, index: int, moment: str, shape: Sequence[int], name: str
    ) -> None:
        self._begin, self._end = pack.bounds(index)
        self._joined = pack.moment(moment)
        super().__init__(
            "zeros",
            shape=tuple(shape),
            dtype=pack.dtype,
            trainable=False,
            autocast=False,
            name=name,
        )

    def _initialize_with_initializer(self, initializer: Any) -> None:
        pass  # The pack starts at zero.

    @property
    def _value(self) -> Tensor:
        part = native_variable(self._joined)[self._begin : self._end]
        return ops.reshape(part, self._shape)

    @_value.setter
    def _value(self, value: Any) -> None:
        pass  # Keras's constructor sets None before it initializes.

    def _direct_assign(self, value: Tensor) -> None:
        rows = native_variable(self._joined)[self._begin : self._end]
        rows.assign(ops.reshape(ops.cast(value, self._dtype), rows.shape))

    @property
    def _shared_name(self) -> str:
        return self.path  # Only written beside the values in a checkpoint.

    def _serialize_to_tensors(self) -> dict[str, Tensor]:
        return {"VARIABLE_VALUE": self.value}

    def _restore_from_tensors(self, restored_tensors: Mapping[str, Tensor]) -> None:
        self.assign(restored_tensors["VARIABLE_VALUE"])


def plan_packs(
    variables: Sequence[Any], kinds: Sequence[Hashable], limit: int = SMALL
) -> list[Pack]:
    """Decide which weights share a pack.

    Args:
        variables: all weights of the optimizer.
        kinds: one per weight; weights of different kinds never share a pack.
        limit: weights with at least this many entries are not packed.

    Returns:
        Packs of at least two members. Other weights keep variables of their own.
    """
    if keras.backend.backend() != "tensorflow" or any(map(is_replicated, variables)):
        return []
    small = [
        i for i, variable in enumerate(variables) if _can_be_packed(variable, limit)
    ]
    rows = collections.Counter(tuple(variables[i].shape[1:]) for i in small)
    groups: dict[tuple[Shape, Hashable], list[int]] = {}
    for index in small:
        variable = variables[index]
        row = tuple(variable.shape[1:])
        if rows[row] < ENOUGH_FOR_OWN_PACK:
            row = ()
        place = native_variable(variable).device
        kind = (precision.compute_dtype(variable), place, kinds[index])
        groups.setdefault((row, kind), []).append(index)
    packs = []
    for (row, _), indices in groups.items():
        for first in range(0, len(indices), MOST_MEMBERS):
            members = indices[first : first + MOST_MEMBERS]
            if len(members) > 1:
                packs.append(Pack(members, [variables[i] for i in members], row))
    return packs


def _can_be_packed(variable: Any, limit: int) -> bool:
    size = math.prod(variable.shape)
    return (
        0 < size < limit
        and precision.is_floating(variable)
        and not precision.loses_small_steps(variable)
        and not getattr(variable, "overwrite_with_gradient", False)
    )

"""What the state says, for people: moments in float32, decoded and up to date.

Reads and never assigns. Of a large weight a part can be read that costs the same
whatever the weight's size: every so manieth entry.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from keras_adam.adam_state import AdamState
from keras_adam.backend import precision
from keras_adam.backend.variables import read
from keras_adam.rule.adam import Moments
from keras_adam.state.weight_state import WeightState
from keras_adam.storage import BLOCK, STORAGES, Codec

Tensor = Any


class Entries(NamedTuple):
    """Entries of a weight and what is kept of them, all ``[n]``.

    Attributes:
        parameter: the weight, with what a low-precision one has lost by rounding.
        first: its first moment; ``None`` where there is none, as for what follows.
        second: its second moment.
        largest: the largest second moment, with AMSGrad.
        first_variance: of the rounding of the first moment, see
            `keras_adam.storage.Codec.rounding_variance`; ``None`` where no moment of
            the optimizer is rounded.
    """

    parameter: Tensor
    first: Tensor | None = None
    second: Tensor | None = None
    largest: Tensor | None = None
    first_variance: Tensor | None = None


class StateReading(AdamState):
    """The state of `keras_adam.Adam` as values."""

    beta_1: float
    beta_2: float

    def read_moments(self, variable: Any) -> Moments:
        """The moments of a weight, in the dtype that is computed in.

        Decoded, where ``moment_storage`` keeps codes; and, of rows that
        ``sparse_updates="catch_up"`` has left behind, as they would be without.

        Args:
            variable: a weight that the optimizer was built with.

        Returns:
            First, second and (with AMSGrad, else ``None``) largest second moment.

        Shapes:
            that of the weight.

        Raises:
            ValueError: the optimizer is not built, or the weight has no moments.
        """
        if not self.built:
            raise ValueError(
                "The optimizer has no moments before it is built: call "
                "build(model.trainable_variables) or train one step first."
            )
        state = self._state_of(variable)
        if state.momentum is None:
            raise ValueError(
                f"{variable.path!r} has no moments: its gradient overwrites it."
            )
        return self._moments_of_entries(state, 1).map(
            lambda part: ops.reshape(part, tuple(variable.shape))
        )

    def read_entries(self, variable: Any, stride: int) -> Entries:
        """Every so manieth entry of a weight, and its moments.

        Args:
            variable: a weight that the optimizer was built with.
            stride: from one entry to the next, in the order of the flat weight.
        """
        state = self._state_of(variable)
        parameter = _flat(state.parameter, stride)
        if state.remainder is None:
            parameter = ops.cast(parameter, precision.compute_dtype(variable))
        else:
            parameter = precision.join(
                parameter,
                _flat(state.remainder, stride),
                precision.compute_dtype(variable),
            )
        if state.momentum is None:
            return Entries(parameter)
        moments = self._moments_of_entries(state, stride)
        entries = Entries(parameter, *moments)
        if STORAGES[self.moment_storage].is_exact:
            return entries
        storage = self._storage_of(variable)
        return entries._replace(
            first_variance=storage.first.rounding_variance(moments.first)
        )

    def _moments_of_entries(self, state: WeightState, stride: int) -> Moments:
        size = math.prod(state.parameter.shape)
        storage = self._storage_of(state.parameter)

        def decoded(codes: Any, scale: Any, codec: Codec) -> Tensor:
            scales = None if scale is None else _scales(scale, size, stride)
            # Codes of blocks may go on behind the last entry.
            return codec.decode(_flat(codes, stride, size), scales)

        moments = Moments(
            decoded(state.momentum, state.momentum_scale, storage.first),
            decoded(state.velocity, state.velocity_scale, storage.second),
            None
            if state.velocity_hat is None
            else decoded(state.velocity_hat, None, storage.second),
        )
        if state.last_step is None:
            return moments
        return self._decayed_since(moments, state, stride)

    def _decayed_since(
        self, moments: Moments, state: WeightState, stride: int
    ) -> Moments:
        """Moments of rows that are behind, after the steps without a gradient."""
        row = math.prod(state.parameter.shape[1:])
        rows = np.arange(0, math.prod(state.parameter.shape), stride) // row
        missed = self._missed_steps(ops.take(read(state.last_step), rows))
        missed = ops.cast(missed, "float32")
        return moments._replace(
            first=moments.first * ops.power(self.beta_1, missed),
            second=moments.second * ops.power(self.beta_2, missed),
        )


def _flat(variable: Any, stride: int, size: int | None = None) -> Tensor:
    return ops.reshape(read(variable), (-1,))[:size:stride]


def _scales(scale: Any, size: int, stride: int) -> Tensor:
    """The scale of each entry that is read, by its block."""
    block = np.arange(0, size, stride) // BLOCK
    return ops.take(ops.reshape(read(scale), (-1,)), block)

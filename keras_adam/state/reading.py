"""The state as values for people: moments in the compute dtype, decoded, up to date.

These functions read and never assign. They can read every n-th entry of a large weight,
so that the cost does not grow with the weight.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from keras import ops

from keras_adam.backend.variables import read
from keras_adam.options import Options
from keras_adam.rule import compensation
from keras_adam.rule.adam import Moments
from keras_adam.state.optimizer_state import OptimizerState
from keras_adam.state.weight_state import WeightState
from keras_adam.storage import BLOCK, STORAGES, Codec

Tensor = Any


class Entries(NamedTuple):
    """Entries of a weight and of its state, all ``[n]``.

    Attributes:
        parameter: the weight, plus the rounding error of a low-precision weight.
        first: its first moment; this and the following are ``None`` if it has none.
        second: its second moment.
        largest: the largest second moment, with AMSGrad.
        first_variance: of the rounding of the first moment, see
            ``Codec.rounding_variance``; ``None`` if the optimizer's storage is exact.
    """

    parameter: Tensor
    first: Tensor | None = None
    second: Tensor | None = None
    largest: Tensor | None = None
    first_variance: Tensor | None = None


def read_moments(
    state: OptimizerState, weight: WeightState, options: Options
) -> Moments:
    """The moments of a weight, in the compute dtype.

    Shapes:
        that of the weight.

    Raises:
        ValueError: the weight has no moments.
    """
    if weight.variables.momentum is None:
        raise ValueError(
            f"{weight.parameter.path!r} has no moments: its gradient overwrites it."
        )
    moments = _moments_of_entries(state, weight, options, 1)
    return moments.map(lambda part: ops.reshape(part, weight.shape))


def read_entries(
    state: OptimizerState, weight: WeightState, options: Options, stride: int
) -> Entries:
    """Every n-th entry of a weight, and its moments.

    Args:
        state: of the optimizer.
        weight: one of its weights.
        options: of the optimizer.
        stride: n, the distance between two entries of the flattened weight.
    """
    parameter = _flat(weight.parameter, stride)
    error = weight.variables.rounding_error
    if error is None:
        parameter = ops.cast(parameter, weight.dtype)
    else:
        parameter = compensation.join(parameter, _flat(error, stride), weight.dtype)
    if weight.variables.momentum is None:
        return Entries(parameter)
    moments = _moments_of_entries(state, weight, options, stride)
    entries = Entries(parameter, *moments)
    if STORAGES[options.moment_storage].is_exact:
        return entries
    variance = weight.storage.first.rounding_variance(moments.first)
    return entries._replace(first_variance=variance)


def _moments_of_entries(
    state: OptimizerState, weight: WeightState, options: Options, stride: int
) -> Moments:
    variables, storage, size = weight.variables, weight.storage, weight.size

    def decoded(codes: Any, scale: Any, codec: Codec) -> Tensor:
        scales = None if scale is None else _scales(scale, size, stride)
        # Blocks of codes may be padded after the last entry.
        return codec.decode(_flat(codes, stride, size), scales)

    moments = Moments(
        decoded(variables.momentum, variables.momentum_scale, storage.first),
        decoded(variables.velocity, variables.velocity_scale, storage.second),
        None
        if variables.velocity_hat is None
        else decoded(variables.velocity_hat, None, storage.second),
    )
    if variables.last_step is None:
        return moments
    return _decayed_since(moments, state, weight, options, stride)


def _decayed_since(
    moments: Moments,
    state: OptimizerState,
    weight: WeightState,
    options: Options,
    stride: int,
) -> Moments:
    """Moments of rows that are behind, after the steps without a gradient."""
    row = weight.size // weight.shape[0]
    rows = np.arange(0, weight.size, stride) // row
    last_steps = ops.take(read(weight.variables.last_step), rows)
    missed = ops.cast(state.missed_steps(last_steps), "float32")
    return moments._replace(
        first=moments.first * ops.power(options.beta_1, missed),
        second=moments.second * ops.power(options.beta_2, missed),
    )


def _flat(variable: Any, stride: int, size: int | None = None) -> Tensor:
    return ops.reshape(read(variable), (-1,))[:size:stride]


def _scales(scale: Any, size: int, stride: int) -> Tensor:
    """The scale of each entry that is read, by its block."""
    block = np.arange(0, size, stride) // BLOCK
    return ops.take(ops.reshape(read(scale), (-1,)), block)

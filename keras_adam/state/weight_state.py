"""One weight and everything that is kept for it between steps."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import ops

from keras_adam.backend import precision
from keras_adam.backend.rows import assign_rows, read_rows
from keras_adam.backend.variables import (
    VariableView,
    native_variable,
    read,
)
from keras_adam.rule import adam, compensation
from keras_adam.rule.adam import Moments
from keras_adam.storage import (
    Codec,
    MomentStorage,
    largest_magnitudes,
    random_bits,
    within_float32,
)

Tensor = Any

NO_SCALES = Moments(None, None)
"""The scales of moments that are stored without any."""


class WeightVariables(NamedTuple):
    """The variables of a weight; ``None`` for those that it does not have.

    Attributes:
        parameter: the weight.
        momentum: its first moment, as it is stored.
        velocity: its second moment, as it is stored.
        velocity_hat: its largest second moment, with AMSGrad.
        momentum_scale: one scale per block of the first moment, if the storage has
            scales.
        velocity_scale: one scale per block of the second moment, if the storage has
            scales.
        rounding_error: what a low-precision weight has lost by rounding.
        last_step: the last step that each row took, if rows catch up.
    """

    parameter: Any
    momentum: Any
    velocity: Any
    velocity_hat: Any = None
    momentum_scale: Any = None
    velocity_scale: Any = None
    rounding_error: Any = None
    last_step: Any = None

    def as_argument(self) -> WeightVariables:
        """The variables in a form that a compiled function accepts: TensorFlow's own.

        On the other backends there are no such variables, and no function is compiled.
        """
        if keras.backend.backend() != "tensorflow":
            return self
        return WeightVariables(
            *(None if part is None else native_variable(part) for part in self)
        )


@dataclasses.dataclass(frozen=True, eq=False)
class WeightState:
    """A weight that reads and writes itself, whole or by rows.

    Attributes:
        index: of the weight, in the optimizer's order.
        variables: the weight and what is kept for it.
        storage: how its moments are stored.
        is_decayed: whether weight decay applies to it, if there is any.
        average: its moving average, with ``use_ema``.
        accumulator: the sum of its gradients, with accumulation.
        assign: the optimizer's method, which subclasses may override.
        stream: number of its random stream: the index, as a tensor if weights share a
            program.
    """

    index: int
    variables: WeightVariables
    storage: MomentStorage
    is_decayed: bool
    assign: Callable[[Any, Any], None]
    average: Any = None
    accumulator: Any = None
    stream: Any = None

    @property
    def parameter(self) -> Any:
        """The weight's variable."""
        return self.variables.parameter

    @property
    def shape(self) -> tuple[int, ...]:
        """The weight's shape."""
        return tuple(self.parameter.shape)

    @property
    def size(self) -> int:
        """How many entries the weight has."""
        return math.prod(self.shape)

    @property
    def dtype(self) -> str:
        """The dtype in which the weight is updated."""
        return precision.compute_dtype(self.parameter)

    @property
    def is_encoded(self) -> bool:
        """Whether the moments are encoded between steps, and so lose digits."""
        return not self.storage.is_exact

    @property
    def is_trained(self) -> bool:
        """Whether the weight is of a dtype that can be trained."""
        return precision.is_floating(self.parameter)

    def with_variables(self, variables: WeightVariables, stream: Any) -> WeightState:
        """This state with the variables of another weight of the same form."""
        return dataclasses.replace(self, variables=variables, stream=stream)

    def stored_variables(self) -> list[Any]:
        """The weight and all that is kept for it, except packs."""
        parts = (*self.variables, self.average, self.accumulator)
        return [
            part
            for part in parts
            if part is not None and not isinstance(part, VariableView)
        ]

    def read_parameter(self, ids: Tensor | None = None) -> Tensor:
        """The weight in the compute dtype, plus what it has lost by rounding.

        Args:
            ids: of rows; ``None`` for all.
        """
        rounded = read_rows(self.parameter, ids)
        if self.variables.rounding_error is None:
            return ops.cast(rounded, self.dtype)
        lost = read_rows(self.variables.rounding_error, ids)
        return compensation.join(rounded, lost, self.dtype)

    def write_parameter(self, parameter: Tensor, ids: Tensor | None = None) -> None:
        """Assign the weight, or only the rows ``ids`` of it if they are given."""
        if self.variables.rounding_error is None:
            self._assign(self.parameter, parameter, ids)
            return
        rounded, lost = compensation.split(
            parameter, precision.dtype_of(self.parameter)
        )
        self._assign(self.parameter, rounded, ids)
        self._assign(self.variables.rounding_error, lost, ids)

    def read_moments(self, ids: Tensor | None = None) -> Moments:
        """The moments in the compute dtype, in the shape in which they are stored."""
        first, second = self.storage.first, self.storage.second
        scales = self._read_scales()
        largest = self.variables.velocity_hat
        return Moments(
            first.decode(read_rows(self.variables.momentum, ids), scales.first),
            second.decode(read_rows(self.variables.velocity, ids), scales.second),
            None if largest is None else second.decode(read_rows(largest, ids), None),
        )

    def write_moments(
        self,
        moments: Moments,
        step: Tensor | None,
        ids: Tensor | None = None,
        scales: Moments = NO_SCALES,
    ) -> Moments:
        """Store moments; return them as they will be read back.

        Args:
            moments: in the stored shape, or one row per id.
            step: scalar integer, for random bits that differ from step to step; not
                needed if nothing is encoded.
            ids: of rows; ``None`` for all.
            scales: from :meth:`next_scales`.
        """
        bits = None
        if self.is_encoded:
            shape = self.storage.stored_shape(self.shape)
            bits = random_bits(step, self.stream, shape, ids)

        def keep(variable: Any, codec: Codec, values: Any, scale: Any) -> Any:
            codes = codec.encode(values, scale, bits)
            self._assign(variable, codes, ids)
            return codec.decode(codes, scale)

        first, second = self.storage.first, self.storage.second
        variables = self.variables
        kept = Moments(
            keep(variables.momentum, first, moments.first, scales.first),
            keep(variables.velocity, second, moments.second, scales.second),
            None
            if variables.velocity_hat is None
            else keep(variables.velocity_hat, second, moments.largest_second, None),
        )
        if scales.first is not None:
            self.assign(variables.momentum_scale, scales.first)
            self.assign(variables.velocity_scale, scales.second)
        return kept

    def next_scales(self, gradient: Tensor, beta_1: float, beta_2: float) -> Moments:
        """The scales after a step: bounds on the moments, updated by the same rule.

        Args:
            gradient: in the stored shape.
            beta_1: decay of the first moment.
            beta_2: decay of the second moment.
        """
        scales = self._read_scales()
        if scales.first is None:
            return scales
        scales = adam.update_moments(
            largest_magnitudes(gradient), scales, beta_1, beta_2
        )
        return scales._replace(second=within_float32(scales.second))

    def _read_scales(self) -> Moments:
        if self.variables.momentum_scale is None:
            return NO_SCALES
        return Moments(
            read(self.variables.momentum_scale), read(self.variables.velocity_scale)
        )

    def read_last_step(self, ids: Tensor | None) -> Tensor:
        """The last step that each row took; 0 before its first."""
        return read_rows(self.variables.last_step, ids)

    def write_last_step(self, steps: Tensor, ids: Tensor | None) -> None:
        """Store the last step that rows took.

        Args:
            steps: scalar, or one per row.
            ids: of rows; ``None`` for all.
        """
        if not ops.shape(steps):
            last_step = self.variables.last_step
            length = last_step.shape if ids is None else ops.shape(ids)
            steps = ops.full(length, steps, "int32")
        self._assign(self.variables.last_step, steps, ids)

    def _assign(self, variable: Any, value: Any, ids: Any | None) -> None:
        """Assign a variable, or only the rows ``ids`` of it if they are given."""
        if ids is None:
            self.assign(variable, value)
        else:
            assign_rows(variable, ids, ops.cast(value, variable.dtype))


STATE_ATTRIBUTES = {
    "_momentums": "momentum",
    "_velocities": "velocity",
    "_velocity_hats": "velocity_hat",
    "_momentum_scales": "momentum_scale",
    "_velocity_scales": "velocity_scale",
    "_rounding_errors": "rounding_error",
    "_last_steps": "last_step",
}
"""Attribute of the optimizer -> the field of `WeightVariables` that it lists for all
weights. The first three attributes are Keras's."""

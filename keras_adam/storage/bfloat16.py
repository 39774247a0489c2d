"""Moments in bfloat16, the upper half of a float32's bits: 4 bytes per parameter."""

from __future__ import annotations

import dataclasses
from typing import Any

from keras import ops

from keras_adam.storage.codec import NEEDS_DECODING, MomentStorage
from keras_adam.storage.float_bits import SMALLEST, as_float, bits_of, int32
from keras_adam.storage.stochastic_rounding import upper_bits, variance_of_rounding

Tensor = Any

_MANTISSA_BITS = 7

_LARGEST = (2 - 2.0**-_MANTISSA_BITS) * 2.0**127


@dataclasses.dataclass(frozen=True)
class NearestBFloat16:
    """bfloat16 of a first moment, rounded to nearest: relative error up to 2⁻⁸."""

    dtype: str = "bfloat16"
    has_scales: bool = False
    codes_are_values: bool = True
    is_stochastic: bool = False
    relative_error: float = 2.0 ** -(_MANTISSA_BITS + 1)
    absolute_error: float = SMALLEST
    largest: float = _LARGEST

    def encode(
        self, values: Tensor, scales: Tensor | None, bits: Tensor | None
    ) -> Tensor:
        """Round to nearest."""
        del scales, bits
        return ops.cast(values, self.dtype)

    def decode(self, codes: Tensor, scales: Tensor | None) -> Tensor:
        """The values in float32, exactly."""
        del scales
        return ops.cast(codes, "float32")

    def rounding_variance(self, values: Tensor) -> Tensor:
        """See `keras_adam.storage.stochastic_rounding.variance_of_rounding`."""
        return variance_of_rounding(values, _MANTISSA_BITS, self.is_stochastic)


@dataclasses.dataclass(frozen=True)
class StochasticBFloat16(NearestBFloat16):
    """bfloat16 of a second moment: relative error below 2⁻⁷, zero on average.

    A positive value stays positive.
    """

    is_stochastic: bool = True

    def encode(
        self, values: Tensor, scales: Tensor | None, bits: Tensor | None
    ) -> Tensor:
        """Round up or down at random; NaN and infinity do not change."""
        del scales
        kept = ops.where(values > 0, ops.maximum(values, SMALLEST), values)
        if bits is not None:
            # Add a random part of a grid step, then cut off the lower bits. The larger
            # they were, the more often the sum carries into the bits that are kept.
            raised = bits_of(ops.minimum(kept, _LARGEST))
            raised = raised + upper_bits(bits, 16)
            cut = as_float(ops.bitwise_and(raised, int32(-(2**16))))
            kept = ops.where(ops.isfinite(kept), cut, kept)
        return ops.cast(kept, self.dtype)


BFLOAT16 = MomentStorage(
    NearestBFloat16(), StochasticBFloat16(), no_custom_rule_because=NEEDS_DECODING
)

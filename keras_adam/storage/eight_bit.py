"""Moments in one byte each, below a scale that a block of entries shares.

A code is a small floating-point number without a sign (second moment: 5 bits of
exponent, 3 of mantissa) or with one (first moment: 4 and 3). Exponents count down from
the scale of the block. The scale is computed by the update rule itself, from the
block's largest gradient magnitude at each step. No moment of the block can be larger
than the scale, and no pass over the new moments is needed to find their largest.

Two codes and two float32 scales per 128 entries are 2.0625 bytes per parameter.

**Source**: 8-bit states in blocks: T. Dettmers et al., arXiv:2110.02861; a second
moment that is never rounded to zero: B. Li et al., arXiv:2309.01507. The codes and the
scale are this project's, measured in ``benchmarks/storage_quality.py``.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from keras import ops

from keras_adam.storage.blocks import BLOCK
from keras_adam.storage.codec import NEEDS_DECODING, MomentStorage
from keras_adam.storage.float_bits import LARGEST, as_float, bits_of, int32
from keras_adam.storage.stochastic_rounding import (
    lower_bits,
    upper_bits,
    variance_of_rounding,
)

Tensor = Any

_MANTISSA_BITS = 3
_CUT_BITS = 23 - _MANTISSA_BITS
_HALF = 1 << (_CUT_BITS - 1)
_LOWEST_LEVEL = 1 << _MANTISSA_BITS
_HIGHEST_LEVEL = (255 << _MANTISSA_BITS) - 1
"""A *level* is a float32's exponent and the first bits of its mantissa, as one number.
Levels are evenly spaced between two powers of two, and twice as far apart between the
next two. Normal numbers lie from `_LOWEST_LEVEL` to `_HIGHEST_LEVEL`."""


@dataclasses.dataclass(frozen=True)
class SignedMinifloat:
    """int8 of a first moment: a sign and 127 levels below the block's scale.

    Stochastic rounding changes a value by less than an eighth of itself, rounding to
    nearest by a sixteenth at most. Values below 2⁻¹⁵ of the scale become zero.
    """

    dtype: str = "int8"
    has_scales: bool = True
    codes_are_values: bool = False
    is_stochastic: bool = True
    relative_error: float = 2.0 ** -(_MANTISSA_BITS + 1)
    absolute_error: float = 2.0**-15
    largest: float = LARGEST

    def encode(
        self, values: Tensor, scales: Tensor | None, bits: Tensor | None
    ) -> Tensor:
        """Round to a level."""
        cut = _HALF if bits is None else lower_bits(bits, _CUT_BITS)
        level = _level(ops.abs(values), cut)
        code = ops.clip(level - _level_below_codes(scales, 127), 0, 127)
        code = ops.cast(code, self.dtype)
        return ops.where(values < 0, -code, code)

    def decode(self, codes: Tensor, scales: Tensor | None) -> Tensor:
        """The value of each level."""
        codes = ops.cast(codes, "int32")
        magnitude = ops.abs(codes)
        value = _value(magnitude + _level_below_codes(scales, 127))
        return ops.where(magnitude == 0, 0.0, ops.where(codes < 0, -value, value))

    def rounding_variance(self, values: Tensor) -> Tensor:
        """See `keras_adam.storage.stochastic_rounding.variance_of_rounding`."""
        return variance_of_rounding(values, _MANTISSA_BITS, self.is_stochastic)


@dataclasses.dataclass(frozen=True)
class UnsignedMinifloat:
    """uint8 of a second moment: 255 levels below the block's scale, and zero.

    Stochastic rounding changes a value by less than an eighth of itself, rounding to
    nearest by a sixteenth at most. Positive values below 2⁻³¹ of the scale become 2⁻³¹
    of the scale.
    """

    dtype: str = "uint8"
    has_scales: bool = True
    codes_are_values: bool = False
    is_stochastic: bool = True
    relative_error: float = 2.0 ** -(_MANTISSA_BITS + 1)
    absolute_error: float = 2.0**-31
    largest: float = LARGEST

    def encode(
        self, values: Tensor, scales: Tensor | None, bits: Tensor | None
    ) -> Tensor:
        """Round to a level; positive values to the lowest one at least."""
        cut = _HALF if bits is None else upper_bits(bits, _CUT_BITS)
        code = _level(values, cut) - _level_below_codes(scales, 255)
        code = ops.cast(ops.clip(code, 1, 255), self.dtype)
        return ops.where(values > 0, code, ops.zeros_like(code))

    def decode(self, codes: Tensor, scales: Tensor | None) -> Tensor:
        """The value of each level."""
        codes = ops.cast(codes, "int32")
        value = _value(codes + _level_below_codes(scales, 255))
        return ops.where(codes == 0, 0.0, value)

    def rounding_variance(self, values: Tensor) -> Tensor:
        """See `keras_adam.storage.stochastic_rounding.variance_of_rounding`."""
        return variance_of_rounding(values, _MANTISSA_BITS, self.is_stochastic)


def _level_below_codes(scales: Tensor, largest_code: int) -> Tensor:
    """The level of code 0, such that the largest code's is just above the scale."""
    level = _shifted_right(bits_of(scales)) + (1 - largest_code)
    return ops.clip(level, _LOWEST_LEVEL - 1, _HIGHEST_LEVEL - largest_code)


def _level(magnitudes: Tensor, cut: Tensor | int) -> Tensor:
    """The level of values, rounded by adding ``cut`` to the bits that are cut off."""
    return _shifted_right(bits_of(magnitudes) + cut)


def _shifted_right(bits: Tensor) -> Tensor:
    return ops.bitwise_right_shift(bits, int32(_CUT_BITS))


def _value(level: Tensor) -> Tensor:
    return as_float(ops.bitwise_left_shift(level, int32(_CUT_BITS)))


EIGHT_BIT = MomentStorage(
    SignedMinifloat(),
    UnsignedMinifloat(),
    no_rows_because=(
        f"{BLOCK} entries share a scale, and a step of single rows would change a part "
        "of them"
    ),
    no_amsgrad_because=(
        "stochastic rounding goes up and down, so that the largest second moment would "
        "only ever grow"
    ),
    no_custom_rule_because=NEEDS_DECODING,
)

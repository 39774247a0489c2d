"""How a moment is kept between steps: codecs and their table.

The rule is computed in float32 whatever the storage: a moment is decoded before it and
encoded after it. Rounded to the nearest, a moment stalls: with beta_2 = 0.999 it decays
by a thousandth a step, which no grid of 8 or 16 bits resolves. So codes are rounded
stochastically, up as often as makes their mean the moment. The second moment stands
under a root in a denominator: a positive one never becomes zero.

| storage | bytes per parameter | first moment | second moment |
|---|---|---|---|
| float32 | 8 | as it is | as it is |
| bfloat16 | 4 | bfloat16, to nearest | bfloat16, stochastically |
| 8bit | 2.06 | sign, 4 bits exponent, 3 mantissa | 5 bits exponent, 3 mantissa |

The exponents of ``8bit`` count down from a scale that a block of 128 entries shares.
The scale is what the block's moment would be if its largest gradient entry were always
the same one: the rule itself, applied to the largest magnitudes. No moment of the block
can exceed it, and no pass over the new moments is needed to find it.

**Source**: block-wise 8-bit states: T. Dettmers et al., arXiv:2110.02861; the point of
zero: B. Li et al., arXiv:2309.01507; the codes and the scale are this project's,
measured in ``benchmarks/memory/storage_quality.py``.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from keras import ops

from keras_adam.rounding_noise import lower_bits, upper_bits

Tensor = Any

BLOCK = 128
"""Entries that share a scale."""

LEAST_ENCODED = 65_536
"""Entries from which a weight's moments are encoded: those of smaller ones are a small
part of the memory."""

SMALLEST = 2.0**-126
"""The smallest normal float32: below it processors may read zero."""

LARGEST = (2 - 2.0**-23) * 2.0**127
"""The largest float32."""

_LARGEST_BFLOAT16 = (2 - 2.0**-7) * 2.0**127


class Codec(Protocol):
    """A way to keep a moment."""

    @property
    def dtype(self) -> str:
        """Of the codes."""
        ...

    @property
    def has_scales(self) -> bool:
        """Whether codes stand in blocks, each of which has a scale."""
        ...

    def encode(self, values: Tensor, scales: Tensor | None, bits: Tensor | None) -> Any:
        """Codes of float32 values.

        Args:
            values: ``[blocks, BLOCK]`` where there are scales, else of any shape.
            scales: bounds on the magnitudes, ``[blocks, 1]``.
            bits: int32 random bits per entry; ``None`` rounds to the nearest.

        Returns:
            Codes of the values' shape. They are computed by an operation of two
            tensors at last: XLA would compute one of a single tensor twice, for who
            reads the codes as well, and then keep the old codes beside the new.
        """
        ...

    def decode(self, codes: Tensor, scales: Tensor | None) -> Tensor:
        """The float32 values of codes."""
        ...


@dataclasses.dataclass(frozen=True)
class Unchanged:
    """Keeps the values, in the dtype that is computed in."""

    dtype: str = "float32"
    has_scales: bool = False

    def encode(self, values: Tensor, scales: Tensor | None, bits: Tensor | None) -> Any:
        """The values themselves."""
        del scales, bits
        return values

    def decode(self, codes: Tensor, scales: Tensor | None) -> Tensor:
        """The values themselves."""
        del scales
        return codes


@dataclasses.dataclass(frozen=True)
class BFloat16:
    """The upper half of a float32's bits; relative error up to 2⁻⁸, or 2⁻⁷ by chance.

    Attributes:
        is_second: positive values stay positive, and random bits are made use of.
    """

    is_second: bool
    dtype: str = "bfloat16"
    has_scales: bool = False

    def encode(self, values: Tensor, scales: Tensor | None, bits: Tensor | None) -> Any:
        """Round; what is not finite stays what it is."""
        del scales
        if not self.is_second:
            return ops.cast(values, self.dtype)
        kept = ops.where(values > 0, ops.maximum(values, SMALLEST), values)
        if bits is not None:
            # A random part of a grid step is added and the rest is cut: the carry
            # comes as often as what is cut off is long.
            raised = _bits_of(ops.minimum(kept, _LARGEST_BFLOAT16))
            raised = raised + upper_bits(bits, 16)
            cut = _as_float(ops.bitwise_and(raised, _int32(-(2**16))))
            kept = ops.where(ops.isfinite(kept), cut, kept)
        return ops.cast(kept, self.dtype)

    def decode(self, codes: Tensor, scales: Tensor | None) -> Tensor:
        """The values in float32, exactly."""
        del scales
        return ops.cast(codes, "float32")


_MANTISSA_BITS = 3
_CUT_BITS = 23 - _MANTISSA_BITS
_LOWEST_LEVEL = 1 << _MANTISSA_BITS
_HIGHEST_LEVEL = (255 << _MANTISSA_BITS) - 1
"""A *level* is a float32's exponent and the first bits of its mantissa, as one number:
levels are evenly spaced within a power of two, and twice as far apart in the next.
Between these two lie the normal numbers."""


def _level_below_codes(scales: Tensor, largest_code: int) -> Tensor:
    """The level that code 0 would have, so that the largest is just above the scale."""
    level = _shifted_right(_bits_of(scales)) + (1 - largest_code)
    return ops.clip(level, _LOWEST_LEVEL - 1, _HIGHEST_LEVEL - largest_code)


def _level(magnitudes: Tensor, cut: Tensor | int) -> Tensor:
    """The level of values, rounded by adding ``cut`` to what is cut off."""
    return _shifted_right(_bits_of(magnitudes) + cut)


@dataclasses.dataclass(frozen=True)
class SignedMinifloat:
    """int8 of a first moment: a sign and 127 levels below the block's scale.

    A value changes by less than an eighth of itself, by chance and with itself as mean;
    to the nearest by a sixteenth. Below 2⁻¹⁵ of the scale it becomes zero.
    """

    dtype: str = "int8"
    has_scales: bool = True

    def encode(self, values: Tensor, scales: Tensor | None, bits: Tensor | None) -> Any:
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


@dataclasses.dataclass(frozen=True)
class UnsignedMinifloat:
    """uint8 of a second moment: 255 levels below the block's scale, and zero.

    A value changes by less than an eighth of itself, by chance and with itself as mean;
    to the nearest by a sixteenth. Below 2⁻³¹ of the scale a positive one is raised to
    that.
    """

    dtype: str = "uint8"
    has_scales: bool = True

    def encode(self, values: Tensor, scales: Tensor | None, bits: Tensor | None) -> Any:
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


_HALF = 1 << (_CUT_BITS - 1)


def largest_magnitudes(blocks: Tensor) -> Tensor:
    """Per block the largest magnitude; 0 where an entry is not finite.

    Shapes:
        ``[blocks, BLOCK]`` to ``[blocks, 1]``.
    """
    # Of the values and not of the magnitudes, which a CPU would write down first; and
    # in two stages of 16 and 8, as XLA would else make it, in code slower to compile.
    parts = ops.reshape(blocks, (-1, BLOCK // 8))
    highest = ops.max(ops.reshape(ops.max(parts, axis=1), (-1, 8)), axis=1)
    lowest = ops.min(ops.reshape(ops.min(parts, axis=1), (-1, 8)), axis=1)
    largest = ops.expand_dims(ops.maximum(highest, -lowest), 1)
    return ops.where(ops.isfinite(largest), largest, 0.0)


def rounding_variance(codec: Codec, values: Tensor) -> Tensor:
    """The square of what storing changed each value by, as is to be expected.

    For a value anywhere between two neighbours at the distance d, d² / 6 if it is
    rounded by chance: up with probability p, which has the variance d² p (1 - p); and
    d² / 12 if it is rounded to the nearest. Below a power of two neighbours are half as
    far apart as above it; for the power itself the mean of both counts.

    Args:
        codec: by which the values were stored.
        values: as they were decoded.
    """
    if isinstance(codec, Unchanged):
        return ops.zeros_like(values)
    is_bfloat16 = isinstance(codec, BFloat16)
    power = _as_float(ops.bitwise_and(_bits_of(values), _int32(0x7F800000)))
    distance = power * 2.0 ** -(7 if is_bfloat16 else _MANTISSA_BITS)
    is_by_chance = not is_bfloat16 or codec.is_second
    mean_of_both = ops.where(power == ops.abs(values), (1 + 1 / 4) / 2, 1.0)
    return ops.square(distance) * mean_of_both / (6 if is_by_chance else 12)


def within_float32(scales: Tensor) -> Tensor:
    """Scales of which none is infinite, as the square of a finite number may be."""
    return ops.minimum(scales, LARGEST)


def _bits_of(values: Tensor) -> Tensor:
    return ops.view(values, "int32")


def _as_float(bits: Tensor) -> Tensor:
    return ops.view(bits, "float32")


def _shifted_right(bits: Tensor) -> Tensor:
    return ops.bitwise_right_shift(bits, _int32(_CUT_BITS))


def _value(level: Tensor) -> Tensor:
    return _as_float(ops.bitwise_left_shift(level, _int32(_CUT_BITS)))


def _int32(value: int) -> Tensor:
    return ops.convert_to_tensor(value, dtype="int32")


class MomentStorage(NamedTuple):
    """A pair of codecs, one for each kind of moment.

    Attributes:
        first: of the gradients' average.
        second: of their squares' average, and of AMSGrad's largest one.
    """

    first: Codec
    second: Codec

    def stored_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape in which moments of a weight are stored, stepped and encoded."""
        if not self.first.has_scales:
            return tuple(shape)
        return max(1, -(-math.prod(shape) // BLOCK)), BLOCK

    def arrange(self, tensor: Tensor) -> Tensor:
        """A tensor of a weight's shape in the stored shape, filled up with zeros."""
        if not self.first.has_scales:
            return tensor
        blocks, size = self.stored_shape(tensor.shape)[0], math.prod(tensor.shape)
        if size < blocks * BLOCK:
            flat = ops.reshape(tensor, (size,))
            tensor = ops.pad(flat, ((0, blocks * BLOCK - size),))
        return ops.reshape(tensor, (blocks, BLOCK))

    def restore(self, arranged: Tensor, shape: Sequence[int]) -> Tensor:
        """What was arranged, in the weight's shape."""
        if not self.first.has_scales:
            return arranged
        size = math.prod(shape)
        if size < math.prod(arranged.shape):
            arranged = ops.reshape(arranged, (-1,))[:size]
        return ops.reshape(arranged, tuple(shape))


STORAGES = {
    "float32": MomentStorage(Unchanged(), Unchanged()),
    "bfloat16": MomentStorage(BFloat16(is_second=False), BFloat16(is_second=True)),
    "8bit": MomentStorage(SignedMinifloat(), UnsignedMinifloat()),
}
"""By the name that `keras_adam.Adam` takes as ``moment_storage``."""

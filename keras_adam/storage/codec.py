"""What a storage consists of: a codec for each kind of moment, and what it supports."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Protocol

from keras import ops

from keras_adam.storage.blocks import BLOCK

Tensor = Any

LEAST_ENCODED = 65_536
"""Moments of weights with fewer entries than this are never encoded: they are a small
part of the memory, and small weights share variables (`keras_adam.state.packing`)."""

NEEDS_DECODING = (
    "stored moments must be decoded before they are read and encoded after they are "
    "changed, which another update_step does not do"
)
"""Why only an exact storage supports a custom rule."""


class Codec(Protocol):
    """How one kind of moment is encoded and decoded.

    Encoding changes a value by at most ``relative_error * abs(value)`` or
    `absolute_error`, whichever is larger; with random bits the relative error is twice
    as large. A positive second moment never becomes zero, unless it is below the
    smallest normal float32.

    With given scales each entry is encoded independently. NaN and infinity do not
    change if `codes_are_values`; other codes are always decoded to finite values.
    """

    @property
    def dtype(self) -> str:
        """The dtype of the codes."""
        ...

    @property
    def has_scales(self) -> bool:
        """Whether codes are arranged in blocks, each of which has a float32 scale."""
        ...

    @property
    def codes_are_values(self) -> bool:
        """Whether a code is the value itself in another dtype.

        A saved array of such codes must obey the law of the moment: finite, and not
        negative if it is a second moment. Otherwise every number of the dtype is a
        valid code, and the saved array must have exactly this dtype.
        """
        ...

    @property
    def is_stochastic(self) -> bool:
        """Whether random bits decide if a value is rounded up or down."""
        ...

    @property
    def relative_error(self) -> float:
        """The largest error of rounding to nearest, as a share of the value."""
        ...

    @property
    def absolute_error(self) -> float:
        """The largest error of a tiny value, as a share of the scale if it has one."""
        ...

    @property
    def largest(self) -> float:
        """The largest magnitude that is kept within these errors."""
        ...

    def encode(
        self, values: Tensor, scales: Tensor | None, bits: Tensor | None
    ) -> Tensor:
        """The codes of float32 values.

        Args:
            values: ``[blocks, BLOCK]`` where there are scales, else of any shape.
            scales: upper bounds of each block's magnitudes, ``[blocks, 1]``.
            bits: int32 random bits per entry; ``None`` rounds to nearest.

        Returns:
            Codes of the values' shape. The last operation that computes them should
            take two tensors. XLA would repeat an operation of one tensor for each
            reader of the codes, and keep the old codes in memory beside the new ones.
        """
        ...

    def decode(self, codes: Tensor, scales: Tensor | None) -> Tensor:
        """The float32 values of codes."""
        ...

    def rounding_variance(self, values: Tensor) -> Tensor:
        """The expected square of the error that encoding has made in each value.

        Args:
            values: as they were decoded.
        """
        ...


@dataclasses.dataclass(frozen=True)
class MomentStorage:
    """How both moments of a weight are kept between steps.

    Each ``no_..._because`` is the reason why a capability is missing; it is empty if
    the storage has the capability.

    Attributes:
        first: codec of the average of gradients.
        second: codec of the average of their squares, and of AMSGrad's largest one.
            Both codecs have scales, or neither has.
        is_exact: moments are stored as they are computed; nothing is encoded.
        least_entries: weights with at least this many entries are encoded; not below
            `LEAST_ENCODED`.
        no_rows_because: why single rows of a table cannot be stepped.
        no_amsgrad_because: why the largest second moment cannot be kept.
        no_custom_rule_because: why a subclass cannot override ``update_step``.
    """

    first: Codec
    second: Codec
    is_exact: bool = False
    least_entries: int = LEAST_ENCODED
    no_rows_because: str = ""
    no_amsgrad_because: str = ""
    no_custom_rule_because: str = ""

    @property
    def supports_rows(self) -> bool:
        """Whether single rows of a table can be stepped (``sparse_updates``)."""
        return not self.no_rows_because

    @property
    def supports_amsgrad(self) -> bool:
        """Whether it can be combined with ``amsgrad=True``."""
        return not self.no_amsgrad_because

    @property
    def supports_custom_rule(self) -> bool:
        """Whether a subclass can override ``update_step``, which reads moments."""
        return not self.no_custom_rule_because

    def encodes(self, shape: Sequence[int]) -> bool:
        """Whether moments of a float32 weight of this shape are encoded."""
        return not self.is_exact and math.prod(shape) >= self.least_entries

    def stored_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape in which moments of a weight of this shape are stored."""
        if not self.first.has_scales:
            return tuple(shape)
        return max(1, -(-math.prod(shape) // BLOCK)), BLOCK

    def arrange(self, tensor: Tensor) -> Tensor:
        """A tensor of a weight's shape in the stored shape, padded with zeros."""
        if not self.first.has_scales:
            return tensor
        blocks, size = self.stored_shape(tensor.shape)[0], math.prod(tensor.shape)
        if size < blocks * BLOCK:
            flat = ops.reshape(tensor, (size,))
            tensor = ops.pad(flat, ((0, blocks * BLOCK - size),))
        return ops.reshape(tensor, (blocks, BLOCK))

    def restore(self, arranged: Tensor, shape: Sequence[int]) -> Tensor:
        """The reverse of `arrange`: a tensor of the weight's shape."""
        if not self.first.has_scales:
            return arranged
        size = math.prod(shape)
        if size < math.prod(arranged.shape):
            arranged = ops.reshape(arranged, (-1,))[:size]
        return ops.reshape(arranged, tuple(shape))

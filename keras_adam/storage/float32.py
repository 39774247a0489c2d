"""Moments as they are computed: nothing is encoded, 8 bytes per parameter."""

from __future__ import annotations

import dataclasses
from typing import Any

from keras import ops

from keras_adam.storage.codec import MomentStorage
from keras_adam.storage.float_bits import LARGEST

Tensor = Any


@dataclasses.dataclass(frozen=True)
class Float32:
    """Keeps the values. Those of a float64 weight stay float64."""

    dtype: str = "float32"
    has_scales: bool = False
    codes_are_values: bool = True
    is_stochastic: bool = False
    relative_error: float = 0.0
    absolute_error: float = 0.0
    largest: float = LARGEST

    def encode(
        self, values: Tensor, scales: Tensor | None, bits: Tensor | None
    ) -> Tensor:
        """The values themselves."""
        del scales, bits
        return values

    def decode(self, codes: Tensor, scales: Tensor | None) -> Tensor:
        """The values themselves."""
        del scales
        return codes

    def rounding_variance(self, values: Tensor) -> Tensor:
        """Zeros."""
        return ops.zeros_like(values)


FLOAT32 = MomentStorage(Float32(), Float32(), is_exact=True)

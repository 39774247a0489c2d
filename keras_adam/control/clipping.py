"""Gradients bounded as Keras bounds them, and by the spike guard.

A gradient entry that is NaN or infinite is not spread to other entries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from keras_adam.control.control import Control
from keras_adam.control.spike_guard import SpikeGuard
from keras_adam.options import Options
from keras_adam.rule.clipping import (
    clip_to_norm,
    factor_within,
    norm_of_finite,
    norm_of_samples,
)


class Clipping(Control):
    """``clipnorm``, ``clipvalue`` and ``global_clipnorm``."""

    def each(self, gradients: list[Any], options: Options) -> list[Any]:
        """The part of clipping that must see each weight's gradient by itself."""
        if not options.clipnorm:
            return gradients
        return [clip_to_norm([g], options.clipnorm)[0] for g in gradients]

    def factor(
        self,
        gradients: Sequence[Any],
        options: Options,
        guard: SpikeGuard,
        is_counted: Any = True,
    ) -> Any | None:
        """What every gradient is scaled by, where their common norm decides.

        Args:
            gradients: all of the step, or norms in their place.
            options: of the optimizer.
            guard: takes note of the norm, if it is on.
            is_counted: whether the step will be taken, scalar bool.

        Returns:
            A scalar; ``None`` where no common norm decides.
        """
        if not options.has_common_norm:
            return None
        if options.global_clipnorm:
            norm = norm_of_finite(gradients)
            factor = factor_within(norm, options.global_clipnorm)
        else:
            # The guard alone is content with a sample's norm.
            norm = norm_of_samples(gradients)
            factor = ops.ones_like(norm)
        if not options.spike_guard:
            return factor
        return guard.within(factor, norm, options.spike_guard, is_counted)

    def clipped(self, gradient: Any, factor: Any | None, options: Options) -> Any:
        """The part of clipping that is the same however gradients are joined."""
        if factor is not None:
            gradient = gradient * ops.cast(factor, gradient.dtype)
        if options.clipvalue:
            return ops.clip(gradient, -options.clipvalue, options.clipvalue)
        return gradient

"""Clipping of gradients, by Keras's three options and by the spike guard.

A gradient entry that is NaN or infinite does not spread to other entries.
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
        """Apply ``clipnorm``, which needs each weight's gradient by itself."""
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
        """The factor that scales every gradient, where their common norm decides.

        Args:
            gradients: all gradients of the step; some may be replaced by their norms.
            options: of the optimizer.
            guard: records the norm, if ``spike_guard`` is on.
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
            # For the guard alone, the norm of a sample is enough.
            norm = norm_of_samples(gradients)
            factor = ops.ones_like(norm)
        if not options.spike_guard:
            return factor
        return guard.within(factor, norm, options.spike_guard, is_counted)

    def clipped(self, gradient: Any, factor: Any | None, options: Options) -> Any:
        """Apply the factor and ``clipvalue``; gradients may be joined before."""
        if factor is not None:
            gradient = gradient * ops.cast(factor, gradient.dtype)
        if options.clipvalue:
            return ops.clip(gradient, -options.clipvalue, options.clipvalue)
        return gradient

"""Caps and adapts the learning rate (``rate_cap``, ``rate_adaptation``)."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from keras_adam.backend.variables import assign, read
from keras_adam.control.control import Control
from keras_adam.options import Options
from keras_adam.rule import learning_rate as rule
from keras_adam.rule.adam import Moments
from keras_adam.rule.learning_rate import Alignment, RateState
from keras_adam.rule.sampling import sampled, sampled_share
from keras_adam.state.checkpoint_laws import CONTROL, CONTROL_OF_AT_LEAST_0, Law
from keras_adam.state.variable_creation import VariableCreation

logger = logging.getLogger(__name__)

FAR_ABOVE_CAP = 1000
"""A learning rate of more than this many times `rate_cap` causes a warning."""


class Sample(NamedTuple):
    """Entries of a gradient, and of the moments after it.

    Attributes:
        gradient: flat, float32.
        first: first moment, flat, float32.
        second: second moment, flat, float32.
        weight: how many entries of the whole gradient each sampled entry stands for.
    """

    gradient: Any
    first: Any
    second: Any
    weight: float


class LearningRateControl(Control):
    """Multiplies the given learning rate, and adapts the multiplier.

    Attributes:
        log_multiplier: logarithm of the multiplier; ``None`` if built without control.
        peak: the largest given learning rate so far.
    """

    def __init__(self) -> None:
        self.log_multiplier: keras.Variable | None = None
        self.peak: keras.Variable | None = None
        self._has_warned = False

    def create(self, options: Options, creation: VariableCreation) -> None:
        """Create both scalars."""
        if options.controls_learning_rate:
            self.log_multiplier = creation.scalar("log_rate_multiplier")
            self.peak = creation.scalar("peak_rate")

    def variables(self) -> list[keras.Variable]:
        """Both scalars."""
        return [v for v in (self.log_multiplier, self.peak) if v is not None]

    def saved(self, options: Options) -> list[tuple[keras.Variable, Law]]:
        """Both scalars."""
        if self.log_multiplier is None or not options.controls_learning_rate:
            return []
        return [(self.log_multiplier, CONTROL), (self.peak, CONTROL_OF_AT_LEAST_0)]

    def multiplier(self, options: Options) -> float:
        """The learning rate of the next step, divided by the given one."""
        if self.log_multiplier is None or not options.controls_learning_rate:
            return 1.0
        return math.exp(ops.convert_to_numpy(self.log_multiplier.value))

    def warn_if_far_above_cap(self, given: float, options: Options) -> None:
        """Log a warning once if the given learning rate is far above the cap."""
        cap = options.rate_cap
        if cap is None or self._has_warned or given <= FAR_ABOVE_CAP * cap:
            return
        self._has_warned = True
        logger.warning(
            "The learning rate %g is %.0f times rate_cap=%g: training starts at a "
            "learning rate of %.2g instead. If the weights really need such large "
            "steps, as the pixels of an image do, give rate_cap=%g as well.",
            given,
            given / cap,
            cap,
            cap * (given / cap) ** options.rate_cap_softness,
            given,
        )

    def controlled(self, learning_rate: Any, options: Options) -> Any:
        """The learning rate of a step.

        Args:
            learning_rate: the given one, scalar.
            options: of the optimizer.
        """
        if not options.controls_learning_rate:
            return learning_rate
        learning_rate = ops.convert_to_tensor(learning_rate)
        multiplier = ops.exp(self._capped(learning_rate, options).log_multiplier)
        return learning_rate * ops.cast(multiplier, learning_rate.dtype)

    def adapt(
        self,
        alignments: Sequence[Alignment],
        learning_rate: Any,
        options: Options,
        update_count: Any,
    ) -> None:
        """Adapt the multiplier for the next step.

        Args:
            alignments: of this step's gradients with the step before.
            learning_rate: the given one, scalar.
            options: of the optimizer.
            update_count: how many updates there have been before, scalar.
        """
        if not options.controls_learning_rate:
            return
        state = self._capped(learning_rate, options)
        if options.rate_adaptation is not None:
            state = rule.adapted(
                state,
                alignments,
                ops.cast(learning_rate, "float32"),
                ops.cast(update_count + 1, "float32"),
                options.rate_adaptation,
                options.rate_cap,
                options.rate_growth_limit,
            )
        assign(self.log_multiplier, state.log_multiplier)
        assign(self.peak, state.peak)

    def _capped(self, learning_rate: Any, options: Options) -> RateState:
        """The state for a step at the given learning rate.

        Raises:
            ValueError: the optimizer was built without control.
        """
        if self.log_multiplier is None:
            raise ValueError(
                "rate_cap or rate_adaptation was set on an optimizer that was built "
                "without both and keeps nothing for them. Create a new one with "
                "Adam(..., rate_cap=..., rate_adaptation=...) or Adam.robust(...)."
            )
        before = RateState(read(self.log_multiplier), read(self.peak))
        given = ops.cast(learning_rate, "float32")
        return rule.capped(before, given, options.rate_cap, options.rate_cap_softness)


def samples_of(gradient: Any, after: Moments, options: Options) -> list[Sample]:
    """The sample of a gradient that adaptation uses; none if adaptation is off.

    Args:
        gradient: as it went into the moments.
        after: the moments after this gradient.
        options: of the optimizer.
    """
    if options.rate_adaptation is None:
        return []
    share = sampled_share(math.prod(gradient.shape))
    parts = (sampled(part) for part in (gradient, after.first, after.second))
    gradient, first, second = (
        ops.cast(ops.reshape(part, (-1,)), "float32") for part in parts
    )
    return [Sample(gradient, first, second, 1 / share)]


def alignments_of(samples: Sequence[Sample], options: Options) -> list[Alignment]:
    """How far several gradients together keep the direction of the last step.

    Returns:
        One alignment; none where there are no samples.
    """
    if not samples:
        return []
    # Join first, then compute: joining computed parts would double the time that XLA
    # takes to compile each of the two sums.
    gradient, first, second = (
        _joined([getattr(sample, name) for sample in samples])
        for name in ("gradient", "first", "second")
    )
    before = rule.first_moment_before(gradient, first, options.beta_1)
    along = rule.along_last_step(gradient, before, second)
    if any(sample.weight != 1 for sample in samples):
        # Weighted, so that sampled and whole gradients count the same per entry.
        along = along * np.concatenate(
            [
                np.full(sample.gradient.shape, sample.weight, "float32")
                for sample in samples
            ]
        )
    return [rule.alignment([along])]


def _joined(parts: Sequence[Any]) -> Any:
    return parts[0] if len(parts) == 1 else ops.concatenate(parts)

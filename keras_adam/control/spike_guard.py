"""Gradients whose common norm is unusually large are scaled down (``spike_guard``)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_adam.backend.variables import assign, read
from keras_adam.control.control import Control, count_if, counted
from keras_adam.options import Options
from keras_adam.rule.clipping import factor_within
from keras_adam.rule.spike_guard import NormHistory, largest_usual_norm, with_norm
from keras_adam.state.checkpoint_laws import CONTROL, CONTROL_OF_AT_LEAST_0, Law
from keras_adam.state.variable_creation import VariableCreation


class SpikeGuard(Control):
    """Remembers the gradients' norms, and counts the steps that it has clipped.

    Attributes:
        history: the variables of a `NormHistory`; ``None`` if built without a guard.
        counter: of clipped steps.
    """

    def __init__(self) -> None:
        self.history: NormHistory | None = None
        self.counter: keras.Variable | None = None

    def create(self, options: Options, creation: VariableCreation) -> None:
        """Create the history and the counter."""
        if options.spike_guard:
            self.history = NormHistory(
                *(creation.scalar(f"norm_history_{n}") for n in NormHistory._fields)
            )
            self.counter = creation.scalar("clipped_spikes", "int")

    def variables(self) -> list[keras.Variable]:
        """The history and the counter."""
        return [v for v in (*(self.history or ()), self.counter) if v is not None]

    def saved(self, options: Options) -> list[tuple[keras.Variable, Law]]:
        """The history. The counter is not saved, to keep Keras's form."""
        if self.history is None or not options.spike_guard:
            return []
        return [
            (self.history.log_mean, CONTROL),
            (self.history.log_variance, CONTROL_OF_AT_LEAST_0),
            (self.history.count, CONTROL_OF_AT_LEAST_0),
        ]

    @property
    def count(self) -> int:
        """How many steps have been clipped."""
        return counted(self.counter)

    def within(self, factor: Any, norm: Any, deviations: float, is_counted: Any) -> Any:
        """The factor that scales gradients of this norm down to a usual one.

        Args:
            factor: of ``global_clipnorm``, else 1; the smaller factor is returned.
            norm: of all gradients together, scalar.
            deviations: how many standard deviations are usual.
            is_counted: whether the step will be taken, scalar bool.

        Raises:
            ValueError: the optimizer was built without a guard.
        """
        if self.history is None:
            raise ValueError(
                "spike_guard was set on an optimizer that was built without it and "
                "keeps nothing for it. Create one with Adam(..., spike_guard=...)."
            )
        before = NormHistory(*map(read, self.history))
        norm = ops.cast(norm, "float32")
        largest = largest_usual_norm(before, deviations)
        after = with_norm(before, norm, largest)
        for variable, old, new in zip(self.history, before, after, strict=True):
            assign(variable, ops.where(is_counted, new, old))
        count_if(self.counter, ops.logical_and(norm > largest, is_counted))
        guard = factor_within(norm, largest)
        return ops.minimum(factor, ops.cast(guard, factor.dtype))

"""All controls of an optimizer, and what they keep together."""

from __future__ import annotations

import dataclasses
from typing import Any

from keras_adam.control.accumulation import Accumulation
from keras_adam.control.averaging import Averaging
from keras_adam.control.clipping import Clipping
from keras_adam.control.learning_rate import LearningRateControl
from keras_adam.control.skipping import Skipping
from keras_adam.control.spike_guard import SpikeGuard
from keras_adam.options import Options
from keras_adam.state.checkpoint_laws import Law
from keras_adam.state.variable_creation import VariableCreation


@dataclasses.dataclass(frozen=True)
class Controls:
    """The controls of an optimizer, in the order in which their variables are saved.

    Each has ``create(options, creation)``, ``variables()`` and ``saved(options)``.
    """

    learning_rate: LearningRateControl = dataclasses.field(
        default_factory=LearningRateControl
    )
    spike_guard: SpikeGuard = dataclasses.field(default_factory=SpikeGuard)
    skipping: Skipping = dataclasses.field(default_factory=Skipping)
    clipping: Clipping = dataclasses.field(default_factory=Clipping)
    accumulation: Accumulation = dataclasses.field(default_factory=Accumulation)
    averaging: Averaging = dataclasses.field(default_factory=Averaging)

    def create(self, options: Options, creation: VariableCreation) -> None:
        """Create what the controls that are on keep between steps."""
        for control in self._all():
            control.create(options, creation)

    def variables(self) -> list[Any]:
        """The scalars that the controls keep."""
        return [variable for control in self._all() for variable in control.variables()]

    def saved(self, options: Options) -> list[tuple[Any, Law]]:
        """The variables that files hold, each with the law that its value must obey."""
        return [one for control in self._all() for one in control.saved(options)]

    def _all(self) -> list[Any]:
        return [getattr(self, field.name) for field in dataclasses.fields(self)]

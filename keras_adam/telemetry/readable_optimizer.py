"""What can be read of an optimizer, whichever it is: Keras's, a wrapped one, ours."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_adam.adam import Adam
from keras_adam.backend.variables import read
from keras_adam.state.reading import Entries
from keras_adam.storage import STORAGES

_CONTROLS = {
    "skipped_steps": ("skip_nonfinite",),
    "clipped_spikes": ("spike_guard",),
    "rate_cap": ("rate_cap",),
    "rate_adaptation": ("rate_adaptation",),
    "rate_multiplier": ("rate_cap", "rate_adaptation"),
}
"""Numbers of our optimizer, and the options of which one makes them worth telling."""


class ReadableOptimizer:
    """An optimizer, and what its class says of its variables.

    Of `keras_adam.Adam` all is known; of Keras's classes, what their variables are
    called and how they decay. Another class may mean something else by a name
    (``ScheduleFreeAdamW`` calls weights "momentum"), so nothing is read of it but
    its rate.

    Args:
        optimizer: any Keras optimizer; also inside a ``LossScaleOptimizer``.
        weights: to be read of, once the optimizer is built. Those that it was not built
            with are left out.

    Attributes:
        optimizer: without the wrapper.
        weights: that it was built with, of those given.
        loss_scale_optimizer: the wrapper, or ``None``.
        first_decay: of the average of gradients; ``None`` where there is none that
            can be read.
        second_decay: likewise, of the average of their squares.
    """

    def __init__(self, optimizer: Any, weights: Sequence[Any] = ()) -> None:
        is_wrapper = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        self.loss_scale_optimizer = optimizer if is_wrapper else None
        self.optimizer: Any = optimizer.inner_optimizer if is_wrapper else optimizer
        known = set(map(id, self.optimizer._trainable_variables))
        # An optimizer with a `build` of its own need not say.
        self.weights = [w for w in weights if id(w) in known or not known]
        self.first_decay, self.second_decay = _decays(self.optimizer)
        self._moments: dict[str, list[Any]] = {}
        if isinstance(self.optimizer, Adam):
            return
        names = ("momentum", "velocity", "velocity_hat")
        self._moments = {name: self._variables_called(name) for name in names}
        if not self._moments["momentum"]:
            self.first_decay = None
        if not self._moments["velocity"]:
            self.second_decay = None

    def is_same_as(self, other: ReadableOptimizer) -> bool:
        """Whether what is read of it, and how, is what is read of the other."""
        return (
            self.optimizer is other.optimizer
            and self.loss_scale_optimizer is other.loss_scale_optimizer
            and (self.first_decay, self.second_decay)
            == (other.first_decay, other.second_decay)
            and list(map(id, self.weights)) == list(map(id, other.weights))
        )

    @property
    def keeps_codes(self) -> bool:
        """Whether moments must be decoded."""
        optimizer = self.optimizer
        is_ours = isinstance(optimizer, Adam)
        return is_ours and not STORAGES[optimizer.moment_storage].is_exact

    @property
    def epsilon(self) -> float:
        """What the step adds to the root of the second moment."""
        return float(self.optimizer.epsilon)

    def iterations(self) -> int:
        """How many updates there have been."""
        return int(ops.convert_to_numpy(self.optimizer.iterations))

    def learning_rate(self) -> float | None:
        """The rate of the next step; ``None`` where there is not one for all."""
        try:
            rate = self.optimizer.learning_rate
        except AttributeError:
            return None  # of a `MultiOptimizer`
        return float(ops.convert_to_numpy(rate))

    def skips(self) -> float | None:
        """A number that grows with each step that is skipped for its gradients.

        ``None`` where the optimizer skips no steps.
        """
        found = []
        if getattr(self.optimizer, "skip_nonfinite", False):
            found.append(float(self.optimizer.skipped_steps))
        wrapper = self.loss_scale_optimizer
        if wrapper is not None:
            scale = (
                ops.convert_to_numpy(wrapper.dynamic_scale.value)
                if wrapper.built
                else wrapper.initial_scale
            )
            found.append(-math.log2(scale))  # each skipped step halves it
        return sum(found) if found else None

    def controls(self) -> dict[str, float]:
        """Numbers that concern all weights, by name, as far as it has them."""
        found = {
            name: getattr(self.optimizer, name, None)
            for name, options in _CONTROLS.items()
            # Without its option a control is a number that never changes.
            if any(getattr(self.optimizer, option, None) for option in options)
        }
        if self.loss_scale_optimizer is not None:
            scale = self.loss_scale_optimizer.dynamic_scale
            found["loss_scale"] = ops.convert_to_numpy(scale.value)
        return {name: float(n) for name, n in found.items() if n is not None}

    def entries(self, index: int, stride: int) -> Entries:
        """Every so manieth entry of a weight, and what is kept of them.

        Every weight's have the same parts.

        Args:
            index: of the weight.
            stride: from one entry to the next.
        """
        weight = self.weights[index]
        if isinstance(self.optimizer, Adam):
            return self.optimizer.read_entries(weight, stride)

        def flat(variable: Any) -> Any:
            return ops.reshape(read(variable), (-1,))[::stride]

        def moment(name: str) -> Any | None:
            variables = self._moments[name]
            return flat(variables[index]) if variables else None

        first = None if self.first_decay is None else moment("momentum")
        second = None if self.second_decay is None else moment("velocity")
        largest = None if second is None else moment("velocity_hat")
        return Entries(flat(weight), first, second, largest)

    def variables(self) -> list[Any]:
        """All that `entries` may read."""
        return [*self.weights, *self.optimizer.variables]

    def _variables_called(self, suffix: str) -> list[Any]:
        """The variable that Keras calls so of each weight; none if one is missing.

        Weights of the same path have variables of the same name, in the same order.
        """
        by_name = defaultdict(list)
        for variable in self.optimizer.variables:
            by_name[variable.name].append(variable)
        found = []
        for weight in self.weights:
            candidates = by_name[f"{weight.path.replace('/', '_')}_{suffix}"]
            if not candidates or candidates[0].shape != weight.shape:
                return []
            found.append(candidates.pop(0))
        return found


def _decays(optimizer: Any) -> tuple[float | None, float | None]:
    optimizers = keras.optimizers
    if isinstance(
        optimizer, (Adam, optimizers.Adam, optimizers.Nadam, optimizers.Lamb)
    ):
        return float(optimizer.beta_1), float(optimizer.beta_2)
    if isinstance(optimizer, optimizers.Adamax):
        return float(optimizer.beta_1), None
    if isinstance(optimizer, optimizers.RMSprop):
        return None, float(optimizer.rho)
    return None, None

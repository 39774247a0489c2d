"""Reads any optimizer: `keras_adam.Adam`, Keras's, and wrapped ones."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

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
"""Numbers of `keras_adam.Adam` -> options that make them vary; one of them suffices."""


class ReadableOptimizer:
    """An optimizer and the moments that can be read from it.

    `keras_adam.Adam` reads its own moments. The moments of Keras's Adam, AdamW, Nadam,
    Lamb, Adamax and RMSprop are found by the names of their variables. In other classes
    these names may mean something else (``ScheduleFreeAdamW`` calls weights
    "momentum"), so only the learning rate is read of them.

    Args:
        optimizer: any Keras optimizer; also inside a ``LossScaleOptimizer``.
        weights: the weights to read, once the optimizer is built. Weights that it was
            not built with are left out.

    Attributes:
        optimizer: the optimizer without the wrapper.
        weights: those of the given weights that it was built with.
        loss_scale_optimizer: the wrapper, or ``None``.
        first_decay: decay of the average of gradients; ``None`` if there is none that
            can be read.
        second_decay: decay of the average of squared gradients; ``None`` if there is
            none that can be read.
    """

    def __init__(self, optimizer: Any, weights: Sequence[Any] = ()) -> None:
        is_wrapper = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        self.loss_scale_optimizer = optimizer if is_wrapper else None
        self.optimizer: Any = optimizer.inner_optimizer if is_wrapper else optimizer
        known = set(map(id, self.optimizer._trainable_variables))
        # An optimizer with its own `build` may keep no list of them.
        self.weights = [w for w in weights if id(w) in known or not known]
        self.first_decay, self.second_decay = _decays(self.optimizer)
        self._moments: dict[str, list[Any]] = {}
        if _reads_itself(self.optimizer):
            return
        names = ("momentum", "velocity", "velocity_hat")
        self._moments = {name: self._variables_called(name) for name in names}
        if not self._moments["momentum"]:
            self.first_decay = None
        if not self._moments["velocity"]:
            self.second_decay = None

    def is_same_as(self, other: ReadableOptimizer) -> bool:
        """Whether the other reads the same weights of the same optimizer alike."""
        return (
            self.optimizer is other.optimizer
            and self.loss_scale_optimizer is other.loss_scale_optimizer
            and (self.first_decay, self.second_decay)
            == (other.first_decay, other.second_decay)
            and list(map(id, self.weights)) == list(map(id, other.weights))
        )

    @property
    def keeps_codes(self) -> bool:
        """Whether moments are stored in codes, which are decoded when read."""
        optimizer = self.optimizer
        return (
            _reads_itself(optimizer) and not STORAGES[optimizer.moment_storage].is_exact
        )

    @property
    def epsilon(self) -> float:
        """What a step adds to the square root of the second moment."""
        return float(self.optimizer.epsilon)

    def iterations(self) -> int:
        """How many steps the optimizer has taken."""
        return int(ops.convert_to_numpy(self.optimizer.iterations))

    def learning_rate(self) -> float | None:
        """That of the next step; ``None`` if weights have different learning rates."""
        try:
            rate = self.optimizer.learning_rate
        except AttributeError:
            return None  # of a `MultiOptimizer`
        return float(ops.convert_to_numpy(rate))

    def skips(self) -> float | None:
        """A number that grows with each step skipped for gradients that are not finite.

        ``None`` if the optimizer never skips steps.
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
        """Numbers that concern all weights, by name; those that the optimizer has."""
        found = {
            name: getattr(self.optimizer, name, None)
            for name, options in _CONTROLS.items()
            # Without these options the number never changes.
            if any(getattr(self.optimizer, option, None) for option in options)
        }
        if self.loss_scale_optimizer is not None:
            scale = self.loss_scale_optimizer.dynamic_scale
            found["loss_scale"] = ops.convert_to_numpy(scale.value)
        return {name: float(n) for name, n in found.items() if n is not None}

    def entries(self, index: int, stride: int) -> Entries:
        """Every n-th entry of a weight and of its moments.

        The same attributes are ``None`` for every weight.

        Args:
            index: of the weight.
            stride: the n.
        """
        weight = self.weights[index]
        if _reads_itself(self.optimizer):
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
        """All variables that `entries` may read."""
        return [*self.weights, *self.optimizer.variables]

    def _variables_called(self, suffix: str) -> list[Any]:
        """The variable of each weight with this suffix; no variables if one is missing.

        If several weights have the same path, their variables have the same name, in
        the order of the weights.
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


def _reads_itself(optimizer: Any) -> bool:
    """Whether this is `keras_adam.Adam`, judged by the method that is needed."""
    return callable(getattr(optimizer, "read_entries", None))


def _decays(optimizer: Any) -> tuple[float | None, float | None]:
    """The decays of the first and the second moment; ``None`` if it cannot be read."""
    optimizers = keras.optimizers
    like_adam = (optimizers.Adam, optimizers.Nadam, optimizers.Lamb)
    if _reads_itself(optimizer) or isinstance(optimizer, like_adam):
        return float(optimizer.beta_1), float(optimizer.beta_2)
    if isinstance(optimizer, optimizers.Adamax):
        return float(optimizer.beta_1), None
    if isinstance(optimizer, optimizers.RMSprop):
        return None, float(optimizer.rho)
    return None, None

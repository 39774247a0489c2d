"""Models of runs, each built as if it were the first.

``build_model`` may return layers that exist already, such as a backbone that was loaded
once. Training changes them, so the next run would start where the last one ended. This
module finds them, and resets them to the values they had when it first saw them.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import keras
import numpy as np

TRIAL_SEED = 0
"""Seed of the trial build, the same for every run, process and sweep: a shared layer
that is first built in it has the same weights everywhere."""


class _Seen(NamedTuple):
    """A weak reference to a variable of a built model, and its first value."""

    variable: weakref.ref
    value: np.ndarray


class Recipe(Protocol):
    """How a workload's model is made, in two steps.

    Between them the variables that the model has already are remembered: the second
    step may draw random numbers in them.
    """

    def make(self, optimizer: Any) -> Any:
        """A new model."""
        ...

    def complete(self, model: Any, optimizer: Any) -> None:
        """Give the model its optimizer, and its variables where that can be done."""
        ...

    def trial_optimizer(self) -> Any:
        """An optimizer for a model that is not trained."""
        ...


class ModelBuilder:
    """Builds the models of a workload and resets what they share.

    A variable is shared if it occurs in two builds. The first build is therefore a
    trial, whose model is thrown away.

    Args:
        recipe: of the workload.
        shared: values of shared variables in the process that drives the sweep, from
            its :meth:`shared_values`; ``None`` in that process. A worker imports the
            user's files again, which may draw other weights there.
    """

    def __init__(
        self, recipe: Recipe, shared: Sequence[np.ndarray | None] | None = None
    ) -> None:
        self._recipe = recipe
        self._given = shared
        self._had_trial = False
        self._seen: dict[int, _Seen] = {}
        self._shared: set[int] = set()

    def build(self, seed: int, optimizer: Any) -> Any:
        """A compiled model with all its variables, initialised with the seed.

        Args:
            seed: of the run.
            optimizer: new; it belongs to the model from then on.

        Raises:
            Exception: whatever the workload's functions raise.
        """
        self.ensure_trial()
        self.restore()
        return self._build(seed, optimizer)

    def ensure_trial(self) -> None:
        """Build a model on trial, unless that has been done.

        Raises:
            Exception: whatever the workload's functions raise.
        """
        if not self._had_trial:
            self.build_trial()
            gc.collect()  # layers of a model refer to each other

    def build_trial(self) -> Any:
        """Build a model that is not trained, to see which variables models share.

        Raises:
            Exception: whatever the workload's functions raise.
        """
        model = self._build(TRIAL_SEED, self._recipe.trial_optimizer())
        self._take_over(model.variables)
        self._restore(id(variable) for variable in model.variables)
        self._had_trial = True
        return model

    def shared_values(self) -> list[np.ndarray | None]:
        """First values of a model's variables; ``None`` for those not shared.

        Raises:
            Exception: whatever the workload's functions raise.
        """
        first = self.build_trial() if not self._had_trial else None
        variables = self.build_trial().variables
        del first  # kept until now, so that the second model reuses none of its ids
        ids = [id(variable) for variable in variables]
        return [self._seen[i].value if i in self._shared else None for i in ids]

    def restore(self) -> None:
        """Put the shared variables back to their first values."""
        self._restore(self._shared)

    def _build(self, seed: int, optimizer: Any) -> Any:
        # Kept alive here, so that no new variable takes the id of an earlier one.
        earlier = {key: seen.variable() for key, seen in self._seen.items()}
        keras.utils.set_random_seed(seed)
        model = self._recipe.make(optimizer)
        # Before it is completed, which may draw random numbers.
        self._look_at(model.variables)
        self._recipe.complete(model, optimizer)
        self._look_at(model.variables)
        self._shared.update(id(v) for v in model.variables if id(v) in earlier)
        return model

    def _take_over(self, variables: Sequence[Any]) -> None:
        """Replace first values by those of the process that drives the sweep."""
        if self._given is None or len(self._given) != len(variables):
            return  # the model has other variables here: they cannot be matched
        for variable, value in zip(variables, self._given, strict=True):
            if value is not None and value.shape == tuple(variable.shape):
                key = id(variable)
                self._seen[key] = self._seen[key]._replace(value=value)

    def _look_at(self, variables: Iterable[Any]) -> None:
        """Remember the values of variables that have not been seen before."""
        for variable in variables:
            key = id(variable)
            if key not in self._seen:
                value = np.array(keras.ops.convert_to_numpy(variable))
                reference = weakref.ref(variable, lambda _, key=key: self._forget(key))
                self._seen[key] = _Seen(reference, value)

    def _forget(self, key: int) -> None:
        self._seen.pop(key, None)
        self._shared.discard(key)

    def _restore(self, keys: Iterable[int]) -> None:
        for key in list(keys):
            seen = self._seen.get(key)
            variable = None if seen is None else seen.variable()
            if seen is not None and variable is not None:
                variable.assign(seen.value)

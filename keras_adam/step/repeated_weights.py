"""Weights that are listed more than once: their gradients are summed into one step."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from keras_adam.backend.gradients import in_form_of, summed
from keras_adam.state.decay_exclusions import path_of

logger = logging.getLogger(__name__)


class RepeatedWeights:
    """Sums the gradients of weights that are listed more than once; warns once."""

    def __init__(self) -> None:
        self._has_warned = False

    def sum(
        self,
        gradients: list[Any],
        variables: Sequence[Any],
        key: Callable[[Any], Hashable],
    ) -> tuple[list[Any], Sequence[Any]]:
        """Gradients and weights, each weight once.

        Args:
            gradients: one per entry of ``variables``.
            variables: the weights.
            key: differs for different weights.
        """
        by_weight: dict[Any, list[Any]] = {}
        weights = {}
        for gradient, variable in zip(gradients, variables, strict=True):
            by_weight.setdefault(key(variable), []).append(gradient)
            weights[key(variable)] = variable
        if len(by_weight) == len(gradients):
            return gradients, variables
        repeated = [k for k, parts in by_weight.items() if len(parts) > 1]
        if not self._has_warned:
            self._has_warned = True
            logger.warning(
                "Some weights given to apply() are in the list more than once (%d of "
                "%d), for example %r. The gradients of each are summed and make one "
                "step.",
                len(repeated),
                len(by_weight),
                path_of(weights[repeated[0]]),
            )
        sums = [
            summed([g if g is None else in_form_of(weights[k], g) for g in parts])
            for k, parts in by_weight.items()
        ]
        return sums, list(weights.values())

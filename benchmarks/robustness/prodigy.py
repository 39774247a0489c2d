"""Prodigy, an Adam that estimates its own learning rate, for the benchmark alone.

Written from the paper; not part of `keras_adam`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="robustness_benchmark")
class Prodigy(keras.optimizers.Optimizer):
    """Adam whose steps are scaled by an estimate of the distance to the solution.

    With d_k the estimate, γ_k the learning rate (1 is meant) and x_0 the start::

        m = β₁ m + (1-β₁) d_k g             v = β₂ v + (1-β₂) d_k² g²
        r = √β₂ r + (1-√β₂) γ_k d_k² ⟨g, x_0 - x⟩
        s = √β₂ s + (1-√β₂) γ_k d_k² g
        x = x - γ_k d_k m / (√v + d_k ε)    d_{k+1} = max(d_k, r / ‖s‖₁)

    Source:
        K. Mishchenko, A. Defazio, "Prodigy: An Expeditiously Adaptive Parameter-Free
        Learner", 2023, arXiv:2306.06101, Algorithm 4 (with its d_0 = 1e-6).
    """

    def __init__(
        self,
        learning_rate: Any = 1.0,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        first_estimate: float = 1e-6,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate=learning_rate, **options)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.first_estimate = first_estimate

    def build(self, variables: Sequence[Any]) -> None:
        """Make variables: start and moments of each weight, sums of the estimate."""
        if self.built:
            return
        super().build(variables)
        self._starts = self._of_each(variables, "start")
        self._first = self._of_each(variables, "first_moment")
        self._second = self._of_each(variables, "second_moment")
        self._sums = self._of_each(variables, "weighted_gradients")
        for start, variable in zip(self._starts, variables, strict=True):
            start.assign(ops.copy(variable))
        self._estimate = self._scalar("estimate", self.first_estimate)
        self._correlation = self._scalar("correlation", 0.0)
        self._size_of_sums = self._scalar("size_of_sums", 0.0)

    def _of_each(self, variables: Sequence[Any], name: str) -> list[Any]:
        return [self.add_variable_from_reference(v, name=name) for v in variables]

    def _scalar(self, name: str, value: float) -> Any:
        initializer = keras.initializers.Constant(value)
        return self.add_variable((), initializer=initializer, name=name)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one weight; the first weight also finishes the last step's sums."""
        index = self._get_variable_index(variable)
        if index == 0:
            self._renew_estimate()
        d = self._estimate.value
        rate = ops.cast(learning_rate, "float32")
        slow = math.sqrt(self.beta_2)
        # The same factor in r and s: d / d_0 instead of d keeps them from underflow.
        weight = (1 - slow) * rate * d * (d / self.first_estimate)
        first = self._first[index] * self.beta_1 + (1 - self.beta_1) * d * gradient
        second = self._second[index] * self.beta_2 + (1 - self.beta_2) * ops.square(
            d * gradient
        )
        sums = self._sums[index] * slow + weight * gradient
        moved = ops.sum(gradient * (self._starts[index] - variable))
        self.assign(self._first[index], first)
        self.assign(self._second[index], second)
        self.assign(self._sums[index], sums)
        self.assign_add(self._correlation, weight * moved)
        self.assign_add(self._size_of_sums, ops.sum(ops.abs(sums)))
        self.assign_sub(
            variable, rate * d * first / (ops.sqrt(second) + d * self.epsilon)
        )

    def _renew_estimate(self) -> None:
        """Set ``d = max(d, r / ‖s‖₁)``, and start the next sum with √β₂ r."""
        correlation, size = self._correlation.value, self._size_of_sums.value
        quotient = ops.where(size > 0, correlation / ops.maximum(size, 1e-38), 0.0)
        self.assign(self._estimate, ops.maximum(self._estimate.value, quotient))
        self.assign(self._correlation, correlation * math.sqrt(self.beta_2))
        self.assign(self._size_of_sums, ops.zeros_like(size))

    def get_config(self) -> dict[str, Any]:
        """All arguments."""
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "first_estimate": self.first_estimate,
        }

"""What one step has done, from weights and moments before it and after it.

A gradient is gone when its step is done, but the moments have taken it in: of an
average ``m ← β m + (1 - β) g`` the change tells what was new in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from keras_adam.backend import precision
from keras_adam.backend.compiled_reading import compiled_reading
from keras_adam.state.reading import Entries
from keras_adam.telemetry.readable_optimizer import ReadableOptimizer

ENTRIES = 8_192
"""About so many, evenly spread, are looked at of weights that have twice as many or
more: what a look costs in time and memory does not grow with the weights. Norms of
independent entries are then known to 0.8 %."""

ENTRIES_IN_ALL = 2**19
"""About what is looked at where a model has many such weights; each has fewer then."""

LEAST_ENTRIES = 2_048
"""But no fewer than these: norms are then known to 2 %."""

GROUP = 32
"""Weights whose entries are joined into one array."""

Figures = list[float | None]
"""One number per weight; ``None`` where there is nothing to tell."""


class StepFigures(NamedTuple):
    """What a step did to each weight, in the weights' order.

    Attributes:
        gradient_norm: Euclidean norm of the gradient in the step; over several steps
            the root of the mean square.
        update_ratio: Euclidean norm of the weight's movement per step, in units of the
            weight's own, unless that was zero.
        moment_ratio: root mean square of m / √v with Adam's bias correction: how far
            the entries move, in learning rates.
        first_storage_error: root mean square of what storing the first moment is
            expected to have changed, in units of the moment's own; of moments that
            lose digits by being stored.
        second_storage_error: likewise of the second, as measured; of single steps.
    """

    gradient_norm: Figures
    update_ratio: Figures
    moment_ratio: Figures
    first_storage_error: Figures
    second_storage_error: Figures


class Probe:
    """Looks at weights and optimizer, before a step and after it.

    Args:
        optimizer: whose weights are all floating, and none of them empty.
    """

    def __init__(self, optimizer: ReadableOptimizer) -> None:
        self._optimizer = optimizer
        sizes = [math.prod(weight.shape) for weight in optimizer.weights]
        entries = min(ENTRIES, max(LEAST_ENTRIES, ENTRIES_IN_ALL // max(1, len(sizes))))
        self._strides = [stride_of(size, entries) for size in sizes]
        self._counts = np.array(
            [-(-n // stride) for n, stride in zip(sizes, self._strides, strict=True)]
        )
        self._shares = self._counts / np.array(sizes)
        # Decoding takes many small operations; without it XLA gains less than it takes
        # to compile.
        self._read = compiled_reading(
            self._joined, optimizer.variables(), with_xla=optimizer.keeps_codes
        )

    def look(self) -> list[Entries]:
        """Entries of each weight as they are now.

        Shapes:
            each a NumPy array ``[entries]``.
        """
        looks = []
        for first, group in zip(self._group_begins(), self._read(), strict=True):
            counts = self._counts[first : first + GROUP]
            ends = np.cumsum(counts)[:-1]
            parts = [
                [None] * len(counts)
                if joined is None
                else np.split(ops.convert_to_numpy(joined), ends)
                for joined in group
            ]
            looks += [Entries(*of_weight) for of_weight in zip(*parts, strict=True)]
        return looks

    def compare(
        self,
        before: Sequence[Entries],
        after: Sequence[Entries],
        steps: int,
        iterations: int,
    ) -> StepFigures:
        """What happened between two looks.

        Args:
            before: a look.
            after: another one.
            steps: how many steps between them, at least 1.
            iterations: how many steps the optimizer had taken at the second.
        """
        # The numbers of a training that diverges may be any.
        with np.errstate(all="ignore"):
            # Weight by weight, in the processor's caches.
            per_weight = [
                self._sums(_in_float64(one), _in_float64(other), steps)
                for one, other in zip(before, after, strict=True)
            ]
            names = per_weight[0] if per_weight else ("movement", "parameter")
            sums = {
                name: np.array([of_weight[name] for of_weight in per_weight])
                for name in names
            }
            return self._figures(sums, steps, iterations)

    def _group_begins(self) -> range:
        return range(0, len(self._strides), GROUP)

    def _joined(self) -> list[Entries]:
        """Entries of all weights, end to end in groups.

        Not all in one: XLA's time to compile grows faster than what is joined. Copies
        also where a group has one weight: JAX gives a step's memory to its results.
        """
        dtypes = {precision.compute_dtype(w) for w in self._optimizer.weights}
        dtype = "float64" if "float64" in dtypes else "float32"
        per_weight = [
            self._optimizer.entries(index, stride)
            for index, stride in enumerate(self._strides)
        ]
        return [
            Entries(
                *(
                    None
                    if parts[0] is None
                    else ops.copy(ops.concatenate([ops.cast(p, dtype) for p in parts]))
                    for parts in zip(*per_weight[first : first + GROUP], strict=True)
                )
            )
            for first in self._group_begins()
        ]

    def _sums(self, before: Entries, after: Entries, steps: int) -> dict[str, float]:
        """Of one weight, the sums over its entries that the figures are made of."""
        first_new = 1 - (self._optimizer.first_decay or 0.0) ** steps
        second_new = 1 - (self._optimizer.second_decay or 0.0) ** steps
        movement = after.parameter - before.parameter
        first_change = _difference(after.first, before.first)
        second_change = _difference(after.second, before.second)
        # An entry without a gradient, of a row or a weight that had no part in the
        # step, keeps its moments: they say nothing.
        has_gradient = movement != 0
        for change in (first_change, second_change):
            if change is not None:
                has_gradient |= change != 0
        sums = {
            "movement": _square(movement),
            "parameter": _square(before.parameter),
        }
        first, second = after.first, after.second
        gradient: Any = None
        if first is not None:
            gradient = before.first + first_change * (1 / first_new)
            gradient = np.where(has_gradient, gradient, 0)
            sums["gradient"] = _square(gradient)
        if second is not None and (steps > 1 or first is None):
            squared = before.second + second_change * (1 / second_new)
            sums["squared_gradient"] = np.sum(squared, where=has_gradient)
            # Squares of small gradients have no place in float16, in which Keras keeps
            # the moments of weights of that dtype.
            is_lost = np.any(has_gradient) and not np.any(second)
            sums["has_squared_gradient"] = not is_lost
        if first is not None and second is not None:
            largest = second if after.largest is None else after.largest
            root = np.sqrt(largest) + self._optimizer.epsilon
            sums["ratio"] = _square(first / root)
            if after.first_variance is not None:
                variance = after.first_variance
                sums["first_variance"] = np.sum(variance)
                sums["first"] = _square(first)
                sums["first_change"] = _square(first_change)
                sums["second"] = _square(second)
                # The exact moment is kept nowhere, but what it was made of is known.
                squared = np.square(gradient)
                exact_change = (squared - before.second) * second_new
                sums["second_error"] = _square(second_change - exact_change)
                # And as exactly as the gradient: with g blurred by n, g² is by 2 g n.
                share = (second_new / first_new) ** 2
                sums["second_blur"] = 4 * share * _product(squared, variance)
        return sums

    def _figures(
        self, sums: dict[str, np.ndarray], steps: int, iterations: int
    ) -> StepFigures:
        nothing: Figures = [None] * len(self._strides)
        rounding = _variance_of_rounding(sums)
        gradient = self._squared_gradient(sums, rounding, steps)
        movement, parameter = np.sqrt(sums["movement"]), np.sqrt(sums["parameter"])
        first_error, second_error = nothing, nothing
        if rounding is not None:
            is_rounded = sums["first_variance"] > 0
            first_error = _told(np.sqrt(rounding / sums["first"]), is_rounded)
            if steps == 1:
                blur = sums["second_blur"] * rounding / sums["first_variance"]
                squared = np.maximum(sums["second_error"] - blur, 0)
                second_error = _told(np.sqrt(squared / sums["second"]), is_rounded)
        return StepFigures(
            nothing
            if gradient is None
            else _told(
                np.sqrt(np.maximum(gradient, 0) / self._shares),
                sums.get("has_squared_gradient"),
            ),
            _told(movement / steps / parameter, parameter != 0),
            nothing
            if "ratio" not in sums
            else _told(
                np.sqrt(sums["ratio"] / self._counts) * self._correction(iterations)
            ),
            first_error,
            second_error,
        )

    def _squared_gradient(
        self, sums: dict[str, np.ndarray], rounding: np.ndarray | None, steps: int
    ) -> np.ndarray | None:
        if steps > 1 or "gradient" not in sums:
            return sums.get("squared_gradient")
        if rounding is None:
            return sums["gradient"]
        # What rounding has changed looks like a gradient of its own.
        new_share = 1 - (self._optimizer.first_decay or 0.0)
        return sums["gradient"] - rounding / new_share**2

    def _correction(self, iterations: int) -> float:
        """Adam's bias correction, √(1 - β₂ᵗ) / (1 - β₁ᵗ)."""
        first = self._optimizer.first_decay or 0.0
        second = self._optimizer.second_decay or 0.0
        return math.sqrt(1 - second**iterations) / (1 - first**iterations)


def _in_float64(entries: Entries) -> Entries:
    """Where squares of all that float32 holds have a place."""
    return Entries(
        *(None if part is None else part.astype("float64") for part in entries)
    )


def _square(entries: np.ndarray) -> float:
    return _product(entries, entries)


def _product(one: np.ndarray, other: np.ndarray) -> float:
    # Not by np.dot, whose threads would wait for those that train.
    return float(np.einsum("i,i->", one, other))


def _difference(new: Any, old: Any) -> Any:
    return None if new is None or old is None else new - old


def _variance_of_rounding(sums: dict[str, np.ndarray]) -> np.ndarray | None:
    """Per weight, the sum of squares of what storing the first moment has changed.

    The moment lay on the grid before the step. Where it has moved by far less than the
    grid's distance d, it is seldom rounded away: by x d, with x from a normal
    distribution of deviation s, it has changed by ``d² (s² + h(s))`` in the mean of
    squares, of which rounding is h(s), the mean of the variance p (1 - p) over x::

        h(s) = 1/6 - 1/π² Σₖ exp(-2 π² k² s²) / k²

    s is found from the change that there is.
    """
    if "first_variance" not in sums:
        return None
    squared_distance = 6 * sums["first_variance"]
    change = sums["first_change"] / np.where(squared_distance > 0, squared_distance, 1)
    k = np.arange(1, 200)

    def h(s: np.ndarray) -> np.ndarray:
        terms = np.exp(-2 * np.square(np.pi * k * s[:, None])) / k**2
        return 1 / 6 - terms.sum(axis=1) / np.pi**2

    low, high = np.zeros_like(change), np.sqrt(np.where(change > 0, change, 0))
    for _ in range(30):
        middle = (low + high) / 2
        is_above = middle**2 + h(middle) > change
        low, high = np.where(is_above, low, middle), np.where(is_above, middle, high)
    return squared_distance * h(high)


def _told(values: np.ndarray, where: np.ndarray | None = None) -> Figures:
    kept = np.ones(values.shape, bool) if where is None else where
    return [
        float(value) if keep else None for value, keep in zip(values, kept, strict=True)
    ]


def stride_of(size: int, entries: int = ENTRIES) -> int:
    """From one entry that is looked at to the next, in a flat weight of this size.

    Near the one that leaves so many entries, and without a divisor in common with the
    size, so that in time every column of a matrix is met as often as any other.
    """
    wanted = max(1, size // entries)
    nearest = (wanted + sign * d for d in range(wanted + 1) for sign in (1, -1))
    return next(s for s in nearest if s > 0 and (s == 1 or math.gcd(s, size) == 1))

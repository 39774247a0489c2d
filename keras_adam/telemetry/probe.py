"""Figures of a step, computed from weights and moments before and after it.

The gradient itself is gone when its step is done, but the first moment has taken it
in: ``m ← β m + (1 - β) g`` gives ``g = m_before + (m_after - m_before) / (1 - β)``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from keras_adam.backend import precision
from keras_adam.backend.compiled_reading import compiled_reading
from keras_adam.state.reading import Entries
from keras_adam.telemetry.readable_optimizer import ReadableOptimizer

ENTRIES = 8_192
"""About this many entries, evenly spread, are read of a weight that has at least twice
as many. So the time and memory of a reading do not grow with the weight. Norms of
independent entries are then known to 0.8 %."""

ENTRIES_IN_ALL = 2**19
"""About this many entries are read of all such weights of a model together: if there
are many weights, fewer entries are read of each."""

LEAST_ENTRIES = 2_048
"""At least this many entries are read of each such weight: norms are then known to
2 %."""

GROUP = 32
"""How many weights have their entries joined into one array."""

Figures = list[float | None]
"""One number per weight; ``None`` where there is no number."""


class StepFigures(NamedTuple):
    """Figures of a step, one per weight, in the order of the weights.

    Attributes:
        gradient_norm: Euclidean norm of the gradient; over several steps, the root
            mean square of their norms.
        update_ratio: Euclidean norm of the weight's movement per step divided by the
            norm of the weight; ``None`` where the weight was zero.
        moment_ratio: root mean square of m / √v with Adam's bias correction: how far
            the entries move, in learning rates.
    """

    gradient_norm: Figures
    update_ratio: Figures
    moment_ratio: Figures


class Probe:
    """Reads weights and moments before and after a step, and compares the two.

    Args:
        optimizer: all its weights are floating, and none is empty.

    Attributes:
        optimizer: as given.
    """

    def __init__(self, optimizer: ReadableOptimizer) -> None:
        self.optimizer = optimizer
        sizes = [math.prod(weight.shape) for weight in optimizer.weights]
        entries = min(ENTRIES, max(LEAST_ENTRIES, ENTRIES_IN_ALL // max(1, len(sizes))))
        self._strides = [stride_of(size, entries) for size in sizes]
        self._counts = np.array(
            [-(-n // stride) for n, stride in zip(sizes, self._strides, strict=True)]
        )
        self._shares = self._counts / np.array(sizes)
        # Decoding takes many small operations. Where nothing is decoded, XLA takes
        # longer to compile than it saves.
        self._read = compiled_reading(
            self._joined, optimizer.variables(), with_xla=optimizer.keeps_codes
        )

    def look(self) -> list[Entries]:
        """Read entries of each weight and its moments as they are now.

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
        """Compute the figures of the steps between two readings.

        Args:
            before: the first reading.
            after: the second reading.
            steps: how many steps the optimizer took between them, at least 1.
            iterations: how many steps it had taken at the second reading.
        """
        # When training diverges, overflow and NaN are to be expected here.
        with np.errstate(all="ignore"):
            # One weight at a time, so that it stays in the processor's caches.
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
        """Entries of all weights, joined end to end in groups.

        Entries are joined in groups, because XLA's compile time grows faster than the
        number of joined arrays. They are copied, even for a single weight, because the
        next step on JAX reuses the memory of the variables for its results.
        """
        dtypes = {precision.compute_dtype(w) for w in self.optimizer.weights}
        dtype = "float64" if "float64" in dtypes else "float32"
        per_weight = [
            self.optimizer.entries(index, stride)
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
        """The sums over the entries of one weight that its figures need."""
        first_new = 1 - (self.optimizer.first_decay or 0.0) ** steps
        second_new = 1 - (self.optimizer.second_decay or 0.0) ** steps
        movement = after.parameter - before.parameter
        first_change = _difference(after.first, before.first)
        second_change = _difference(after.second, before.second)
        # An entry that took no part in the step, for example in an embedding row
        # without a gradient, keeps its moments: no gradient follows from them.
        has_gradient = movement != 0
        for change in (first_change, second_change):
            if change is not None:
                has_gradient |= change != 0
        sums = {
            "movement": _square(movement),
            "parameter": _square(before.parameter),
        }
        first, second = after.first, after.second
        if first is not None and steps == 1:
            gradient = before.first + first_change * (1 / first_new)
            sums["gradient"] = _square(np.where(has_gradient, gradient, 0))
            if after.first_variance is not None:
                # The rounding of a stored moment looks like a gradient 1 / (1 - β₁)
                # times as large. A moment that moves by less than the distance between
                # two stored values is rounded by less than the expected variance, but
                # never by more than it moved.
                expected = np.sum(after.first_variance)
                rounding = min(expected, _square(first_change))
                sums["gradient"] -= rounding / first_new**2
        elif second is not None:
            squared = before.second + second_change * (1 / second_new)
            sums["gradient"] = np.sum(squared, where=has_gradient)
            # Keras keeps the moments of float16 weights in float16, where squares of
            # small gradients underflow to zero.
            is_lost = np.any(has_gradient) and not np.any(second)
            sums["has_gradient_norm"] = not is_lost
        if first is not None and second is not None:
            largest = second if after.largest is None else after.largest
            root = np.sqrt(largest) + self.optimizer.epsilon
            sums["ratio"] = _square(first / root)
        return sums

    def _figures(
        self, sums: dict[str, np.ndarray], steps: int, iterations: int
    ) -> StepFigures:
        """The figures of all weights, from sums ``[weights]``."""
        gradient_norm: Figures = [None] * len(self._strides)
        moment_ratio = gradient_norm
        if "gradient" in sums:
            squared_norms = np.maximum(sums["gradient"], 0) / self._shares
            is_known = sums.get("has_gradient_norm")
            gradient_norm = _as_figures(np.sqrt(squared_norms), is_known)
        if "ratio" in sums:
            ratios = np.sqrt(sums["ratio"] / self._counts)
            moment_ratio = _as_figures(ratios * self._correction(iterations))
        movement, parameter = np.sqrt(sums["movement"]), np.sqrt(sums["parameter"])
        update_ratio = _as_figures(movement / steps / parameter, parameter != 0)
        return StepFigures(gradient_norm, update_ratio, moment_ratio)

    def _correction(self, iterations: int) -> float:
        """Adam's bias correction, √(1 - β₂ᵗ) / (1 - β₁ᵗ)."""
        first = self.optimizer.first_decay or 0.0
        second = self.optimizer.second_decay or 0.0
        return math.sqrt(1 - second**iterations) / (1 - first**iterations)


def probe_of(model: Any, last: Probe | None) -> Probe:
    """A probe of a model's optimizer.

    Args:
        model: its optimizer is built.
        last: an earlier probe, or ``None``. It is used again if it reads the same
            weights alike, because its programs are compiled.
    """
    weights = [weight for weight in model.trainable_variables if _has_figures(weight)]
    optimizer = ReadableOptimizer(model.optimizer, weights)
    if last is not None and last.optimizer.is_same_as(optimizer):
        return last
    return Probe(optimizer)


def _has_figures(weight: Any) -> bool:
    """Whether the weight has entries that gradients move."""
    is_floating = "float" in keras.backend.standardize_dtype(weight.dtype)
    is_overwritten = getattr(weight, "overwrite_with_gradient", False)
    return is_floating and math.prod(weight.shape) > 0 and not is_overwritten


def _in_float64(entries: Entries) -> Entries:
    """Convert to float64, in which the square of any float32 is finite."""
    return Entries(
        *(None if part is None else part.astype("float64") for part in entries)
    )


def _square(entries: np.ndarray) -> float:
    # Not by np.dot, whose threads would compete with the training's.
    return float(np.einsum("i,i->", entries, entries))


def _difference(new: Any, old: Any) -> Any:
    return None if new is None or old is None else new - old


def _as_figures(values: np.ndarray, where: np.ndarray | None = None) -> Figures:
    kept = np.ones(values.shape, bool) if where is None else where
    return [
        float(value) if keep else None for value, keep in zip(values, kept, strict=True)
    ]


def stride_of(size: int, entries: int = ENTRIES) -> int:
    """The stride at which about this many entries of a flat weight are read.

    It has no divisor in common with the size, so that every column of a matrix is read
    about equally often.

    Args:
        size: how many entries the weight has.
        entries: about how many to read.
    """
    wanted = max(1, size // entries)
    nearest = (wanted + sign * d for d in range(wanted + 1) for sign in (1, -1))
    return next(s for s in nearest if s > 0 and (s == 1 or math.gcd(s, size) == 1))

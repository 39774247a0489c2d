"""What one step has done, from copies of weights and moments before it.

A gradient is gone when its step is done, but the moments have taken it in: of an
average ``m ← β m + (1 - β) g`` the change tells what was new in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from keras_adam import precision
from keras_adam.readable_optimizer import ReadableOptimizer
from keras_adam.state_reading import Entries

Tensor = Any

ENTRIES = 65_536
"""Of weights of two times this and more, evenly spread entries are looked at, at least
so many: what a look costs in time and memory does not grow with the weights. Norms of
independent entries are then known to 0.3 %."""

ENTRIES_IN_ALL = 2**22
"""About what is looked at where a model has many such weights; each has fewer then."""

LEAST_ENTRIES = 4_096
"""But no fewer than these: norms are then known to 1 %."""

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
        self._segments = np.repeat(np.arange(len(sizes)), self._counts).astype("int32")
        dtypes = {precision.compute_dtype(weight) for weight in optimizer.weights}
        self._dtype = "float64" if "float64" in dtypes else "float32"
        self._copy = _program(self._copied, optimizer.variables())
        self._compare = _program(self._sums, optimizer.variables())

    def before(self) -> list[Tensor]:
        """Copies that a later step does not change."""
        return self._copy()

    def after(self, copies: list[Tensor], steps: int, iterations: int) -> StepFigures:
        """What happened since the copies were made.

        Args:
            copies: that `before` returned.
            steps: how many steps since, at least 1.
            iterations: how many steps the optimizer has taken in all.
        """
        new_shares = [
            ops.convert_to_tensor(1 - (decay or 0.0) ** steps, self._dtype)
            for decay in (self._optimizer.first_decay, self._optimizer.second_decay)
        ]
        sums = {
            name: ops.convert_to_numpy(value).astype("float64")
            for name, value in self._compare(copies, *new_shares).items()
        }
        with np.errstate(divide="ignore", invalid="ignore"):
            return self._figures(sums, steps, iterations)

    def _copied(self) -> list[Tensor]:
        # The sum is no alias, even where there is but one weight: JAX gives the memory
        # of a step's arguments to its results.
        return [joined + 0.0 for joined in self._joined() if joined is not None]

    def _joined(self) -> Entries:
        """Entries of all weights, end to end."""
        per_weight = [
            self._optimizer.entries(index, stride)
            for index, stride in enumerate(self._strides)
        ]
        return Entries(
            *(
                None
                if parts[0] is None
                else ops.concatenate([ops.cast(part, self._dtype) for part in parts])
                for parts in zip(*per_weight, strict=True)
            )
        )

    def _sums(
        self, copies: list[Tensor], first_new: Tensor, second_new: Tensor
    ) -> dict[str, Tensor]:
        """Sums over each weight's entries of what the figures are made of.

        Args:
            copies: from before.
            first_new: 1 - β₁ᵏ, the share of the first moment that k steps renew.
            second_new: likewise, of the second.
        """
        after = self._joined()
        old = iter(copies)
        before = Entries(*(None if part is None else next(old) for part in after))
        movement = after.parameter - before.parameter
        first_change = _difference(after.first, before.first)
        second_change = _difference(after.second, before.second)
        has_moved = movement != 0
        for change in (first_change, second_change):
            if change is not None:
                has_moved = ops.logical_or(has_moved, change != 0)

        def taken_in(old_part: Tensor, change: Tensor, new_share: Tensor) -> Tensor:
            # An entry without a gradient, of a row or a weight that had no part in the
            # step, keeps its moments: they say nothing.
            average = old_part + change / new_share
            return ops.where(has_moved, average, ops.zeros_like(average))

        squares = {
            "movement": ops.square(movement),
            "parameter": ops.square(before.parameter),
        }
        if after.first is not None:
            gradient = taken_in(before.first, first_change, first_new)
            squares["gradient"] = ops.square(gradient)
            squares["first"] = ops.square(after.first)
        if after.second is not None:
            squares["squared_gradient"] = taken_in(
                before.second, second_change, second_new
            )
        if after.first is not None and after.denominator is not None:
            root = ops.sqrt(after.denominator) + self._optimizer.epsilon
            squares["ratio"] = ops.square(after.first / root)
        if after.first_variance is not None:
            squares["first_variance"] = after.first_variance
            squares["first_change"] = ops.square(first_change)
            # The exact moment is kept nowhere, but what it was made of is known.
            exact_change = (squares["gradient"] - before.second) * second_new
            squares["second_error"] = ops.square(second_change - exact_change)
            # And as exactly as the gradient: with g blurred by n, g² is by 2 g n.
            blur = after.first_variance * ops.square(second_new / first_new)
            squares["second_blur"] = 4 * squares["gradient"] * blur
            squares["second"] = ops.square(after.second)
        return {name: self._sum_per_weight(part) for name, part in squares.items()}

    def _sum_per_weight(self, entries: Tensor) -> Tensor:
        if keras.backend.backend() == "tensorflow":
            return ops.segment_sum(entries, self._segments, sorted=True)
        count = len(self._strides)
        return ops.segment_sum(entries, self._segments, num_segments=count)

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
            else _told(np.sqrt(np.maximum(gradient, 0) / self._shares)),
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


def _difference(new: Tensor | None, old: Tensor | None) -> Any:
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

    At least ``entries`` are looked at, if the weight has so many.

    It has no divisor in common with the size, so that in time every column of a matrix
    is met as often as any other.
    """
    stride = max(1, size // entries)
    while math.gcd(stride, size) > 1:
        stride -= 1
    return stride


def _program(function: Callable[..., Any], variables: Sequence[Any]) -> Any:
    """The function compiled as the backend does, which reads variables as they are.

    Args:
        function: of tensors; assigns nothing.
        variables: all that it reads.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf  # Absent where another backend is at work.

        return tf.function(function, autograph=False)
    if backend == "jax":
        import jax  # Absent where another backend is at work.

        def with_values(values: Sequence[Any], *arguments: Any) -> Any:
            # A value that is read while tracing would be a constant of the program.
            mapping = list(zip(variables, values, strict=True))
            with keras.StatelessScope(state_mapping=mapping):
                return function(*arguments)

        compiled = jax.jit(with_values)
        return lambda *arguments: compiled([v.value for v in variables], *arguments)
    if backend == "torch":
        import torch  # pyright: ignore[reportMissingImports]

        return torch.no_grad()(function)
    return function

"""What each array of a saved state must hold, so that training can continue from it.

Every valid state obeys these laws, whatever was trained and whatever the user has
changed since. For example, a second moment is never negative. A property that is only
usual is not a law: a file is not refused because its averages are still zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np


class Law(NamedTuple):
    """What the entries of an array must be. All of them must be finite.

    Attributes:
        of: name of the array in messages.
        least: the smallest value allowed.
        most: the largest value allowed.
        is_whole: entries must be whole numbers, of an integer or a float dtype.
        code_dtype: if set, entries are codes: any numbers of exactly this dtype.
    """

    of: str
    least: float = -math.inf
    most: float = math.inf
    is_whole: bool = False
    code_dtype: str | None = None


STEP_COUNT = Law("the step count", least=0, is_whole=True)
LEARNING_RATE = Law("the learning rate", least=0)
AVERAGE = Law("the moving average of a weight")
ACCUMULATOR = Law("the accumulated gradients of a weight")
FIRST_MOMENT = Law("a first moment")
SECOND_MOMENT = Law("a second moment", least=0)
SCALES = Law("the scales of a moment", least=0)
REMAINDER = Law("the rounding error of a weight")
CONTROL = Law("a control of the step")
CONTROL_OF_AT_LEAST_0 = Law("a control of the step", least=0)


def law_of_codes(dtype: str) -> Law:
    """The law of a moment that is stored as codes of this dtype."""
    return Law(f"a moment in codes of {dtype}", code_dtype=dtype)


# There is no upper limit: users may set the step count back. A row whose last step is
# above the step count has missed no step.
LAST_STEPS = Law("the last steps of a table's rows", least=0, is_whole=True)


def check_numbering(arrays: Mapping[str, np.ndarray]) -> None:
    """Refuse a state that lacks an array.

    Args:
        arrays: by their number as text.

    Raises:
        ValueError: the numbers are not 0, 1, 2 and so on.
    """
    expected = [str(number) for number in range(len(arrays))]
    if missing := [number for number in expected if number not in arrays]:
        raise ValueError(
            "The saved optimizer state is incomplete: its variables must be numbered "
            f"from 0 to {len(arrays) - 1}, and it has none of the numbers "
            f"{', '.join(missing)}. {_ADVICE}"
        )


def check_numbers(arrays: Mapping[str, np.ndarray]) -> None:
    """Refuse a state from which no optimizer can continue, whatever its weights.

    Args:
        arrays: by their number as text.

    Raises:
        ValueError: an array does not hold numbers, or holds NaN or infinity.
    """
    for number, array in arrays.items():
        is_integer = array.dtype.kind in "iu"
        if problem := "" if is_integer else _problem_of_floats(array, array.dtype):
            raise ValueError(_message(number, "", problem))


def check_array(
    number: int, path: str, array: np.ndarray, dtype: str, law: Law
) -> None:
    """Refuse an array that breaks its law.

    Args:
        number: of the array in the file.
        path: of the variable that the array is for.
        array: as it was saved.
        dtype: of the variable.
        law: that the array must obey.

    Raises:
        ValueError: it has another kind of dtype, or a value that is not allowed.
    """
    if problem := _problem(array, np.dtype(dtype), law):
        raise ValueError(_message(number, f" ({path!r}, {law.of})", problem))


def check_scalars(arrays: Sequence[np.ndarray], variables: Sequence[Any]) -> None:
    """Refuse a step count, or a learning rate if there is one, that breaks its law.

    Raises:
        ValueError: it has another kind of dtype, or a value that is not allowed.
    """
    for number, (array, variable) in enumerate(zip(arrays, variables, strict=True)):
        law = (STEP_COUNT, LEARNING_RATE)[number]
        check_array(number, variable.path, array, dtype_of(variable), law)


def dtype_of(variable: Any) -> str:
    """The name of a variable's dtype."""
    return keras.backend.standardize_dtype(variable.dtype)


def is_float(array: np.ndarray) -> bool:
    """Whether the array holds floating-point numbers, of NumPy's dtypes or others."""
    # NumPy counts bfloat16 and float8 among "void" dtypes.
    return array.dtype.kind == "f" or array.dtype.name.startswith(("bfloat", "float8"))


def _problem(array: np.ndarray, dtype: np.dtype, law: Law) -> str:
    if law.code_dtype is not None:
        return "" if array.dtype.name == law.code_dtype else _dtype_problem(array)
    if law.is_whole:
        return _problem_of_whole_numbers(array, dtype, law)
    if dtype.kind in "iub" and array.dtype.kind in "iub":
        return ""  # The weight is an integer: it is not trained.
    return _problem_of_floats(array, dtype) or _problem_of_range(array, law)


def _problem_of_whole_numbers(array: np.ndarray, dtype: np.dtype, law: Law) -> str:
    if array.dtype.kind not in "iu":
        if problem := _problem_of_floats(array, array.dtype):
            return problem
        if found := _first(array, array != np.floor(array)):
            return f"holds {found}, which is not a whole number"
    return _problem_of_range(
        array, law._replace(most=min(law.most, np.iinfo(dtype).max))
    )


def _problem_of_floats(array: np.ndarray, dtype: np.dtype) -> str:
    if not is_float(array):
        return _dtype_problem(array)
    if found := _first(array, ~np.isfinite(array)):
        return f"holds {found}"
    with np.errstate(over="ignore"):
        is_too_large = ~np.isfinite(array.astype(dtype))
    if found := _first(array, is_too_large):
        return f"holds {found}, which is too large for {dtype.name}"
    return ""


def _problem_of_range(array: np.ndarray, law: Law) -> str:
    if found := _first(array, array < law.least):
        return f"holds {found}, which is below {law.least}"
    if found := _first(array, array > law.most):
        return f"holds {found}, which is above {law.most}"
    return ""


def _dtype_problem(array: np.ndarray) -> str:
    return f"has the dtype {array.dtype.name}"


def _first(array: np.ndarray, is_wrong: np.ndarray) -> str:
    """The first of the wrong entries as text; empty if there are none."""
    return str(array[is_wrong][0]) if np.any(is_wrong) else ""


def _message(number: int | str, what: str, problem: str) -> str:
    return (
        "Training cannot continue from the saved optimizer state: its variable "
        f"{number}{what} {problem}. {_ADVICE}"
    )


_ADVICE = (
    "The file is damaged, was saved after the training had diverged, or belongs to "
    "another model or other options. Load an earlier one; or, to start the "
    "optimizer's state from zero, load with compile=False, or call compile() with a "
    "new optimizer after loading."
)

"""Turns what ``load_data`` returned into arrays, or says in one line why it cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

MOST_IN_LIST = 8
"""Arrays that a list or tuple may hold; a longer one is a list of examples."""

FROM_TF_DATA = (
    "the lab needs arrays for now. After x, y = zip(*dataset.unbatch()"
    ".as_numpy_iterator()), np.stack(x) and np.stack(y) are arrays (without unbatch, "
    "if it has no batches)."
)
FROM_BATCHES = (
    "the lab needs arrays for now. np.concatenate([x for x, y in batches]) makes one."
)
FROM_EXAMPLES = (
    "the lab needs arrays for now. np.stack([x for x, y in dataset]) makes one."
)
FROM_ITERATOR = "the lab needs arrays for now. np.stack(list(examples)) makes one."
FROM_LIST = (
    f"a list of up to {MOST_IN_LIST} arrays is taken for several inputs or outputs. If "
    "these are the examples, np.stack makes one array of them; otherwise use a "
    "dictionary."
)


def as_arrays(part: Any, field: str) -> Any:
    """A part of the data with an array at every leaf.

    Args:
        part: what ``load_data`` returned: one array, or a dictionary, list or tuple of
            them, in any nesting.
        field: its name, for messages.

    Raises:
        TypeError: see `as_array`; or a dictionary or list is empty.
    """
    if not _is_nesting(part):
        return as_array(part, field)
    if not len(part):
        raise TypeError(f"{field} is an empty {type(part).__name__}.")
    if isinstance(part, Mapping):
        return {key: as_arrays(one, f"{field}[{key!r}]") for key, one in part.items()}
    return tuple(as_arrays(one, f"{field}[{i}]") for i, one in enumerate(part))


def map_arrays(function: Callable[[Any], Any], part: Any) -> Any:
    """The same nesting with the function's result in the place of every array."""
    if isinstance(part, Mapping):
        return {key: map_arrays(function, one) for key, one in part.items()}
    if isinstance(part, tuple):
        return tuple(map_arrays(function, one) for one in part)
    return function(part)


def arrays_of(part: Any) -> list[Any]:
    """All arrays of a part, in the order of its keys and places."""
    if isinstance(part, Mapping):
        return [array for one in part.values() for array in arrays_of(one)]
    if isinstance(part, tuple):
        return [array for one in part for array in arrays_of(one)]
    return [part]


def count_examples(part: Any) -> int:
    """Examples of a part, which `as_arrays` returned.

    Raises:
        ValueError: its arrays disagree.
    """
    counts = {array.shape[0] for array in arrays_of(part)}
    if len(counts) > 1:
        raise ValueError(f"arrays have {sorted(counts)} examples.")
    return counts.pop()


def _is_nesting(part: Any) -> bool:
    if isinstance(part, Mapping):
        return True
    is_short = isinstance(part, (list, tuple)) and len(part) <= MOST_IN_LIST
    return is_short and any(_is_nesting(one) or _is_array(one) for one in part)


def _is_array(part: Any) -> bool:
    return getattr(part, "ndim", 0) > 0


def as_array(part: Any, field: str) -> np.ndarray:
    """One part of the data, or of a nesting, as an array.

    Args:
        part: what ``load_data`` returned for it.
        field: its name, for messages.

    Raises:
        TypeError: ``part`` is not an array and cannot be turned into one; the message
            says how to make one.
    """
    hint = _how_to_make_an_array_of(part)
    if hint:
        raise TypeError(f"{field} is {kind_of(part)}: {hint}")
    masked = int(np.ma.count_masked(part)) if np.ma.isMaskedArray(part) else 0
    if masked:
        raise TypeError(
            f"{field} is a masked array with {masked} masked values, which would be "
            "trained on as if they were data: replace them with its method filled."
        )
    try:
        array = np.asarray(part)
    except Exception as error:
        text = " ".join(str(error).split())
        raise TypeError(
            f"{field} is {kind_of(part)} that NumPy makes no array of "
            f"({type(error).__name__}: {text[:200]}): examples must have one shape; "
            "pad or crop them."
        ) from error
    if array.ndim == 0:
        raise TypeError(f"{field} is {kind_of(part)}: return a NumPy array.")
    if array.dtype.kind == "O":
        _check_objects(array, part, field)
    elif array.dtype.kind in "mMV":
        raise TypeError(
            f"{field} holds values of type {array.dtype}, which no model can be "
            "trained on: turn them into numbers."
        )
    return array


def check_no_nan(array: np.ndarray, field: str) -> None:
    """Check that no value is missing.

    Raises:
        ValueError: a value is NaN, which would make every loss NaN.
    """
    # min() is NaN if any value is; np.isnan would need memory for every value.
    if array.dtype.kind not in "fc" or not array.size or not np.isnan(array.min()):
        return
    is_nan = np.isnan(array).reshape(len(array), -1).any(axis=1)
    raise ValueError(
        f"{field} has NaN in {int(is_nan.sum())} of {len(array)} examples, the first "
        f"of them number {int(is_nan.argmax())}: replace the missing values or leave "
        "these examples out."
    )


def kind_of(part: Any) -> str:
    """The kind of an object as a phrase: ``a tf.data.Dataset``, ``a list of 3``."""
    if hasattr(part, "as_numpy_iterator"):
        return "a tf.data.Dataset"
    if part is None:
        return "None"
    name = type(part).__name__
    article = "an" if name[:1].lower() in "aeiou" else "a"
    if isinstance(part, (list, tuple)):
        return f"{article} {name} of {len(part)}"
    return f"{article} {name}"


def how_to_make_arrays_of(loaded: Any) -> str:
    """A hint how to make four arrays of what ``load_data`` returned; may be empty."""
    if not isinstance(loaded, (list, tuple)):
        return _how_to_make_an_array_of(loaded)
    if len(loaded) == 2 and all(
        isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in loaded
    ):
        return "return the four arrays in one tuple, not two pairs."
    return next(filter(None, map(_how_to_make_an_array_of, loaded)), "")


def _how_to_make_an_array_of(part: Any) -> str:
    """A hint how to make an array of another container of data; may be empty."""
    # The libraries may not be installed, so classes are recognised by their names.
    names = {kind.__name__ for kind in type(part).__mro__}
    holds_arrays = isinstance(part, (list, tuple)) and any(
        _is_array(one) for one in part
    )
    for applies, hint in (
        (hasattr(part, "as_numpy_iterator"), FROM_TF_DATA),
        (bool(names & {"PyDataset", "DataLoader"}), FROM_BATCHES),
        ("Dataset" in names and not hasattr(part, "__array__"), FROM_EXAMPLES),
        (isinstance(part, Iterator), FROM_ITERATOR),
        (holds_arrays, FROM_LIST),
        (hasattr(part, "toarray"), "its method toarray makes an array of sparse data."),
        ("RaggedTensor" in names, "examples must have one shape; to_tensor pads them."),
    ):
        if applies:
            return hint
    return ""


def _check_objects(array: np.ndarray, part: Any, field: str) -> None:
    """Check that an array of Python objects holds texts."""
    others = [one for one in array.flat if not isinstance(one, (str, bytes))]
    if not others:
        return
    columns = getattr(part, "select_dtypes", None)
    if columns is not None:
        names = list(columns(exclude="number").columns)
        raise TypeError(
            f"{field} is {kind_of(part)} with columns that are not numbers, "
            f"{names[:5]}: turn them into numbers or leave them out."
        )
    if isinstance(others[0], (list, tuple, np.ndarray)):
        what = "examples of different shapes: pad or crop them to one shape"
    else:
        what = f"Python objects ({type(others[0]).__name__}): turn them into numbers"
    raise TypeError(f"{field} is an array of {what}.")

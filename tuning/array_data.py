"""Turns what ``load_data`` returned into arrays, or says in one line why it cannot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

SEVERAL_INPUTS = "several inputs are not supported"

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
    f"return one array; {SEVERAL_INPUTS}. If these are the examples, np.stack makes "
    "one array of them."
)


def as_array(part: Any, field: str) -> np.ndarray:
    """One of the four parts of the data as an array.

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
        getattr(one, "ndim", 0) > 0 for one in part
    )
    for applies, hint in (
        (hasattr(part, "as_numpy_iterator"), FROM_TF_DATA),
        (bool(names & {"PyDataset", "DataLoader"}), FROM_BATCHES),
        ("Dataset" in names and not hasattr(part, "__array__"), FROM_EXAMPLES),
        (isinstance(part, Iterator), FROM_ITERATOR),
        (isinstance(part, Mapping), f"return one array; {SEVERAL_INPUTS}."),
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

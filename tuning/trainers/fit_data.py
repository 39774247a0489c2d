"""What ``model.fit`` gets in a run: the user's data, in batches of the run's size."""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import keras

from tuning.array_data import kind_of
from tuning.fit_workload import FitWorkload, check_fit_arguments
from tuning.trainers.dataset_batches import batched, is_batched, is_dataset
from tuning.trainers.fit_streams import VALIDATION_BATCH, with_streams


class FitInput(NamedTuple):
    """What a run gives to ``fit``.

    Attributes:
        arguments: of ``fit`` that hold or describe data.
        has_new_batches: whether the batches of a dataset were cut anew.
    """

    arguments: dict[str, Any]
    has_new_batches: bool


def fit_input(workload: FitWorkload, batch_size: int, model: Any) -> FitInput:
    """The data of a run in batches of its size, as arguments of ``fit``.

    Args:
        workload: whose data are asked for; its function is called.
        batch_size: of the run.
        model: shows by its inputs whether a dataset has batches already.

    Raises:
        TypeError: the data have no form that ``fit`` takes.
        ValueError: an argument is the sweep's to set, or batches have another size and
            cannot be cut anew.
        Exception: whatever the workload's function raises.
    """
    name = workload.name
    data, makes_batches = _load(workload, batch_size)
    arguments = _as_arguments(data, name)
    check_fit_arguments(arguments, f"the data of workload {name!r}")
    arguments = {**workload.fit_options, **arguments}
    given = x = arguments["x"]
    if is_batch_source(x) and not _names_of(x) & {"PyDataset"}:
        # Keras would warn of a shuffle that it does not do.
        arguments.setdefault("shuffle", False)
    if is_dataset(x):
        if not makes_batches:
            x = batched(x, batch_size, model, name)
        has_new_batches = x is not given and is_batched(given, model)
        if arguments.get("steps_per_epoch") is not None:
            x = x.repeat()
        arguments["x"] = x
        return FitInput(_with_batched_validation(arguments, model), has_new_batches)
    if is_batch_source(x):
        if not makes_batches:
            arguments["x"] = _with_batches_of(x, batch_size, name)
    else:
        arguments = with_split_validation(arguments)
        _check_fits(arguments["x"], batch_size, name)
        arguments["batch_size"] = batch_size
        arguments = with_streams(arguments, batch_size)
    return FitInput(_with_batched_validation(arguments, model), False)


def is_batch_source(data: Any) -> bool:
    """Whether something gives batches one by one: then ``fit`` takes no batch size."""
    kinds = {"PyDataset", "DataLoader", "DistributedDataset"}
    is_grain = any(kind.__module__.startswith("grain") for kind in type(data).__mro__)
    return (
        is_dataset(data)
        or bool(_names_of(data) & kinds)
        or is_grain
        or isinstance(data, Iterator)
    )


def _names_of(data: Any) -> set[str]:
    """Names of its classes: their libraries need not be installed."""
    return {kind.__name__ for kind in type(data).__mro__}


def _load(workload: FitWorkload, batch_size: int) -> tuple[Any, bool]:
    """The workload's data, and whether they come in batches of the asked size."""
    data = workload.data
    if not callable(data) or is_batch_source(data):
        parts = data.values() if isinstance(data, Mapping) else keras.tree.flatten(data)
        if any(isinstance(part, Iterator) for part in (data, *parts)):
            raise TypeError(
                f"data of workload {workload.name!r} has a generator, which only one "
                "run can use: make data a function that returns a new one."
            )
        return data, False
    if takes(data, "batch_size"):
        return data(batch_size=batch_size), True
    return data(), False


def takes(function: Callable[..., Any], name: str) -> bool:
    """Whether a function has a parameter of this name."""
    try:
        return name in inspect.signature(function).parameters
    except (TypeError, ValueError):  # some functions written in C say nothing
        return False


def _as_arguments(data: Any, name: str) -> dict[str, Any]:
    """The data as arguments of ``fit``.

    Raises:
        TypeError: they have no form that says which part is which.
    """
    if isinstance(data, Mapping) and "x" in data:
        return dict(data)
    if is_batch_source(data):
        return {"x": data}
    is_pair = isinstance(data, (tuple, list)) and len(data) == 2
    if is_pair and all(is_batch_source(part) for part in data):
        return {"x": data[0], "validation_data": data[1]}
    raise TypeError(
        f"data of workload {name!r} must be a dictionary of fit's arguments, such as "
        "{'x': x, 'y': y, 'validation_data': (x_val, y_val)}, a dataset, or a pair of "
        f"datasets (training, validation); received {kind_of(data)}."
    )


def _with_batches_of(source: Any, batch_size: int, name: str) -> Any:
    """A source that cannot be cut anew, if its first batch has the right size.

    Raises:
        ValueError: it has another size, or there is no batch.
    """
    if isinstance(source, Iterator):
        first = next(source, None)
        if first is None:
            raise ValueError(
                f"the generator of workload {name!r} is exhausted: make data a "
                "function that returns a new generator."
            )
        # A generator: Keras takes no other iterator.
        source = (batch for batch in itertools.chain([first], source))
    else:
        first = source[0] if hasattr(source, "__getitem__") else next(iter(source))
    sizes = {len(part) for part in keras.tree.flatten(first) if part is not None}
    if sizes != {batch_size}:
        raise ValueError(
            f"the batches of workload {name!r} have {sorted(sizes)} examples, the run "
            f"wants {batch_size}, and batches of this kind cannot be cut anew. Make "
            "data a function with a parameter batch_size that makes the batches itself."
        )
    return source


def _check_fits(x: Any, batch_size: int, name: str) -> None:
    parts = [part for part in keras.tree.flatten(x) if hasattr(part, "shape")]
    least = min((part.shape[0] for part in parts if part.shape), default=batch_size)
    if least < batch_size:
        raise ValueError(
            f"batch size {batch_size} is larger than the {least} training examples of "
            f"workload {name!r}."
        )


def with_split_validation(arguments: dict[str, Any]) -> dict[str, Any]:
    """The last part of the arrays as validation data, where a share is asked for.

    As Keras does itself; here the loss before the first step needs them, too.
    """
    share = arguments.pop("validation_split", None)
    if not share or arguments.get("validation_data") is not None:
        return arguments
    names = [n for n in ("x", "y", "sample_weight") if arguments.get(n) is not None]
    count = len(keras.tree.flatten(arguments["x"])[0])
    start = math.floor(count * (1 - share))
    validation = tuple(
        keras.tree.map_structure(lambda part: part[start:], arguments[name])
        for name in names
    )
    if len(names) == 2 and "y" not in names:
        validation = (validation[0], None, validation[1])
    train = {
        name: keras.tree.map_structure(lambda part: part[:start], arguments[name])
        for name in names
    }
    return {**arguments, **train, "validation_data": validation}


def _with_batched_validation(arguments: dict[str, Any], model: Any) -> dict[str, Any]:
    validation: Any = arguments.get("validation_data")
    if is_dataset(validation) and not is_batched(validation, model):
        arguments["validation_data"] = validation.batch(VALIDATION_BATCH)
    return arguments

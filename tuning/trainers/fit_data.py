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

VALIDATION_BATCH = 256
"""Examples per validation step where a dataset has no batches: means do not depend on
it."""


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
        arguments = _with_split_validation(arguments)
        _check_fits(arguments["x"], batch_size, name)
        arguments["batch_size"] = batch_size
    return FitInput(_with_batched_validation(arguments, model), False)


def is_dataset(data: Any) -> bool:
    """Whether something is a ``tf.data.Dataset``."""
    return hasattr(data, "element_spec") and hasattr(data, "unbatch")


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


def is_batched(dataset: Any, model: Any) -> bool:
    """Whether the elements of a ``tf.data.Dataset`` are batches.

    A scalar is none. Otherwise elements have as many dimensions as the model's inputs;
    where the model does not say how many these are, elements are taken for batches if
    all components agree in their first dimension.
    """
    shapes = _shapes(dataset)
    if any(shape.rank == 0 for shape in shapes):
        return False
    for shape, wanted in _input_shapes(dataset.element_spec, model):
        if shape.rank is not None:
            return _is_batch(tuple(shape), tuple(wanted))
    return len({shape[0] for shape in shapes}) == 1


def _is_batch(shape: tuple[int | None, ...], wanted: tuple[int | None, ...]) -> bool:
    """Whether elements of a shape are batches for a model's input.

    Keras adds or removes a last dimension of 1: ``[32, 28, 28]`` is a batch for an
    input of ``[None, 28, 28, 1]``.
    """
    if len(shape) == len(wanted):
        return True
    if len(shape) == len(wanted) + 1:
        return shape[-1] == 1
    is_example = len(shape) == len(wanted) - 1 and all(
        w is None or d == w for d, w in zip(shape, wanted[1:], strict=True)
    )
    return len(shape) == len(wanted) - 1 and wanted[-1] == 1 and not is_example


def _shapes(dataset: Any) -> list[Any]:
    specs = keras.tree.flatten(dataset.element_spec)
    # Elements such as (x, y, None) have a part without a shape.
    return [spec.shape for spec in specs if hasattr(spec, "shape")]


def _input_shapes(element_spec: Any, model: Any) -> list[tuple[Any, Any]]:
    """Shapes of a dataset's inputs, each with that of the model's input."""
    given = element_spec[0] if isinstance(element_spec, tuple) else element_spec
    inputs = keras.tree.flatten(getattr(model, "inputs", None) or [])
    if isinstance(given, Mapping):
        named = {tensor.name: tensor for tensor in inputs}
        pairs = [(spec, named[name]) for name, spec in given.items() if name in named]
    else:
        pairs = list(zip(keras.tree.flatten(given), inputs, strict=False))
    return [(spec.shape, tensor.shape) for spec, tensor in pairs]


def batched(dataset: Any, batch_size: int, model: Any, name: str) -> Any:
    """The dataset in batches of a size, whatever its elements were.

    Raises:
        ValueError: TensorFlow cannot cut its batches anew.
    """
    if not is_batched(dataset, model):
        return dataset.batch(batch_size)
    sizes = {shape[0] for shape in _shapes(dataset)}
    if sizes == {batch_size}:
        return dataset
    drops_rest = None not in sizes  # only then is the size of every batch known
    try:
        return dataset.rebatch(batch_size, drop_remainder=drops_rest)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"the batches of the tf.data.Dataset of workload {name!r} cannot be cut "
            f"anew to {batch_size} examples ({error}). Make data a function with a "
            "parameter batch_size that makes the batches itself."
        ) from error


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


def _with_split_validation(arguments: dict[str, Any]) -> dict[str, Any]:
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

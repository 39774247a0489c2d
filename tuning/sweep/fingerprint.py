"""Checksums of data, model and loss, by which one sweep differs from another.

A workload's name, number of examples and reference stay the same when somebody edits
the model or loads other data; its fingerprints change. They ignore what changes from
process to process: numbers that Keras appends to names, addresses, compiled code.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import json
import re
import textwrap
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from tuning.array_data import arrays_of, map_arrays
from tuning.workload import AnyData

_NEW_EVERY_TIME = ("shared_object_id", "code")
"""Keys of Keras's configurations: an address, and the byte code of a lambda."""


def fingerprint_data(data: AnyData) -> str:
    """A checksum of values, types and shapes of all arrays."""
    checksum = 0
    for part in data:
        if isinstance(part, (Mapping, tuple)):
            checksum = zlib.crc32(_structure(part).encode(), checksum)
    for array in (array for part in data for array in arrays_of(part)):
        checksum = zlib.crc32(f"{array.dtype} {array.shape}".encode(), checksum)
        if array.dtype.hasobject:
            content = _without_address(repr(array.tolist())).encode()
        else:
            content = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
        checksum = zlib.crc32(content, checksum)
    return f"{checksum:08x}"


def fingerprint_model(model: Any) -> str:
    """A checksum of a built model's variables and, where it has one, its config."""
    variables = [
        (_without_number(v.path), list(v.shape), str(v.dtype)) for v in model.variables
    ]
    try:
        config = _stable(json.loads(model.to_json()))
        config["compile_config"] = {}  # the plan has loss and optimizers
    except Exception:
        config = None  # a subclass of Model need not have one
    text = json.dumps([type(model).__name__, variables, config], sort_keys=True)
    return f"{zlib.crc32(text.encode()):08x}"


def fingerprint_function(function: Any) -> str | None:
    """A checksum of what a function does; ``None`` if its source cannot be read.

    Comments and layout do not count.
    """
    with contextlib.suppress(OSError, TypeError, SyntaxError, ValueError):
        source = textwrap.dedent(inspect.getsource(function))
        return f"{zlib.crc32(ast.dump(ast.parse(source)).encode()):08x}"
    return None


def describe_loss(loss: Any) -> str:
    """The text that a plan holds for a loss: its name, and its settings if any."""
    if isinstance(loss, str):
        return loss
    name = getattr(loss, "__qualname__", None)
    if name is not None:
        return name
    # A custom loss may have settings but no ``get_config``.
    with contextlib.suppress(Exception):
        config = json.dumps(loss.get_config(), default=str, sort_keys=True)
        return f"{type(loss).__name__} {_without_address(config)}"
    return _without_address(repr(loss))


def describe(value: Any) -> str:
    """A setting as text that is the same in every process."""
    return _without_address(repr(value))


def _structure(part: Any) -> str:
    """The keys of a nesting of arrays."""
    return repr(map_arrays(lambda _: None, part))


def _stable(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _stable(v) for k, v in value.items() if k not in _NEW_EVERY_TIME}
    if isinstance(value, list):
        return [_stable(item) for item in value]
    return _without_number(_without_address(value)) if isinstance(value, str) else value


def _without_number(name: str) -> str:
    """A name without the number that Keras appends: dense, dense_1, dense_2 ..."""
    return re.sub(r"_\d+(?=/|$)", "", name)


def _without_address(text: str) -> str:
    return re.sub(r"0x[0-9a-fA-F]+", "0x", text)

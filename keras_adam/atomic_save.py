"""Save a model so that an interruption never costs the previous good file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def save_atomically(model: Any, path: str | os.PathLike, **options: Any) -> Path:
    """Save a model, or its weights, in one step that happens wholly or not at all.

    ``model.save`` writes into the file it replaces: stopped half-way, it leaves
    neither the old nor the new. This writes beside it and renames.

    Args:
        model: a Keras model; its optimizer's state is saved with it.
        path: ends in ``.keras`` (everything) or ``.weights.h5`` (weights and
            optimizer state), on a local file system.
        **options: for ``model.save`` or ``model.save_weights``.

    Returns:
        The path.

    Raises:
        ValueError: another ending.
        FileExistsError: the path exists and ``overwrite=False``.
    """
    path = Path(path)
    endings = (".keras", ".weights.h5")
    ending = next((e for e in endings if path.name.endswith(e)), None)
    if ending is None:
        raise ValueError(
            f"path must end in one of {list(endings)}; received {str(path)!r}."
        )
    # Keras looks for the temporary name, which never exists.
    if options.get("overwrite") is False and path.exists():
        raise FileExistsError(f"{path} exists and overwrite=False.")
    # Keras chooses the format by the ending, so the temporary name keeps it.
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial{ending}")
    try:
        (model.save if ending == ".keras" else model.save_weights)(partial, **options)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path

"""The weights of the best runs, each at its best epoch."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from tuning.kerastuner.trials import best_of, mean_loss
from tuning.records import RunRecord
from tuning.system.paths import check_inside

DIRECTORY = "checkpoints"
"""Inside a sweep's directory."""

WEIGHTS_FILE = "best.weights.h5"
BUILD_FILE = "build.json"
"""What a model that is built by its first batch needs to be built without one."""


@dataclasses.dataclass(frozen=True)
class BestWeights:
    """Makes the callback of a run that keeps its best weights.

    Attributes:
        directory: of the sweep.
        objective: logged quantity; ``None`` for ``val_loss``, else ``loss``.
        is_rising: whether more of it is better.
    """

    directory: Path
    objective: str | None
    is_rising: bool

    def __call__(self, run: Any) -> SaveBestWeights:
        """The callback of a run."""
        folder = folder_of(self.directory, run.run_id)
        return SaveBestWeights(folder, self.objective, self.is_rising)


class SaveBestWeights(keras.callbacks.Callback):
    """Saves the weights after every epoch that is better than all before it.

    Args:
        folder: of the run.
        objective: see `BestWeights`.
        is_rising: see `BestWeights`.
    """

    def __init__(self, folder: Path, objective: str | None, is_rising: bool) -> None:
        super().__init__()
        self._folder = folder
        self._objective = objective
        self._sign = -1.0 if is_rising else 1.0
        self._best = math.inf

    def on_epoch_end(self, epoch: int, logs: Mapping | None = None) -> None:
        """Save the weights if they are the best so far."""
        logs = logs or {}
        name = self._objective or ("val_loss" if "val_loss" in logs else "loss")
        value = self._sign * float(logs.get(name, math.nan))
        if not value < self._best:  # or not finite
            return
        self._best = value
        model: Any = self.model
        sync = getattr(model, "jax_state_sync", None)
        if sync is not None:
            sync()
        self._folder.mkdir(parents=True, exist_ok=True)
        model.save_weights(self._folder / WEIGHTS_FILE)
        config = json.dumps(model.get_build_config(), default=str)
        (self._folder / BUILD_FILE).write_text(config)


def folder_of(directory: Path, run_id: str) -> Path:
    """Where the weights of a run are."""
    return directory / DIRECTORY / run_id


def load_weights(model: Any, folder: Path) -> None:
    """Give a compiled model, and its optimizer, what a run has kept."""
    if not model.built:
        model.build_from_config(json.loads((folder / BUILD_FILE).read_text()))
    model.optimizer.build(model.trainable_variables)
    model.load_weights(folder / WEIGHTS_FILE)


def has_weights(directory: Path, record: RunRecord) -> bool:
    """Whether the weights of a run are kept."""
    return (folder_of(directory, record.run_id) / WEIGHTS_FILE).is_file()


def keep_best(
    directory: Path, settings: Sequence[Sequence[RunRecord]], count: int
) -> None:
    """Keep the weights of the best run of each of the best settings.

    Args:
        directory: of the sweep.
        settings: the records of each; the weights of other runs stay.
        count: of how many settings weights are kept.
    """
    # Among equals by name: the order of the settings is another one in the end.
    order = sorted(
        (loss, min(record.run_id for record in some), place)
        for place, some in enumerate(settings)
        if (loss := mean_loss(some)) is not None
    )
    chosen = [best_of(settings[place]) for *_, place in order[:count]]
    wanted = {record.run_id for record in chosen if record is not None}
    for record in itertools.chain(*settings):
        if record.run_id not in wanted:
            _remove(directory, folder_of(directory, record.run_id))


def remove_all(directory: Path) -> None:
    """Remove the weights of all runs of a sweep that is started over."""
    pattern = f"*/batch=*/lr=*/seed=*/{WEIGHTS_FILE}"
    for weights in list((directory / DIRECTORY).glob(pattern)):
        _remove(directory, weights.parent)


def _remove(directory: Path, folder: Path) -> None:
    """Remove what `BestWeights` has written for a run, and nothing else."""
    if not folder.is_dir():
        return
    check_inside(directory, folder)
    for name in (WEIGHTS_FILE, BUILD_FILE):
        (folder / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # the user has put something there
        folder.rmdir()

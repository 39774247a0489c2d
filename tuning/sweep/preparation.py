"""What a sweep does before its first run: load data, make a model on trial."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from keras.ops import convert_to_numpy

from tuning.array_data import count_examples
from tuning.errors import user_code
from tuning.fit_workload import FitWorkload
from tuning.grid import Grid
from tuning.sweep.fingerprint import (
    fingerprint_data,
    fingerprint_function,
    fingerprint_model,
)
from tuning.system.process_end import os_exit_raises
from tuning.trainers.array_model import ArrayModel
from tuning.trainers.fit_data import fit_input, is_batch_source
from tuning.trainers.fit_model import FitModel
from tuning.trainers.model_builder import TRIAL_SEED, ModelBuilder
from tuning.workload import (
    AnyData,
    Workload,
    checked_metric_names,
    load_checked_data,
)
from tuning.workload_kinds import AnyWorkload

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Preparation:
    """What is known of a workload once its data and a model of it have been looked at.

    Attributes:
        data: for the runs; ``None`` where every run gets its own.
        metrics: names of the metrics, as far as they are known before a run.
        counts: examples, ``{"train": ..., "validation": ...}``; empty if unknown.
        fingerprints: of ``data`` and ``model``; ``None`` where there is none.
        builder: of the models; ``None`` for a workload whose function makes them.
    """

    data: AnyData | None = None
    metrics: Sequence[str] = ()
    counts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    fingerprints: Mapping[str, str | None] = dataclasses.field(default_factory=dict)
    builder: ModelBuilder | None = None

    def shared_values(self) -> Sequence[np.ndarray | None] | None:
        """See `ModelBuilder.shared_values`; ``None`` if no model can be built."""
        if self.builder is not None:
            with _errors_left_to_runs():
                return self.builder.shared_values()
        return None


def prepare(workload: AnyWorkload, grid: Grid) -> Preparation:
    """Look at a workload before anything is trained.

    Raises:
        TypeError: data of a form that cannot be trained on.
        ValueError: data that do not fit the grid, or user code that raises an error.
            Errors of ``build_model`` are left to the runs.
    """
    if isinstance(workload, Workload):
        return _prepare_arrays(workload, grid)
    if isinstance(workload, FitWorkload):
        return _prepare_fit(workload, grid)
    return Preparation(
        fingerprints={"function": fingerprint_function(workload.function)}
    )


def _prepare_arrays(workload: Workload, grid: Grid) -> Preparation:
    metrics = checked_metric_names(workload)
    data = load_checked_data(workload, grid.batch_sizes)
    builder = ModelBuilder(ArrayModel(workload, data))
    return Preparation(
        data=data,
        metrics=metrics,
        counts={
            "train": count_examples(data.x_train),
            "validation": count_examples(data.x_val),
        },
        fingerprints={
            "data": fingerprint_data(data),
            "model": _fingerprint_of_trial(builder),
        },
        builder=builder,
    )


def _prepare_fit(workload: FitWorkload, grid: Grid) -> Preparation:
    builder = ModelBuilder(FitModel(workload))
    model: Any = None
    with _errors_left_to_runs():
        model = builder.build_trial()
        _warn_of_equal_seeds(workload, builder, model)
    if model is not None:
        # Once for the sweep, not once per run: data that no run could use.
        with user_code(f"data of workload {workload.name!r} cannot be used"):
            found = fit_input(workload, grid.batch_sizes[0], model)
        if is_batch_source(found.arguments["x"]) and not callable(workload.data):
            logger.warning(
                "Workload %s: its dataset is made once for all runs, so the order of "
                "its data is not decided by the seed alone. Make data a function.",
                workload.name,
            )
        if found.has_new_batches:
            logger.warning(
                "Workload %s: the batches of its tf.data.Dataset are cut anew to the "
                "batch size of each run.",
                workload.name,
            )
    fingerprint = None if model is None else fingerprint_model(model)
    return Preparation(
        fingerprints={"data": None, "model": fingerprint}, builder=builder
    )


def _warn_of_equal_seeds(
    workload: FitWorkload, builder: ModelBuilder, model: Any
) -> None:
    """Log that seeds do not decide the weights, if they do not."""
    first = [convert_to_numpy(variable) for variable in model.trainable_variables]
    other = builder.build(TRIAL_SEED + 1, FitModel(workload).trial_optimizer())
    second = [convert_to_numpy(variable) for variable in other.trainable_variables]
    if first and len(first) == len(second) and all(map(np.array_equal, first, second)):
        logger.warning(
            "Workload %s: build_model makes the same weights for every seed, so the "
            "spread over seeds shows the order of the data and dropout alone.",
            workload.name,
        )


def _fingerprint_of_trial(builder: ModelBuilder) -> str | None:
    with _errors_left_to_runs():
        return fingerprint_model(builder.build_trial())
    return None


@contextlib.contextmanager
def _errors_left_to_runs() -> Iterator[None]:
    """Ignore errors of ``build_model``: every run will report them.

    A model that is repaired later belongs to the same sweep.
    """
    try:
        with os_exit_raises():
            yield
    except KeyboardInterrupt:
        raise
    except BaseException:  # SystemExit, too
        logger.debug("No model could be built.", exc_info=True)

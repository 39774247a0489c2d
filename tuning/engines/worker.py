"""What a worker does in its own process, on any engine."""

from __future__ import annotations

import logging
import os
from typing import NamedTuple

import keras

from tuning.engines.options import SHARED_GPU
from tuning.grid import Run
from tuning.records import RunRecord
from tuning.trainers.task import Task
from tuning.trainers.trainer import Trainer


class Settings(NamedTuple):
    """Keras's settings of this process, which a new process does not have.

    Attributes:
        floatx: Keras's float type.
        epsilon: Keras's small constant.
        image_data_format: whether channels come first or last.
        dtype_policy: default of layers.
        threads: TensorFlow's threads; ``None`` leaves the number to the backend.
    """

    floatx: str
    epsilon: float
    image_data_format: str
    dtype_policy: str
    threads: int | None


def current_settings(threads: int | None) -> Settings:
    """The settings of this process, for workers."""
    return Settings(
        floatx=keras.config.floatx(),
        epsilon=keras.config.epsilon(),
        image_data_format=keras.config.image_data_format(),
        dtype_policy=keras.config.dtype_policy().name,
        threads=threads,
    )


def worker_environment(workers: int) -> dict[str, str]:
    """Variables that must be set before a worker imports its backend.

    Args:
        workers: the number of workers that share the machine's accelerators.
    """
    wanted = {"KERAS_BACKEND": keras.backend.backend()}
    if "TF_CPP_MIN_LOG_LEVEL" not in os.environ:
        wanted["TF_CPP_MIN_LOG_LEVEL"] = "2"
    return {**wanted, **SHARED_GPU} if workers > 1 else wanted


class RemoteTrainer:
    """A trainer in a worker's process, which collects what is logged there.

    Args:
        task: what all runs have in common.
    """

    def __init__(self, task: Task) -> None:
        self._notes = _Notes()
        logging.getLogger("tuning").addHandler(self._notes)
        self._trainer = Trainer(task)

    def run(self, run: Run) -> tuple[str, str | None, tuple[str, ...]]:
        """Train once.

        Returns:
            The record as JSON, because an optimizer's configuration may hold objects
            that cannot be pickled; the traceback of a run that failed; the warnings.
        """
        record, traceback = train_run(self._trainer, run)
        return record.to_json(), traceback, self._notes.take()


def train_run(trainer: Trainer, run: Run) -> tuple[RunRecord, str | None]:
    """Train once; return the record, and the traceback if the run failed."""
    record = trainer.run(run)
    if record.status != "failed":
        return record, None
    return record, trainer.tracebacks.get(record.message)


def apply_settings(settings: Settings) -> None:
    """Apply the settings of the process that drives the sweep.

    Call this before the task is unpickled. Unpickling imports the user's files, which
    may use the backend; after that its number of threads cannot be changed.
    """
    keras.config.set_floatx(settings.floatx)
    keras.config.set_epsilon(settings.epsilon)
    keras.config.set_image_data_format(settings.image_data_format)
    keras.config.set_dtype_policy(settings.dtype_policy)
    if settings.threads and keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # Without a limit, every worker on a machine would start a thread per core.
        tf.config.threading.set_intra_op_parallelism_threads(settings.threads)
        tf.config.threading.set_inter_op_parallelism_threads(settings.threads)


class _Notes(logging.Handler):
    """Keeps warnings for the process that drives the sweep."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._texts.append(record.getMessage())

    def take(self) -> tuple[str, ...]:
        """Return the warnings logged since the last call."""
        texts, self._texts = tuple(self._texts), []
        return texts

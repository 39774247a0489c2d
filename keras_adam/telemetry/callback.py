"""The Keras callback that writes what the optimizer does to each weight."""

from __future__ import annotations

import logging
import numbers
import os
from pathlib import Path
from typing import Any

import keras

from keras_adam.telemetry.event_file import check_tensorboard_is_installed
from keras_adam.telemetry.log_directory import checked_name
from keras_adam.telemetry.probe import Probe, probe_of
from keras_adam.telemetry.runs import Runs
from keras_adam.telemetry.training import Training, begin_training, scalars_since

logger = logging.getLogger(__name__)


class AdamTelemetry(keras.callbacks.Callback):
    """Writes for TensorBoard what the optimizer does to each weight.

    Training is the same with this callback as without it, bit for bit. At each multiple
    of ``every`` steps it writes, for each weight:

    - ``LAYER/WEIGHT/gradient_norm``: the norm of the gradient that the step used.
    - ``LAYER/WEIGHT/update_ratio``: how far the step moved the weight, divided by the
      norm of the weight.
    - ``LAYER/WEIGHT/moment_ratio``: the root mean square of m / √v as in Adam's step:
      how far entries move, in learning rates.

    and, for all weights together, ``optimizer/gradient_norm``,
    ``optimizer/learning_rate``, and further numbers that the optimizer has, such as
    ``optimizer/skipped_steps``. It works with every Keras optimizer, with fewer figures
    if it is not of Adam's kind.

    Each training is a run of its own in TensorBoard: in ``log_dir``, or in a new
    directory ``log_dir/run-2`` if it does not continue the training shown there.

    docs/telemetry.md explains the figures, how they are obtained, what they cost, how
    runs are chosen, and the limits.

    Args:
        log_dir: directory for TensorBoard, on a local file system. It may be changed
            between two trainings.
        every: multiples of this are written, counted by ``optimizer.iterations``.

    Attributes:
        run_dir: directory written to last; ``None`` while there is none.

    Raises:
        ImportError: TensorBoard is not installed.
        TypeError: ``log_dir`` is not a path.
        ValueError: ``every`` is not an integer of at least 1, or ``log_dir`` is empty,
            a URL, or a name that the file system cannot store.

    Example::

        telemetry = keras_adam.AdamTelemetry("logs/first-try")
        model.fit(x, y, epochs=20, callbacks=[telemetry])
        # tensorboard --logdir logs
    """

    def __init__(self, log_dir: str | os.PathLike[str], every: int = 100) -> None:
        super().__init__()
        is_whole = isinstance(every, numbers.Integral) and not isinstance(every, bool)
        if not is_whole or int(every) < 1:
            raise ValueError(f"every must be an integer >= 1; received {every!r}.")
        check_tensorboard_is_installed()
        self.every = int(every)
        self.log_dir = log_dir

    @property
    def log_dir(self) -> Path:
        """The directory that was asked for."""
        return self._log_dir

    @log_dir.setter
    def log_dir(self, log_dir: str | os.PathLike[str]) -> None:
        self._log_dir = checked_name(log_dir)
        self._forget_trainings(Runs())

    @property
    def run_dir(self) -> Path | None:
        """The directory written to last; ``None`` while there is none."""
        return self._runs.directory

    def _forget_trainings(self, runs: Runs) -> None:
        self._runs = runs
        self._training: Training | None = None
        # If another callback calls fit with this one, the outer fits wait here.
        self._outer_trainings: list[Training] = []
        self._last_probe: Probe | None = None

    def __getstate__(self) -> dict[str, Any]:
        """The settings, and what a subclass has added; not the model, nor its runs."""
        of_this_class = vars(AdamTelemetry(self.log_dir, self.every))
        added = {k: v for k, v in vars(self).items() if k not in of_this_class}
        return {"log_dir": self.log_dir, "every": self.every, "added": added}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Make a copy, which writes to directories of its own."""
        AdamTelemetry.__init__(self, state["log_dir"], state["every"])
        self._forget_trainings(Runs(is_copy=True))
        vars(self).update(state["added"])

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Check the directory before any work could be lost.

        Raises:
            OSError: the directory cannot be written to.
        """
        del logs
        outer = self._training
        self._training = begin_training(self.model, self.log_dir)
        if outer is not None and outer.model is not self._training.model:
            self._outer_trainings.append(outer)

    # There is no `on_train_batch_end`: for a callback that has one, Keras waits for the
    # result of every step. What a step did is read just before the next one.

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        """Write the step before if it is due; take a sample if the next one is."""
        del batch, logs
        training = self._training
        if training is None:
            training = begin_training(self.model, self.log_dir)
            self._training = training
        training.executions += 1
        if training.executions_to_pass > 0:
            training.executions_to_pass -= 1
            return
        iterations = self._finish_sample(training)
        if training.sample is None:
            self._prepare_sample(training, iterations)

    def on_test_begin(self, logs: dict | None = None) -> None:
        """Write the last step before a validation if it is due."""
        del logs
        if self._training is not None:
            self._finish_sample(self._training)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Write the last step of the epoch if it is due."""
        del epoch, logs
        if self._training is not None:
            self._finish_sample(self._training)

    def on_train_end(self, logs: dict | None = None) -> None:
        """Log a warning with the reason if nothing was written."""
        del logs
        training = self._training
        if training is None:
            return
        self._finish_sample(training)
        if training.is_writer and not training.has_scalars:
            self._up_to_date_model(training)
            logger.warning(
                "AdamTelemetry has written nothing. %s",
                training.missing_steps(self.every).reason(),
            )
        self._training = None
        if self._outer_trainings:
            # Keras sets the model of a callback only when fit begins.
            self._training = self._outer_trainings.pop()
            self.set_model(self._training.model)

    def _up_to_date_model(self, training: Training) -> Any:
        """The model. On JAX, reading `Callback.model` updates its variables."""
        if self.model is not training.model:
            self.set_model(training.model)  # An `evaluate` has set another model.
        return self.model

    def _prepare_sample(self, training: Training, iterations: int | None) -> None:
        """Take a sample if a step of the next execution is due.

        Args:
            training: the present one.
            iterations: how many steps the optimizer has taken, if that is known.
        """
        probe = training.probe
        if probe is None:
            model = self._up_to_date_model(training)
            if model.optimizer is None or not model.optimizer.built:
                return
            self._last_probe = probe = probe_of(model, self._last_probe)
            iterations = training.start_reading(probe)
            if training.starts_at_zero:
                self._runs.note_new_optimizer(probe.optimizer.optimizer)
        elif iterations is None:
            self._up_to_date_model(training)
            iterations = probe.optimizer.iterations()
        training.sample_if_due(probe, iterations, self.every)

    def _finish_sample(self, training: Training) -> int | None:
        """Write what the step after the sample did, once it has been taken.

        Returns:
            How many steps the optimizer has taken, if that had to be read.
        """
        sample, probe = training.sample, training.probe
        if sample is None or probe is None:
            return None
        self._up_to_date_model(training)
        iterations = probe.optimizer.iterations()
        if iterations == sample.iterations:
            # The step was skipped, or gradients are being accumulated: nothing has
            # changed since the sample.
            return iterations
        training.sample = None
        if iterations // self.every > sample.iterations // self.every:
            training.has_scalars = True
            self._write(
                training, probe, iterations, scalars_since(probe, sample, iterations)
            )
        # Otherwise the execution was shorter than others, or a callback has set the
        # optimizer back to an earlier step.
        return iterations

    def _write(
        self,
        training: Training,
        probe: Probe,
        iterations: int,
        scalars: dict[str, float],
    ) -> None:
        """Write; on an error, stop writing: a full disk must not end the training."""
        if training.has_failed or not training.is_writer:
            return
        try:
            if training.file is None:
                training.file = self._runs.file_of(
                    training,
                    probe.optimizer.optimizer,
                    training.directory,
                    steps=training.steps_when_built or 0,
                    starts_at_zero=training.starts_at_zero,
                )
            training.file.write(iterations, scalars)
        except OSError as error:
            training.has_failed = True
            logger.warning(
                "AdamTelemetry cannot write to %r and stops; training goes on: %s",
                os.fspath(self.run_dir or training.directory),
                error,
            )

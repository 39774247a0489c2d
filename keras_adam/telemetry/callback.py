"""A callback that shows in TensorBoard what the optimizer does to each weight."""

from __future__ import annotations

import dataclasses
import logging
import math
import numbers
import os
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras

from keras_adam.state.reading import Entries
from keras_adam.telemetry.event_file import EventFile, check_tensorboard_is_installed
from keras_adam.telemetry.missing_steps import UntoldTraining
from keras_adam.telemetry.probe import Probe
from keras_adam.telemetry.readable_optimizer import ReadableOptimizer
from keras_adam.telemetry.run_directory import checked_directory, open_run
from keras_adam.telemetry.tags import (
    PER_WEIGHT,
    tag_prefixes,
    told_of_all,
    told_of_weights,
)

logger = logging.getLogger(__name__)


class _Reading(NamedTuple):
    """How a model's optimizer is read.

    Attributes:
        optimizer: what can be read.
        probe: looks at its weights.
        tags: what the tags of each weight begin with.
    """

    optimizer: ReadableOptimizer
    probe: Probe
    tags: list[str]


class _Sample(NamedTuple):
    """What is known before a step that is to be told of.

    Attributes:
        iterations: steps taken until then.
        learning_rate: of the step; ``None`` where there is not one for all.
        before: entries of weights and moments.
    """

    iterations: int
    learning_rate: float | None
    before: Sequence[Entries]


@dataclasses.dataclass(eq=False)
class _Training:
    """What is known of one ``fit``, while it lasts.

    Attributes:
        model: that is trained.
        directory: that was asked for, absolute.
        is_writer: whether this process writes, of several that train the model.
        steps_per_execution: of the model.
        skips: see `ReadableOptimizer.skips`, before the training; ``None`` where the
            optimizer does not skip steps.
        executions: how many have begun.
        executions_to_pass: how many need not be looked at.
        observed_from: steps that the optimizer had taken when it was first seen built.
        executions_before: how many executions of this training there had been then.
        reading: how the optimizer is read, once it is built.
        sample: what was read before the step that is to be shown.
        file: that is written to, once there is something to write.
        has_told: whether there was something to write.
        has_failed: whether writing failed.
    """

    model: Any
    directory: Path
    is_writer: bool
    steps_per_execution: int
    skips: float | None
    executions: int = 0
    executions_to_pass: int = 0
    observed_from: int | None = None
    executions_before: int = 0
    reading: _Reading | None = None
    sample: _Sample | None = None
    file: EventFile | None = None
    has_told: bool = False
    has_failed: bool = False

    @property
    def begins_anew(self) -> bool:
        """Whether the optimizer had taken no step before this training."""
        return (self.observed_from or 0) <= self._steps_before

    @property
    def begin(self) -> int:
        """How many steps the optimizer had taken before this training."""
        return max(0, (self.observed_from or 0) - self._steps_before)

    @property
    def _steps_before(self) -> int:
        return self.executions_before * self.steps_per_execution


_written_to: weakref.WeakValueDictionary[Path, _Training] = (
    weakref.WeakValueDictionary()
)
"""Directories in which this process shows trainings that have not ended."""


class AdamTelemetry(keras.callbacks.Callback):
    """Shows in TensorBoard what the optimizer does to each weight, every so many steps.

    Give it to ``model.fit(callbacks=[...])``. Training is the same with it and without,
    bit for bit. Tags begin with the layer, ``dense/kernel/gradient_norm``, so that each
    layer is a group of TensorBoard's page *Time Series*; the page *Custom Scalars* lays
    all weights over each other. Of each weight it tells:

    - ``gradient_norm``: of the gradient that the moments have taken in, after clipping,
      with accumulation the mean.
    - ``update_ratio``: the norm of the weight's movement in the step, in units of the
      weight's norm. Not told while a weight is zero.
    - ``moment_ratio``: root mean square of m / √v, bias correction and ε included as in
      Adam's step: how far the entries move, in learning rates.
    - ``first_moment_storage_error``, ``second_moment_storage_error``: root mean square
      of the rounding with which ``moment_storage`` kept the moment after this step, in
      units of the moment's own. That of the first is what is to be expected where it
      lies in the storage's grid, for the exact moment is kept nowhere (where gradients
      hardly change, right to a quarter); that of the second is measured, by an exact
      update with the gradient.

    And of the optimizer: ``learning_rate``, the ``gradient_norm`` of all weights
    together, and, where it has them, ``skipped_steps``, ``clipped_spikes``,
    ``loss_scale``, and with a controlled rate ``rate_cap``, ``rate_adaptation``,
    ``rate_multiplier`` and ``effective_rate``, the learning rate times that.

    Works with every Keras optimizer for what can be read of it: all of `Adam`; of
    Keras's Adam, AdamW, Nadam and Lamb what is not ours alone; of Adamax and RMSprop no
    moment ratio; of others the update ratio and the rate. ``LossScaleOptimizer`` may be
    around each of these. The gradient is computed from moments before and after a step,
    to single precision; of ``moment_storage="8bit"`` that is an estimate, from which
    the expected rounding has been subtracted.

    Large weights are judged by about 8,192 of their entries, evenly spread (by fewer
    where there are more than 64 weights): a look costs no more, in time and in memory,
    however large they are. Where a step is told of that shares
    an execution with others (``steps_per_execution``), the figures are of all steps of
    the execution: a root mean square of gradient norms, and the movement divided by
    the steps. The very first step is not told of where Keras builds the optimizer in
    the midst of it.

    Each training is a run of its own in TensorBoard. The first is shown in ``log_dir``;
    one that cannot continue it, for example of another model, in a new directory
    ``log_dir/run-2`` and so on. These continue their curves: a later ``fit`` with the
    same optimizer, and, in a new process, a training that was loaded from a checkpoint
    (its ``optimizer.iterations`` are not 0). A copy of the callback (``copy``,
    ``deepcopy``, ``pickle``; KerasTuner makes one per trial) shows each training in a
    new directory ``log_dir/run-1`` and so on. ``run_dir`` tells which it is.

    Only the optimizer given to ``compile`` is read, not those that a model applies
    itself in its ``train_step``.

    Args:
        log_dir: directory that TensorBoard shows as a run, on a local file system.
            Another one may be assigned between two trainings.
        every: steps between two that are told of; these are the multiples of it, by
            ``optimizer.iterations``, so that they are the same in a resumed run.

    Attributes:
        run_dir: directory written to last; ``None`` while there is none.

    Raises:
        ImportError: TensorBoard is not installed.
        TypeError: ``log_dir`` is no path.
        ValueError: ``every`` is no whole number of at least 1, or ``log_dir`` is empty,
            a URL, or a name that the file system cannot have.

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

    def _begin_without_trainings(self) -> None:
        self.run_dir: Path | None = None
        self._training: _Training | None = None
        # Of fits in which another callback has called fit with this one.
        self._outer_trainings: list[_Training] = []
        self._last_reading: _Reading | None = None
        self._has_opened = False
        # By optimizer, for a later fit of the same: its file; and which of them have
        # taken their first step with this callback.
        self._files: weakref.WeakKeyDictionary[Any, EventFile] = (
            weakref.WeakKeyDictionary()
        )
        self._new_optimizers: weakref.WeakSet[Any] = weakref.WeakSet()

    @property
    def log_dir(self) -> Path:
        """The directory that was asked for."""
        return self._log_dir

    @log_dir.setter
    def log_dir(self, log_dir: str | os.PathLike[str]) -> None:
        self._log_dir = _checked_log_dir(log_dir)
        self._is_copy = False
        self._begin_without_trainings()

    def __getstate__(self) -> dict[str, Any]:
        """What a copy is made of: settings, without the model and its training."""
        of_this_class = vars(AdamTelemetry(self.log_dir, self.every))
        added = {k: v for k, v in vars(self).items() if k not in of_this_class}
        return {"log_dir": self.log_dir, "every": self.every, "added": added}

    def __setstate__(self, state: dict[str, Any]) -> None:
        AdamTelemetry.__init__(self, state["log_dir"], state["every"])
        self._is_copy = True
        vars(self).update(state["added"])

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Check the directory, before any work is lost by one that cannot be used.

        Raises:
            OSError: the directory cannot be written to.
        """
        del logs
        outer = self._training
        self._training = self._new_training()
        if outer is not None and outer.model is not self._training.model:
            self._outer_trainings.append(outer)

    def _new_training(self) -> _Training:
        model = self.model
        is_writer = _is_writer(model)
        optimizer = model.optimizer
        return _Training(
            model,
            checked_directory(self.log_dir) if is_writer else self.log_dir,
            is_writer,
            int(getattr(model, "steps_per_execution", 1) or 1),
            None if optimizer is None else ReadableOptimizer(optimizer).skips(),
        )

    # There is no `on_train_batch_end`: Keras waits for the result of every step where a
    # callback has one. What a step has done is looked at before the next one.

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        """Look at the step before, if it is to be told of, and at the next."""
        del batch, logs
        training = self._training
        if training is None:
            training = self._training = self._new_training()
        training.executions += 1
        if training.executions_to_pass > 0:
            training.executions_to_pass -= 1
            return
        iterations = self._tell(training)
        if training.sample is None:
            self._consider_next(training, iterations)

    def on_test_begin(self, logs: dict | None = None) -> None:
        """Look at the last step before a validation."""
        del logs
        if self._training is not None:
            self._tell(self._training)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Look at the last step of the epoch."""
        del epoch, logs
        if self._training is not None:
            self._tell(self._training)

    def on_train_end(self, logs: dict | None = None) -> None:
        """Say so where there was nothing to tell, and why."""
        del logs
        training = self._training
        if training is None:
            return
        self._tell(training)
        if training.is_writer and not training.has_told:
            logger.warning(
                "AdamTelemetry has written nothing. %s",
                _untold(training, self._model_of(training), self.every).reason(),
            )
        self._training = None
        if self._outer_trainings:
            # Keras names the model to a callback once, when fit begins.
            self._training = self._outer_trainings.pop()
            self.set_model(self._training.model)

    def _model_of(self, training: _Training) -> Any:
        """The model; on JAX this brings its variables up to date."""
        if self.model is not training.model:
            self.set_model(training.model)  # an `evaluate` has named another one
        return self.model

    def _consider_next(self, training: _Training, iterations: int | None) -> None:
        """Look at the state before the next step, or know how long there is time.

        Args:
            training: at work.
            iterations: steps taken, if that is known already.
        """
        if training.reading is None:
            model = self._model_of(training)
            if model.optimizer is None or not model.optimizer.built:
                return
            training.reading = self._prepared(model)
            iterations = training.reading.optimizer.iterations()
            training.observed_from = iterations
            training.executions_before = training.executions - 1
            if training.begins_anew:
                self._new_optimizers.add(training.reading.optimizer.optimizer)
        reading = training.reading
        if iterations is None:
            self._model_of(training)
            iterations = reading.optimizer.iterations()
        in_execution = training.steps_per_execution
        remaining = self.every - iterations % self.every - in_execution
        if remaining > 0:
            training.executions_to_pass = -(-remaining // in_execution) - 1
            return
        training.sample = _Sample(
            iterations,
            reading.optimizer.learning_rate(),
            reading.probe.look(),
        )

    def _tell(self, training: _Training) -> int | None:
        """Write what the step that was sampled has done, once it has been taken.

        Returns:
            How many steps there have been, if that had to be read.
        """
        if training.sample is None or training.reading is None:
            return None
        self._model_of(training)
        sample, (optimizer, probe, tags) = training.sample, training.reading
        iterations = optimizer.iterations()
        if iterations == sample.iterations:
            # It was left out, or gradients are still being accumulated: the state is
            # as it was.
            return iterations
        training.sample = None
        if iterations // self.every <= sample.iterations // self.every:
            # The execution was shorter than most, or a callback has put the optimizer
            # back to an earlier step.
            return iterations
        steps = iterations - sample.iterations
        figures = probe.compare(sample.before, probe.look(), steps, iterations)
        told = told_of_weights(tags, figures)
        told |= told_of_all(sample.learning_rate, optimizer, figures)
        training.has_told = True
        self._write(training, iterations, told)
        return iterations

    def _prepared(self, model: Any) -> _Reading:
        """The reader of this model's optimizer; the last one where that is the same."""
        weights = [weight for weight in model.trainable_variables if _is_read(weight)]
        optimizer = ReadableOptimizer(model.optimizer, weights)
        if self._last_reading is None or not self._last_reading.optimizer.is_same_as(
            optimizer
        ):
            tags = tag_prefixes([weight.path for weight in optimizer.weights])
            self._last_reading = _Reading(optimizer, Probe(optimizer), tags)
        return self._last_reading

    def _write(
        self, training: _Training, iterations: int, told: dict[str, float]
    ) -> None:
        """Write, or give up writing: a full disk must not end the training."""
        if training.has_failed or not training.is_writer:
            return
        try:
            if training.file is None:
                training.file = self._opened_file(training)
            training.file.write(iterations, told)
        except OSError as error:
            training.has_failed = True
            logger.warning(
                "AdamTelemetry cannot write to %r and stops; training goes on: %s",
                os.fspath(self.run_dir or training.directory),
                error,
            )

    def _opened_file(self, training: _Training) -> EventFile:
        """The file of this optimizer, or a new one where none is its own yet."""
        reading = training.reading
        optimizer = None if reading is None else reading.optimizer.optimizer
        file = self._files.get(optimizer)
        continues = not training.begins_anew
        if file is None or not continues:
            # One optimizer may continue what an earlier process has shown.
            continues = not self._has_opened and optimizer not in self._new_optimizers
            is_free = training.directory not in _written_to
            file = open_run(
                training.directory,
                PER_WEIGHT,
                is_continued=continues and is_free,
                is_copy=self._is_copy,
            )
            self._files[optimizer] = file
            self._has_opened = True
        if continues:
            file.restart(training.observed_from or 0)
        self.run_dir = file.directory
        _written_to[file.directory] = training
        logger.info("AdamTelemetry writes to %r.", os.fspath(file.directory))
        return file


def _checked_log_dir(log_dir: Any) -> Path:
    name = os.fspath(log_dir) if isinstance(log_dir, os.PathLike) else log_dir
    if not isinstance(name, str):
        raise TypeError(
            f"log_dir must be a path; received {log_dir!r} of type "
            f"{type(log_dir).__name__}."
        )
    if "://" in name:
        raise ValueError(
            f"log_dir must be a local directory; received {name!r}. Write to a "
            "local one and copy it."
        )
    try:
        is_possible = bool(name) and b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:
        is_possible = False
    if not is_possible:
        raise ValueError(f"log_dir must be the name of a directory; received {name!r}.")
    return Path(name)


def _untold(training: _Training, model: Any, every: int) -> UntoldTraining:
    """What is known of a training of which nothing was written."""
    batches = training.executions * training.steps_per_execution
    optimizer = model.optimizer
    begin, end, skips = training.begin, training.begin, None
    if optimizer is not None and optimizer.built:
        readable = ReadableOptimizer(optimizer)
        end, skips = readable.iterations(), readable.skips()
        if training.observed_from is None:
            # Keras built it in the only execution.
            begin = max(0, end - batches)
        optimizer = readable.optimizer
    return UntoldTraining(
        every=every,
        batches=batches,
        optimizer=None if optimizer is None else type(optimizer).__name__,
        has_weights=bool(model.trainable_variables),
        begin=begin,
        observed_from=training.observed_from,
        end=end,
        has_skipped=skips is not None and skips > (training.skips or 0),
        accumulated=getattr(optimizer, "gradient_accumulation_steps", None) or 1,
    )


def _is_read(weight: Any) -> bool:
    """Whether there is something to be told of a weight."""
    is_floating = "float" in keras.backend.standardize_dtype(weight.dtype)
    is_overwritten = getattr(weight, "overwrite_with_gradient", False)
    return is_floating and math.prod(weight.shape) > 0 and not is_overwritten


def _is_writer(model: Any) -> bool:
    """Whether this process writes, of several that train one model."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return model.distribute_strategy.extended.should_save_summary
    if backend == "jax":
        import jax  # Absent where another backend is at work.

        return jax.process_index() == 0
    return True

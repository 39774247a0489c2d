"""A callback that shows in TensorBoard what the optimizer does to each weight."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras

from keras_adam.arguments import check_count
from keras_adam.event_file import EventFile, check_tensorboard_is_installed
from keras_adam.readable_optimizer import ReadableOptimizer
from keras_adam.state_reading import Entries
from keras_adam.telemetry_probe import Probe
from keras_adam.telemetry_tags import (
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

    Args:
        log_dir: directory that TensorBoard shows as a run, on a local file system. A
            later run with the same directory continues its curves.
        every: steps between two that are told of; these are the multiples of it, by
            ``optimizer.iterations``, so that they are the same in a resumed run.

    Raises:
        ImportError: TensorBoard is not installed.
        TypeError: ``log_dir`` is no path.
        ValueError: ``every`` is no whole number of at least 1, or ``log_dir`` a URL.

    Example::

        telemetry = keras_adam.AdamTelemetry("logs/first-try")
        model.fit(x, y, epochs=20, callbacks=[telemetry])
        # tensorboard --logdir logs
    """

    def __init__(self, log_dir: str | os.PathLike, every: int = 100) -> None:
        super().__init__()
        if not isinstance(log_dir, (str, os.PathLike)):
            raise TypeError(f"log_dir must be a path; received {log_dir!r}.")
        if "://" in os.fspath(log_dir):
            raise ValueError(
                f"log_dir must be a local directory; received {log_dir!r}. Write to a "
                "local one and copy it."
            )
        if every is None:
            raise ValueError("every must be an integer >= 1; received None.")
        check_count("every", every, 1)
        check_tensorboard_is_installed()
        self.log_dir = Path(log_dir)
        self.every = int(every)
        self._file: EventFile | None = None
        self._last_reading: _Reading | None = None
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._steps_per_execution = 1
        self._executions_to_pass = 0
        self._sample: _Sample | None = None
        self._reading: _Reading | None = None
        self._has_told = False

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Open the file, before any work is lost by a directory that cannot be used.

        Raises:
            OSError: the directory cannot be written to.
        """
        del logs
        self._begin_anew()
        model = self.model
        self._steps_per_execution = int(getattr(model, "steps_per_execution", 1) or 1)
        if self._file is None and _is_writer(model):
            self._file = EventFile(self.log_dir, PER_WEIGHT)

    # There is no `on_train_batch_end`: Keras waits for the result of every step where a
    # callback has one. What a step has done is looked at before the next one.

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        """Look at the step before, if it is to be told of, and at the next."""
        del batch, logs
        if self._executions_to_pass > 0:
            self._executions_to_pass -= 1
            return
        iterations = self._tell()
        if self._sample is None:
            self._consider_next(iterations)

    def on_test_begin(self, logs: dict | None = None) -> None:
        """Look at the last step before a validation."""
        del logs
        self._tell()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Look at the last step of the epoch."""
        del epoch, logs
        self._tell()

    def on_train_end(self, logs: dict | None = None) -> None:
        """Say so where training was too short for the interval."""
        del logs
        self._sample = None
        if not self._has_told:
            logger.warning(
                "AdamTelemetry has written nothing: no step of this training is a "
                "multiple of every=%d. Choose a smaller interval.",
                self.every,
            )

    def _consider_next(self, iterations: int | None) -> None:
        """Look at the state before the next step, or know how long there is time.

        Args:
            iterations: steps taken, if that is known already.
        """
        model = self.model
        if self._reading is None:
            if not model.optimizer.built:
                return
            self._reading = self._prepared(model)
            begin = self._reading.optimizer.iterations()
            self._write(lambda file: file.restart(begin))
            iterations = begin
        reading = self._reading
        if iterations is None:
            iterations = reading.optimizer.iterations()
        remaining = self.every - iterations % self.every - self._steps_per_execution
        if remaining > 0:
            self._executions_to_pass = -(-remaining // self._steps_per_execution) - 1
            return
        self._sample = _Sample(
            iterations,
            reading.optimizer.learning_rate(),
            reading.probe.look(),
        )

    def _tell(self) -> int | None:
        """Write what the step that was sampled has done, once it has been taken.

        Returns:
            How many steps there have been, if that had to be read.
        """
        if self._sample is None or self._reading is None:
            return None
        _ = self.model  # On JAX this brings the variables up to date.
        sample, (optimizer, probe, tags) = self._sample, self._reading
        iterations = optimizer.iterations()
        if iterations <= sample.iterations:
            # It was left out, or gradients are still being accumulated: the state is
            # as it was.
            return iterations
        self._sample = None
        steps = iterations - sample.iterations
        figures = probe.compare(sample.before, probe.look(), steps, iterations)
        told = told_of_weights(tags, figures)
        told |= told_of_all(sample.learning_rate, optimizer, figures)
        self._has_told = True
        self._write(lambda file: file.write(iterations, told))
        return iterations

    def _prepared(self, model: Any) -> _Reading:
        """The reader of this model's optimizer; the last one where that is the same."""
        weights = [weight for weight in model.trainable_variables if _is_read(weight)]
        optimizer = ReadableOptimizer(model.optimizer, weights)
        if self._last_reading is None or not self._last_reading.optimizer.is_same_as(
            optimizer
        ):
            tags = tag_prefixes([weight.path for weight in weights])
            self._last_reading = _Reading(optimizer, Probe(optimizer), tags)
        return self._last_reading

    def _write(self, write: Callable[[EventFile], None]) -> None:
        """Write, or give up writing: a full disk must not end the training."""
        if self._file is None:
            return
        try:
            write(self._file)
        except OSError as error:
            self._file = None
            logger.warning(
                "AdamTelemetry cannot write to %s and stops; training goes on: %s",
                self.log_dir,
                error,
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

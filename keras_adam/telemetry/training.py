"""One ``fit`` of a model, as telemetry follows it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras

from keras_adam.state.reading import Entries
from keras_adam.telemetry.log_directory import writable_directory
from keras_adam.telemetry.missing_steps import MissingSteps
from keras_adam.telemetry.probe import Probe
from keras_adam.telemetry.readable_optimizer import ReadableOptimizer
from keras_adam.telemetry.run_file import RunFile
from keras_adam.telemetry.tags import (
    optimizer_scalars,
    tag_prefixes,
    weight_scalars,
)


class Sample(NamedTuple):
    """What was read before a step.

    Attributes:
        iterations: how many steps the optimizer had taken.
        learning_rate: of the step; ``None`` if weights have different ones.
        entries: of the weights and moments.
    """

    iterations: int
    learning_rate: float | None
    entries: Sequence[Entries]


@dataclasses.dataclass(eq=False)
class Training:
    """What is known of one ``fit`` while it lasts.

    An *execution* is what Keras runs at a time: ``steps_per_execution`` batches.

    Attributes:
        model: the model that is trained.
        directory: ``log_dir`` when the training began, absolute.
        is_writer: whether this process writes. If several processes train one model,
            only one of them writes.
        steps_per_execution: of the model.
        skips_before: `ReadableOptimizer.skips` when the training began.
        executions: how many executions have begun.
        executions_to_pass: how many of the next executions have no step to show.
        steps_when_built: ``optimizer.iterations`` when the optimizer was first seen
            built; ``None`` until then.
        executions_before: how many executions had ended by then.
        probe: reads the optimizer, once that is built.
        sample: what was read before the step to show; ``None`` after that step.
        file: where scalars are written, once there are some.
        has_scalars: whether there was something to write.
        has_failed: whether writing failed.
    """

    model: Any
    directory: Path
    is_writer: bool
    steps_per_execution: int
    skips_before: float | None
    executions: int = 0
    executions_to_pass: int = 0
    steps_when_built: int | None = None
    executions_before: int = 0
    probe: Probe | None = None
    sample: Sample | None = None
    file: RunFile | None = None
    has_scalars: bool = False
    has_failed: bool = False

    @property
    def steps_before(self) -> int:
        """How many steps the optimizer had taken before this training."""
        return max(0, self._steps_before)

    @property
    def starts_at_zero(self) -> bool:
        """Whether the optimizer had taken no step before this training."""
        return self._steps_before <= 0

    @property
    def _steps_before(self) -> int:
        # It may be negative: skipped and accumulated batches are counted as steps.
        at_most_unseen = self.executions_before * self.steps_per_execution
        return (self.steps_when_built or 0) - at_most_unseen

    def start_reading(self, probe: Probe) -> int:
        """Note, before an execution, that the optimizer is built.

        Args:
            probe: of the optimizer.

        Returns:
            How many steps the optimizer has taken.
        """
        self.probe = probe
        self.steps_when_built = probe.optimizer.iterations()
        self.executions_before = self.executions - 1
        return self.steps_when_built

    def sample_if_due(self, probe: Probe, iterations: int, every: int) -> None:
        """Take a sample if a step of the next execution is to be shown.

        Args:
            probe: of the optimizer.
            iterations: how many steps the optimizer has taken.
            every: the multiples of this are shown.
        """
        remaining = every - iterations % every - self.steps_per_execution
        if remaining > 0:
            self.executions_to_pass = -(-remaining // self.steps_per_execution) - 1
            return
        rate = probe.optimizer.learning_rate()
        self.sample = Sample(iterations, rate, probe.look())

    def missing_steps(self, every: int) -> MissingSteps:
        """What explains that nothing was written of this training.

        Args:
            every: the multiples of this are shown.
        """
        batches = self.executions * self.steps_per_execution
        optimizer = self.model.optimizer
        begin, end, skips = self.steps_before, self.steps_before, None
        if optimizer is not None and optimizer.built:
            readable = ReadableOptimizer(optimizer)
            end, skips = readable.iterations(), readable.skips()
            if self.steps_when_built is None:
                # Keras built it in the only execution.
                begin = max(0, end - batches)
            optimizer = readable.optimizer
        return MissingSteps(
            every=every,
            batches=batches,
            optimizer=None if optimizer is None else type(optimizer).__name__,
            has_weights=bool(self.model.trainable_variables),
            begin=begin,
            observed_from=self.steps_when_built,
            end=end,
            has_skipped=skips is not None and skips > (self.skips_before or 0),
            accumulated=getattr(optimizer, "gradient_accumulation_steps", None) or 1,
        )


def begin_training(model: Any, log_dir: Path) -> Training:
    """What is known when a training begins.

    Args:
        model: the model to train.
        log_dir: where telemetry of it is to be written.

    Raises:
        OSError: the directory cannot be written to.
    """
    is_writer = _is_writer(model)
    optimizer = model.optimizer
    return Training(
        model,
        writable_directory(log_dir) if is_writer else log_dir,
        is_writer,
        int(getattr(model, "steps_per_execution", 1) or 1),
        None if optimizer is None else ReadableOptimizer(optimizer).skips(),
    )


def _is_writer(model: Any) -> bool:
    """Whether this process writes, of several that train one model."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return model.distribute_strategy.extended.should_save_summary
    if backend == "jax":
        import jax  # May be missing on other backends.

        return jax.process_index() == 0
    return True


def scalars_since(probe: Probe, sample: Sample, iterations: int) -> dict[str, float]:
    """What the steps since a sample did, by TensorBoard's tag.

    Args:
        probe: of the optimizer.
        sample: taken by the probe.
        iterations: how many steps the optimizer has taken, more than at the sample.
    """
    steps = iterations - sample.iterations
    figures = probe.compare(sample.entries, probe.look(), steps, iterations)
    prefixes = tag_prefixes([weight.path for weight in probe.optimizer.weights])
    return weight_scalars(prefixes, figures._asdict()) | optimizer_scalars(
        sample.learning_rate, figures.gradient_norm, probe.optimizer.controls()
    )

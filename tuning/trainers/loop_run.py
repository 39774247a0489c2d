"""What a training function of the user's own gets: everything about its run."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from tuning.grid import Run
from tuning.trainers.training_log import TrainingLog

MOST_ROWS = 200
"""Rows of a run's history; more reports than that are averaged over equal pieces."""


class RunEndedError(BaseException):
    """Ends a training function whose loss is no finite number any more.

    No `Exception`: a function that goes on after errors of its own must not go on after
    this.
    """


class LoopRun:
    """A run, for a function that trains by itself.

    Attributes:
        optimizer: new, at the run's learning rate.
        run_id: names files that the function writes; see `tuning.grid.Run.run_id`.
        learning_rate: of the run.
        batch_size: of the run.
        seed: of the run; Python's, NumPy's and Keras's random numbers are seeded with
            it already.
        epochs: how many to train.
        callbacks: for a ``fit`` inside the function: report each epoch to the run.
    """

    def __init__(
        self, run: Run, epochs: int, make_optimizer: Callable[[Any], Any]
    ) -> None:
        self.run_id = run.run_id
        self.learning_rate = run.learning_rate
        self.batch_size = run.batch_size
        self.seed = run.seed
        self.epochs = epochs
        self.made: list[Any] = []
        self._make = make_optimizer
        self._optimizer: Any = None
        self._rows: list[tuple[int, dict[str, float]]] = []
        self._started = time.perf_counter()

    @property
    def optimizer(self) -> Any:
        """The run's optimizer: a new one, the same at every call."""
        if self._optimizer is None:
            self._optimizer = self.make_optimizer()
        return self._optimizer

    @property
    def callbacks(self) -> list[Any]:
        """Keras callbacks that report every epoch of a ``fit``."""
        return [_ReportEpochs(self)]

    @property
    def last_step(self) -> int:
        """The step of the last report; 0 before the first."""
        return self._rows[-1][0] if self._rows else 0

    def make_optimizer(self, learning_rate: Any = None) -> Any:
        """A further optimizer of the run, for models that have several.

        Args:
            learning_rate: in place of the run's, such as half of it.
        """
        made = self._make(learning_rate)
        self.made.append(made)
        return made

    def report(self, step: int, loss: Any, **metrics: Any) -> None:
        """Report how the training goes.

        Args:
            step: optimizer steps taken so far, growing. A report at step 0 says where
                the training starts; otherwise the first report does.
            loss: of the training.
            **metrics: further quantities, such as ``val_loss``.

        Shapes:
            each value is a scalar: a number, an array or a tensor.

        Raises:
            TypeError: a value is no number.
            ValueError: a step that does not come after the last one.
            RunEndedError: the loss is not finite; do not catch it.
        """
        row = {"loss": loss, **metrics}
        values = {name: _as_float(value, name) for name, value in row.items()}
        last = self._rows[-1][0] if self._rows else -1
        if not step > last:
            raise ValueError(
                f"report needs steps that grow from 0 on; received {step!r} after "
                f"{last}."
            )
        self._rows.append((int(step), values))
        if not math.isfinite(values["loss"]):
            raise RunEndedError

    def write(self, log: TrainingLog, objective: str | None) -> None:
        """Write all reports into a log.

        Args:
            log: empty.
            objective: that was chosen; ``None`` for ``val_loss``, else ``loss``.

        Raises:
            ValueError: nothing was reported, or never the objective.
        """
        names = {name for _, values in self._rows for name in values}
        if self._rows and not math.isfinite(self._rows[-1][1]["loss"]):
            # It may have ended before the objective was reported at all.
            wanted = objective or ("val_loss" if "val_loss" in names else "loss")
            if wanted not in names:
                step, values = self._rows[-1]
                log.objective = wanted
                log.diverged = (
                    f"the training loss became {values['loss']} at step {step}"
                )
                return
        if not self._rows:
            raise ValueError(
                "the training function reported nothing: call "
                "run.report(step, loss=...) in it."
            )
        log.objective = objective or ("val_loss" if "val_loss" in names else "loss")
        if log.objective not in names:
            raise ValueError(
                f"the training function never reported {log.objective!r}, the "
                f"objective; it reported {sorted(names)}."
            )
        seconds = time.perf_counter() - self._started
        rows = self._rows
        judged = [row for row in rows if log.objective in row[1]]
        log.begin({log.objective.removeprefix("val_"): judged[0][1][log.objective]})
        log.plan_steps(rows[-1][0])
        pieces = _pieces(rows, log.objective)
        before = 0
        for piece in pieces:
            ends = np.array([step for step, _ in piece])
            # A report stands for all steps since the one before it.
            losses = np.repeat(
                [values["loss"] for _, values in piece], np.diff(ends, prepend=before)
            )
            taken = int(ends[-1]) - before
            goes_on = log.add_epoch(
                _means(piece), seconds / len(pieces), losses, steps=taken
            )
            before += taken
            if not goes_on:
                break
        log.seconds = seconds


class _ReportEpochs(keras.callbacks.Callback):
    """Reports to the run what ``fit`` logs after each epoch."""

    def __init__(self, run: LoopRun) -> None:
        super().__init__()
        self._run = run
        self._batches = 0

    def on_train_batch_end(self, batch: int, logs: Mapping | None = None) -> None:
        # There may be several steps in one execution.
        self._batches = batch + 1

    def on_epoch_end(self, epoch: int, logs: Mapping | None = None) -> None:
        # After an earlier `fit` of the same run, too.
        self._run.report(self._run.last_step + self._batches, **(logs or {}))


def _pieces(rows: list, objective: str) -> list[list]:
    """The reports as rows of a history, each of which has the objective.

    Reports without it belong to the next one that has it. Too many are put together.
    """
    pieces: list[list] = [[]]
    for row in rows:
        pieces[-1].append(row)
        if objective in row[1]:
            pieces.append([])
    rest = pieces.pop()
    if rest:
        pieces[-1] += rest
    if len(pieces) <= MOST_ROWS:
        return pieces
    ends = np.linspace(0, len(pieces), MOST_ROWS // 2 + 1).round().astype(int)
    return [
        [row for piece in pieces[start:end] for row in piece]
        for start, end in itertools.pairwise(ends)
    ]


def _means(piece: list) -> dict[str, float]:
    """The mean of each quantity over the reports that have it."""
    names = dict.fromkeys(name for _, values in piece for name in values)
    return {
        name: float(np.mean([values[name] for _, values in piece if name in values]))
        for name in names
    }


def _as_float(value: Any, name: str) -> float:
    try:
        return float(keras.ops.convert_to_numpy(value))
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"report needs a single number for {name!r}; received {value!r:.100}."
        ) from error

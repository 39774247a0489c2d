"""What a budget trains, as plain data, and about how long that takes.

The times in `COSTS` were measured with one run at a time on two cores of an AMD EPYC on
2026-11-25, while other jobs ran (TensorFlow 2.21.0, Keras 3.15.1).
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tuning.claims.contenders import STORAGES

EXPLODING = "tuning.workloads.exploding"


@dataclasses.dataclass(frozen=True)
class PlannedSweep:
    """One workload of a budget.

    Attributes:
        workload: a built-in name, or ``package.module:attribute``.
        batch_sizes: examples per step.
        epochs: passes over the training data.
        examples: number of training examples, from the first on; ``None`` for all.
        kind: ``"applications"`` or ``"exploding"``.
    """

    workload: str
    batch_sizes: tuple[int, ...]
    epochs: int
    examples: int | None = None
    kind: str = "applications"

    @property
    def directory(self) -> str:
        """Name of the sweep's directory, made from the workload's name."""
        return {
            f"{EXPLODING}:DEEP": "exploding-deep",
            f"{EXPLODING}:RECURRENT": "exploding-recurrent",
        }.get(self.workload, self.workload.replace(":", "-"))


@dataclasses.dataclass(frozen=True)
class PeakModel:
    """The model on which peak memory is measured: dense layers, nearly all weights.

    Attributes:
        width: inputs and outputs of each layer.
        layers: number of layers.
        rounds: how often each optimizer is measured.
    """

    width: int
    layers: int
    rounds: int

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return self.layers * (self.width + 1) * self.width


@dataclasses.dataclass(frozen=True)
class Budget:
    """What is trained, and the time limit for it.

    Attributes:
        name: as on the command line.
        limit_seconds: on two cores; the plan's estimate lies below it.
        learning_rates: of every sweep, including the defaults of all contenders.
        seeds: number of seeds.
        sweeps: one per workload.
        peak_model: for peak memory.
    """

    name: str
    limit_seconds: float
    learning_rates: tuple[float, ...]
    seeds: int
    sweeps: tuple[PlannedSweep, ...]
    peak_model: PeakModel


BUDGETS: Mapping[str, Budget] = {
    "small": Budget(
        name="small",
        limit_seconds=15 * 60,
        learning_rates=(1e-4, 1e-3, 1e-2, 1e-1, 1.0),
        seeds=2,
        sweeps=(
            PlannedSweep("digits", (16, 256), 8),
            PlannedSweep("detection", (16,), 2, 480),
            PlannedSweep("segmentation", (16,), 1, 560),
            PlannedSweep("topics", (16, 64), 3),
            PlannedSweep("sentiment", (32,), 4),
            PlannedSweep("language-model", (32,), 1, 960),
            PlannedSweep("speech-to-text", (16,), 2, 320),
            PlannedSweep("speakers", (16, 64), 6),
            PlannedSweep(f"{EXPLODING}:DEEP", (64,), 6, kind="exploding"),
        ),
        peak_model=PeakModel(width=2048, layers=4, rounds=2),
    ),
    "full": Budget(
        name="full",
        limit_seconds=3 * 3600,
        learning_rates=(1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0),
        seeds=3,
        sweeps=(
            PlannedSweep("digits", (16, 64, 256), 15),
            PlannedSweep("detection", (16, 32, 128), 4),
            PlannedSweep("segmentation", (16, 32, 128), 3),
            PlannedSweep("topics", (16, 64, 256), 10),
            PlannedSweep("sentiment", (16, 64, 256), 6),
            PlannedSweep("language-model", (16, 32, 128), 1),
            PlannedSweep("speech-to-text", (8, 16, 64), 4),
            PlannedSweep("speakers", (16, 64, 256), 15),
            PlannedSweep(f"{EXPLODING}:DEEP", (16, 64, 256), 10, kind="exploding"),
            PlannedSweep(f"{EXPLODING}:RECURRENT", (64, 256), 10, kind="exploding"),
        ),
        peak_model=PeakModel(width=4096, layers=6, rounds=3),
    ),
}
"""Every budget by its name."""


class Cost(NamedTuple):
    """Times of a workload, in seconds.

    Attributes:
        examples: number of training examples.
        start: loading its data and planning the sweep.
        compile_evaluation: once per optimizer.
        compile_training: once per optimizer and batch size.
        evaluation: once per epoch, and once before the first.
        step: by batch size.
    """

    examples: int
    start: float
    compile_evaluation: float
    compile_training: float
    evaluation: float
    step: Mapping[int, float]


COSTS: Mapping[str, Cost] = {
    "digits": Cost(1437, 1, 0.9, 1.3, 0.005, {16: 3e-4, 64: 4e-4, 256: 2.2e-3}),
    "detection": Cost(1200, 2, 2.2, 2.1, 0.08, {16: 9e-3, 32: 0.013, 128: 0.034}),
    "segmentation": Cost(1200, 2, 1.4, 1.2, 0.18, {16: 0.016, 32: 0.028, 128: 0.065}),
    "topics": Cost(831, 1, 0.4, 2.0, 0.015, {16: 4e-3, 64: 4.5e-3, 256: 8e-3}),
    "sentiment": Cost(
        2400, 1, 2.4, 4.5, 0.04, {16: 3e-3, 32: 4e-3, 64: 5.5e-3, 256: 0.017}
    ),
    "language-model": Cost(4730, 1, 2.5, 6.0, 0.24, {16: 0.012, 32: 0.02, 128: 0.07}),
    "speech-to-text": Cost(800, 5, 2.3, 3.0, 0.09, {8: 0.02, 16: 0.026, 64: 0.041}),
    "speakers": Cost(900, 4, 1.0, 1.6, 0.012, {16: 8e-4, 64: 1.3e-3, 256: 5e-3}),
    "exploding-deep": Cost(1437, 1, 2.0, 3.0, 0.005, {16: 1e-3, 64: 1e-3, 256: 4e-3}),
    "exploding-recurrent": Cost(1437, 1, 1.5, 3.0, 0.03, {64: 4e-3, 256: 8e-3}),
}
"""Times by the name of a sweep's directory."""

BETWEEN_RUNS = 0.05
"""Seconds between two runs: weights are reset, the record and the logs are written."""

SECONDS_PER_PEAK_GIGABYTE = 8.5
"""Seconds that a process needs to measure peak memory, for each 10^9 bytes of its
model's weights. Its start takes `SECONDS_PER_PROCESS` in addition."""

SECONDS_PER_PROCESS = 6.2


PARALLEL_EXPONENT = 0.4
"""n workers are ``n ** 0.4`` times as fast as one, including their start, if each has a
core. Measured with two workers while other jobs ran: 1.9 times on digits, 1.2 on
detection, 1.1 on the language model, 1.3 in all."""


class PlannedPart(NamedTuple):
    """About how long one part of a budget takes.

    Attributes:
        name: the sweep's directory, or ``"memory"``.
        runs: trainings.
        seconds: of all of them, compiling included.
    """

    name: str
    runs: int
    seconds: float


def default_workers() -> int:
    """Two, for which the budgets are made; one on a machine with a single core."""
    return min(2, os.cpu_count() or 1)


def estimate(
    budget: Budget, contenders: Sequence[str], workers: int = 1
) -> list[PlannedPart]:
    """About how long each sweep of a budget takes, and the measurement of memory."""
    gain = workers**PARALLEL_EXPONENT
    found = []
    for sweep in budget.sweeps:
        alone = _estimate_sweep(budget, sweep, contenders)
        found.append(alone._replace(seconds=alone.seconds / gain))
    model = budget.peak_model
    processes = model.rounds * (len(contenders) + len(STORAGES))
    gigabytes = model.parameters * 4 / 1e9
    seconds = SECONDS_PER_PROCESS + SECONDS_PER_PEAK_GIGABYTE * gigabytes
    return [PlannedPart("memory", processes, processes * seconds), *found]


def _estimate_sweep(
    budget: Budget, sweep: PlannedSweep, contenders: Sequence[str]
) -> PlannedPart:
    cost = COSTS[sweep.directory]
    examples = min(cost.examples, sweep.examples or cost.examples)
    runs_per_size = len(budget.learning_rates) * budget.seeds
    seconds = 0.0
    for size in sweep.batch_sizes:
        epoch = math.ceil(examples / size) * cost.step[size] + cost.evaluation
        run = sweep.epochs * epoch + cost.evaluation + BETWEEN_RUNS
        seconds += cost.compile_training + runs_per_size * run
    seconds = len(contenders) * (cost.compile_evaluation + seconds) + cost.start
    runs = len(contenders) * len(sweep.batch_sizes) * runs_per_size
    return PlannedPart(sweep.directory, runs, seconds)

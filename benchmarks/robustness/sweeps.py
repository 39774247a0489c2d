"""The runs of the robustness benchmark: sweeps of the lab, one per task and contender.

``OUT/TASK/SCHEDULE-LENGTH/batch=B/CONTENDER/seeds=S`` is a directory of a sweep, which
`tuning.run_sweep` fills and continues. More contenders or seeds get directories of
their own next to it, so nothing is run twice.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.robustness.contenders import Contender
from benchmarks.robustness.tasks import BATCH_SIZE, EPOCHS, TASKS, Task
from tuning import Data, RunRecord, Workload, run_sweep
from tuning.runs_file import RUNS_FILE, read_records

logger = logging.getLogger(__name__)

RATES = tuple(float(f"{10 ** (exponent / 2):.3g}") for exponent in range(-10, 2))
"""Half decades from 1e-5 to 3.16."""

PRETRAINING_STEPS = 3000


@dataclasses.dataclass(frozen=True)
class Setting:
    """All that decides a curve of losses over learning rates, except the contender.

    Attributes:
        task: its name.
        schedule: of the learning rate.
        length: of a run, in steps of `BATCH_SIZE` examples.
        batch_size: examples per step. It changes the number of steps, not of examples.
    """

    task: str
    schedule: str
    length: int
    batch_size: int

    @property
    def path(self) -> Path:
        """The setting's directory below the benchmark's."""
        return Path(
            self.task, f"{self.schedule}-{self.length}", f"batch={self.batch_size}"
        )


def limit_threads(count: int) -> None:
    """Set TensorFlow's number of threads; call this before it computes anything.

    Steps as small as these gain nothing from a second thread, but another process may.
    """
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(count)
    tf.config.threading.set_inter_op_parallelism_threads(count)


def run(
    out: Path,
    setting: Setting,
    name: str,
    contender: Contender,
    seeds: Sequence[int],
    progress: Callable[[Any], None] | None = None,
    rates: Sequence[float] | None = None,
) -> None:
    """Train a contender's missing runs in a setting, at ``rates`` or `RATES`.

    Raises:
        ValueError: a directory holds another sweep, or another process runs the sweep.
    """
    directory = out / setting.path / name
    known = [_seeds_of(path) for path in directory.glob("seeds=*")]
    missing = sorted(set(seeds) - {seed for group in known for seed in group})
    workload = workload_of(setting, out)
    for group in [*known, *([missing] if missing else [])]:
        if not set(group) & set(seeds):
            continue
        run_sweep(
            workload,
            directory / f"seeds={','.join(map(str, group))}",
            optimizers={name: contender.factory()},
            options={name: dict(contender.options)},
            learning_rates=rates or RATES,
            batch_sizes=(setting.batch_size,),
            seeds=group,
            schedule=setting.schedule,
            progress=progress,
        )


def records_of(out: Path, setting: Setting, name: str) -> list[RunRecord]:
    """The existing records of a contender in a setting."""
    directories = sorted((out / setting.path / name).glob("seeds=*"))
    return [
        record
        for directory in directories
        if (directory / RUNS_FILE).is_file()
        for record in read_records(directory)
    ]


def contenders_in(out: Path, setting: Setting) -> Iterator[str]:
    """Names of the contenders that have a sweep in a setting."""
    for directory in sorted((out / setting.path).glob("*")):
        if any(directory.glob("seeds=*")):
            yield directory.name


def workload_of(setting: Setting, out: Path) -> Workload:
    """The task as the lab trains it."""
    task = TASKS[setting.task]
    per_epoch = setting.length * BATCH_SIZE // EPOCHS
    build = task.build
    if task.pretrain is not None:
        weights = pretrained_weights(setting.task, task, out)
        build = functools.partial(_build_pretrained, task, weights)
    return Workload(
        name=setting.task,
        build_model=build,
        load_data=task.load,
        loss=task.loss,
        epochs=EPOCHS,
        examples_per_epoch=per_epoch,
        description=f"{task.family}, {setting.length} steps of {BATCH_SIZE} examples.",
    )


def pretrained_weights(name: str, task: Task, out: Path) -> list[np.ndarray]:
    """Weights pretrained on other data; trained once and kept in ``out``."""
    import keras

    path = out / "pretrained" / f"{name}.npz"
    if not path.exists():
        print(f"{name}: weights are trained for it first", flush=True)
        keras.utils.set_random_seed(0)
        model = task.build()
        data: Data = task.pretrain() if task.pretrain else task.load()
        model.compile(keras.optimizers.Adam(1e-3), task.loss, jit_compile=True)
        epochs = max(1, PRETRAINING_STEPS * BATCH_SIZE // len(data.x_train))
        model.fit(data.x_train, data.y_train, BATCH_SIZE, epochs, verbose=0)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".new.npz")
        np.savez(unfinished, *model.get_weights())
        unfinished.replace(path)
    with np.load(path) as stored:
        return [stored[key] for key in stored]


def _build_pretrained(task: Task, weights: Sequence[np.ndarray]) -> Any:
    model = task.build()
    model.set_weights(list(weights))
    return model


def _seeds_of(directory: Path) -> list[int]:
    return [int(seed) for seed in directory.name.removeprefix("seeds=").split(",")]

"""Compiled epochs against Keras's own fit: the same losses, in what share of time?

    python benchmarks/lab/fast_path.py [--runs 20] [--epochs 15] [--batch-size 64]

For every built-in optimizer on the digits workload, and for a model with Dropout and
BatchNormalization, it prints

* the largest relative difference of any loss of any epoch, to ``fit`` compiled with
  ``jit_compile=True`` and to ``fit`` with default settings;
* seconds per run with ``fit``, including a new model and trace, as a tuner does it;
* seconds per run in compiled epochs, with tracing and compiling shared by the runs
  that share it in a sweep (``--runs``: learning rates times seeds).

XLA rounds differently from TensorFlow's own kernels, and training amplifies the
difference; fewer ``--epochs`` show how it grows. Inside XLA TensorFlow also draws other
random numbers, so with Dropout only the compiled ``fit`` can be compared.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# A script finds only modules next to it; the path of the root adds the others.
sys.path.insert(0, str(Path(__file__).parents[2]))

import keras
import numpy as np

from benchmarks.results import print_table, write_results
from tuning.grid import Run
from tuning.optimizer_names import SWEPT_BY_DEFAULT
from tuning.trainers.data_order import epoch_order, evaluation_batch
from tuning.trainers.optimizers import build_optimizer
from tuning.trainers.task import Task
from tuning.trainers.trainer import Trainer
from tuning.workload import Data, Workload
from tuning.workloads import find_workload

RATE = 0.01


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--batch-size", type=int, default=64)
    arguments = parser.parse_args()

    digits = find_workload("digits")
    noisy = dataclasses.replace(digits, build_model=build_noisy_model)
    data = digits.load_data()
    figures = []
    rows = [(name, "plain", digits) for name in SWEPT_BY_DEFAULT]
    rows.append(("keras_adam.Adam", "dropout, batch norm", noisy))
    for name, label, workload in rows:
        run = Run(name, arguments.batch_size, RATE, seed=0)
        compiled = compare(workload, data, run, arguments.epochs, jit_compile=True)
        plain = None
        if workload is digits:
            plain = compare(workload, data, run, arguments.epochs, "auto")
        slow = time_fit(workload, data, run, arguments.epochs)
        fast = time_compiled(workload, data, run, arguments.epochs, arguments.runs)
        figures.append(
            {
                "optimizer": name,
                "model": label,
                "difference_to_compiled_fit": compiled,
                "difference_to_fit": plain,
                "fit_seconds": slow,
                "compiled_epochs_seconds": fast,
                "times_faster": slow / fast,
            }
        )
        print(f"{name}, {label}: done", flush=True)
    print_table(
        figures,
        {
            "optimizer": "optimizer",
            "model": "model",
            "difference_to_compiled_fit": "difference to compiled fit",
            "difference_to_fit": "to fit",
            "fit_seconds": "fit, s",
            "compiled_epochs_seconds": "compiled epochs, s",
            "times_faster": "times faster",
        },
    )
    print(f"written: {write_results('fast_path', figures).name}")


def build_noisy_model() -> Any:
    return keras.Sequential(
        [
            keras.layers.Input((64,)),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(10),
        ]
    )


def compare(
    workload: Workload, data: Data, run: Run, epochs: int, jit_compile: bool | str
) -> float:
    """Largest relative difference of any epoch's training or validation loss."""
    trainer = Trainer(Task(workload, data, epochs=epochs, execution="compiled-epochs"))
    record = trainer.run(run)
    model = build_and_compile(workload, run, jit_compile)
    worst = 0.0
    for epoch in range(epochs):
        order = epoch_order(len(data.x_train), run.seed, epoch)
        logs = model.fit(
            data.x_train[order],
            data.y_train[order],
            batch_size=run.batch_size,
            shuffle=False,
            validation_data=(data.x_val, data.y_val),
            validation_batch_size=evaluation_batch(len(data.x_val)),
            verbose=0,
        ).history
        for loss in ("loss", "val_loss"):
            expected = logs[loss][0]
            worst = max(worst, abs(record.history[loss][epoch] / expected - 1))
    return worst


def time_fit(workload: Workload, data: Data, run: Run, epochs: int) -> float:
    """Median seconds of three whole runs with Keras alone."""
    seconds = []
    for seed in range(3):
        start = time.perf_counter()
        model = build_and_compile(workload, dataclasses.replace(run, seed=seed))
        model.fit(
            data.x_train,
            data.y_train,
            batch_size=run.batch_size,
            epochs=epochs,
            validation_data=(data.x_val, data.y_val),
            validation_batch_size=evaluation_batch(len(data.x_val)),
            verbose=0,
        )
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def time_compiled(
    workload: Workload, data: Data, run: Run, epochs: int, runs: int
) -> float:
    """Seconds per run of ``runs`` runs, including one tracing and compiling."""
    start = time.perf_counter()
    trainer = Trainer(Task(workload, data, epochs=epochs, execution="compiled-epochs"))
    for i in range(runs):
        rate = RATE * (1 + i // 2 / 1000)  # two seeds per rate, all trained alike
        record = trainer.run(dataclasses.replace(run, learning_rate=rate, seed=i % 2))
        if record.status != "ok":
            raise RuntimeError(record.message)
    return (time.perf_counter() - start) / runs


def build_and_compile(
    workload: Workload, run: Run, jit_compile: bool | str = "auto"
) -> Any:
    keras.utils.set_random_seed(run.seed)
    model = workload.build_model()
    model.compile(
        build_optimizer(run.optimizer, run.learning_rate),
        loss=workload.loss,
        metrics=list(workload.metrics()),
        jit_compile=jit_compile,
    )
    return model


if __name__ == "__main__":
    main()

"""What `AdamTelemetry` costs a `model.fit` at its default interval of 100 steps.

    python benchmarks/step/telemetry_cost.py [--models mlp,lstm] [--processes 3]

The models of `fit_time.py` are each trained in one process with the callback and
without, an epoch each in turn. An epoch has as many steps as the interval, so the
callback writes one sample per epoch. There are two figures: the time inside the
callback, as a share of the epoch's other time (precise); and the ratio of the median
epochs with and without it (the user's waiting time, as noisy as the machine). The first
sample, which includes compiling, is given in seconds and not part of the shares. The
optimizers are ours, ours with moments in 8 bits, and Keras's.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

# A script finds only modules next to it; the path of the root adds the others.
sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np

from benchmarks.processes import run_worker
from benchmarks.results import print_table, write_results
from benchmarks.step import fit_time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

EVERY = 100
OPTIMIZERS = ("ours", "ours-8bit", "keras")


def _compiled(name: str, optimizer: str) -> Any:
    import keras

    import keras_adam

    keras.utils.set_random_seed(0)
    model = fit_time.MODELS[name]()
    made = {
        "ours": lambda: keras_adam.Adam(1e-3),
        "ours-8bit": lambda: keras_adam.Adam(1e-3, moment_storage="8bit"),
        "keras": lambda: keras.optimizers.Adam(1e-3),
    }[optimizer]()
    model.compile(made, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def _timed_telemetry(directory: str) -> Any:
    """The callback, which counts the seconds spent in it as ``spent``."""
    import keras_adam

    class Timed(keras_adam.AdamTelemetry):
        spent = 0.0

    def timed(name: str) -> Any:
        method = getattr(keras_adam.AdamTelemetry, name)

        def call(self: Any, *arguments: Any, **options: Any) -> None:
            start = time.perf_counter()
            method(self, *arguments, **options)
            self.spent += time.perf_counter() - start

        return call

    for name in (
        "on_train_begin",
        "on_train_batch_begin",
        "on_test_begin",
        "on_epoch_end",
        "on_train_end",
    ):
        setattr(Timed, name, timed(name))
    return Timed(directory, every=EVERY)


def _epoch_seconds(model: Any, x: Any, y: Any, callbacks: list[Any]) -> float:
    start = time.perf_counter()
    model.fit(
        x,
        y,
        batch_size=fit_time.BATCH_SIZE,
        shuffle=False,
        verbose=0,
        callbacks=callbacks,
    )
    return time.perf_counter() - start


def measure(name: str, optimizer: str, epochs: int) -> dict[str, float]:
    """Train one model with the callback and without, an epoch each in turn."""
    plain, observed = _compiled(name, optimizer), _compiled(name, optimizer)
    x = fit_time._inputs(plain)
    repeats = -(-EVERY * fit_time.BATCH_SIZE // len(x))
    x = np.concatenate([x] * repeats)[: EVERY * fit_time.BATCH_SIZE]
    y = np.arange(len(x)) % fit_time.CLASSES
    with tempfile.TemporaryDirectory() as directory:
        telemetry = _timed_telemetry(directory)
        _epoch_seconds(plain, x, y, [])
        _epoch_seconds(observed, x, y, [telemetry])
        first, seconds, shares = telemetry.spent, {"plain": [], "observed": []}, []

        def train_plain() -> None:
            seconds["plain"].append(_epoch_seconds(plain, x, y, []))

        def train_observed() -> None:
            telemetry.spent = 0.0
            epoch = _epoch_seconds(observed, x, y, [telemetry])
            seconds["observed"].append(epoch)
            shares.append(telemetry.spent / (epoch - telemetry.spent))

        for epoch in range(epochs):
            for train in (train_plain, train_observed)[:: 1 if epoch % 2 else -1]:
                train()
    medians = {key: statistics.median(found) for key, found in seconds.items()}
    return {
        "step_ms": 1e3 * medians["plain"] / EVERY,
        "share_percent": 100 * statistics.median(shares),
        "sample_ms": 1e3
        * statistics.median(
            [s * e / (1 + s) for s, e in zip(shares, seconds["observed"], strict=True)]
        ),
        "ratio": medians["observed"] / medians["plain"],
        "first_sample_seconds": first,
    }


def compare(name: str, optimizer: str, processes: int, epochs: int) -> dict[str, Any]:
    """Several processes, medians over them."""
    runs = [
        run_worker(__file__, [name, optimizer, str(epochs)]) for _ in range(processes)
    ]
    row = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    highest = max(run["share_percent"] for run in runs)
    return {
        "model": name,
        "optimizer": optimizer,
        **row,
        "highest_share_percent": highest,
    }


COLUMNS = {
    "model": "model",
    "optimizer": "optimizer",
    "step_ms": "ms per step",
    "sample_ms": "ms per sample",
    "share_percent": "cost, %",
    "highest_share_percent": "highest",
    "ratio": "epochs with / without",
    "first_sample_seconds": "first sample, s",
}


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        name, optimizer, epochs = sys.argv[2:]
        print(json.dumps(measure(name, optimizer, int(epochs))))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default=",".join(fit_time.MODELS))
    parser.add_argument("--optimizers", default=",".join(OPTIMIZERS))
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--part", default="", help="of the results' name")
    arguments = parser.parse_args()
    rows = []
    for name in arguments.models.split(","):
        for optimizer in arguments.optimizers.split(","):
            rows.append(compare(name, optimizer, arguments.processes, arguments.epochs))
            print_table(rows[-1:], COLUMNS)
    note = "other jobs ran on the machine"
    path = write_results("telemetry_cost", rows, arguments.part, every=EVERY, note=note)
    print(f"written: {path.name}")


if __name__ == "__main__":
    main()

"""How long sweeps take: the whole `make sweep`, and ours beside KerasTuner's own.

    python benchmarks/sweep_time.py [--rounds 3]

Two measurements, each a process of its own with start-up included:

* the sweep of ``make sweep`` (all its runs, TensorBoard and report written);
* 27 runs of the digits perceptron with Keras's Adam (3 rates x 3 batch sizes x 3
  seeds, 10 epochs) through ``keras_tuner.GridSearch`` with the seed as one more
  hyperparameter, and the same grid through ours, in turn, ``--rounds`` times.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from results import print_table, write_results

RATES = (1e-3, 3e-3, 1e-2)
BATCH_SIZES = (16, 64, 256)
SEEDS = (0, 1, 2)
EPOCHS = 10


def sweep_by_keras_tuner(directory: str) -> None:
    """The grid as a KerasTuner user writes it."""
    import keras
    import keras_tuner

    from tuning.workloads import find_workload

    digits = find_workload("digits")
    x_train, y_train, x_val, y_val = digits.load_data()

    class Digits(keras_tuner.HyperModel):
        def build(self, hp: Any) -> Any:
            keras.utils.set_random_seed(hp.Choice("seed", list(SEEDS)))
            model = digits.build_model()
            model.compile(
                keras.optimizers.Adam(hp.Choice("learning_rate", list(RATES))),
                loss=digits.loss,
                metrics=list(digits.metrics()),
            )
            return model

        def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
            size = hp.Choice("batch_size", list(BATCH_SIZES))
            return model.fit(*args, batch_size=size, **kwargs)

    tuner = keras_tuner.GridSearch(
        Digits(),
        "val_loss",
        max_trials=1000,
        directory=directory,
        project_name="stock",
    )
    tuner.search(
        x_train,
        y_train,
        epochs=EPOCHS,
        validation_data=(x_val, y_val),
        verbose=0,
        callbacks=[keras.callbacks.TensorBoard(f"{directory}/tensorboard")],
    )
    found = len(tuner.oracle.trials)
    if found != len(RATES) * len(BATCH_SIZES) * len(SEEDS):
        raise RuntimeError(f"KerasTuner ran {found} trials")


def sweep_by_ours(directory: str) -> None:
    """The same grid through `tuning.run_sweep`."""
    import tuning

    tuning.run_sweep(
        "digits",
        Path(directory) / "ours",
        optimizers=["keras-adam"],
        learning_rates=RATES,
        batch_sizes=BATCH_SIZES,
        seeds=SEEDS,
        epochs=EPOCHS,
    )


def seconds_of(command: list[str]) -> float:
    start = time.perf_counter()
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(f"{command}: {result.stderr[-2000:]}")
    return time.perf_counter() - start


def measure_whole_sweep() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "digits"
        script = Path(sys.executable).with_name("keras-adam-sweep")
        seconds = seconds_of([str(script), "run", "digits", "--out", str(out)])
        runs = (out / "runs.jsonl").read_text().splitlines()
        training = sum(json.loads(line)["seconds"] for line in runs)
    return {
        "sweep": "make sweep",
        "runs": len(runs),
        "seconds": seconds,
        "training_seconds": training,
    }


def measure_both(rounds: int) -> list[dict[str, Any]]:
    times: dict[str, list[float]] = {"keras_tuner.GridSearch": [], "ours": []}
    for _ in range(rounds):
        for name, kind in (("keras_tuner.GridSearch", "stock"), ("ours", "ours")):
            with tempfile.TemporaryDirectory() as directory:
                command = [sys.executable, __file__, "--worker", kind, directory]
                times[name].append(seconds_of(command))
    ratios = [
        stock / ours
        for stock, ours in zip(
            times["keras_tuner.GridSearch"], times["ours"], strict=True
        )
    ]
    return [
        {
            "sweep": f"27 runs, {name}",
            "runs": 27,
            "seconds": statistics.median(seconds),
            "times_faster": statistics.median(ratios) if name == "ours" else None,
        }
        for name, seconds in times.items()
    ]


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        {"stock": sweep_by_keras_tuner, "ours": sweep_by_ours}[sys.argv[2]](sys.argv[3])
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    rows = [measure_whole_sweep(), *measure_both(arguments.rounds)]
    print_table(
        rows,
        {
            "sweep": "sweep",
            "runs": "runs",
            "seconds": "seconds",
            "training_seconds": "of these training",
            "times_faster": "times faster",
        },
    )
    print(f"written: {write_results('sweep_time', rows).name}")


if __name__ == "__main__":
    main()

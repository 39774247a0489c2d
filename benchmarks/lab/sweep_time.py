"""How long sweeps take: the whole `make sweep`, and ours beside KerasTuner's own.

    python benchmarks/lab/sweep_time.py [--rounds 3]
                                        [--cases digits,convnet,transformer]

Two measurements, each in a separate process:

* the sweep of ``make sweep`` with all its runs, TensorBoard and report, including
  start-up; ``--no-make-sweep`` leaves it out;
* the grids of `sweep_cases.py` (27 runs of the digits perceptron, 12 each of a small
  convnet and a small transformer, with Keras's Adam). ``keras_tuner.GridSearch``, with
  the seed as one more hyperparameter, and our sweep run them in turn, ``--rounds``
  times. Times are of whole processes, and of the search without start-up and loading.
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

# A script finds only modules next to it; the path of the root adds the others.
sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.results import print_table, write_results


def sweep_by_keras_tuner(name: str, directory: str) -> float:
    """Run the grid as a KerasTuner user would; return the seconds of the search."""
    import keras
    import keras_tuner

    from benchmarks.lab.sweep_cases import CASES

    case = CASES[name]
    workload = case.workload
    x_train, y_train, x_val, y_val = workload.load_data()

    class Model(keras_tuner.HyperModel):
        def build(self, hp: Any) -> Any:
            keras.utils.set_random_seed(hp.Choice("seed", list(case.seeds)))
            model = workload.build_model()
            model.compile(
                keras.optimizers.Adam(hp.Choice("learning_rate", list(case.rates))),
                loss=workload.loss,
                metrics=list(workload.metrics()),
            )
            return model

        def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
            size = hp.Choice("batch_size", list(case.batch_sizes))
            return model.fit(*args, batch_size=size, **kwargs)

    start = time.perf_counter()
    tuner = keras_tuner.GridSearch(
        Model(),
        "val_loss",
        max_trials=1000,
        directory=directory,
        project_name="stock",
    )
    tuner.search(
        x_train,
        y_train,
        epochs=case.epochs,
        validation_data=(x_val, y_val),
        verbose=0,
        callbacks=[keras.callbacks.TensorBoard(f"{directory}/tensorboard")],
    )
    seconds = time.perf_counter() - start
    if len(tuner.oracle.trials) != case.runs:
        raise RuntimeError(f"KerasTuner ran {len(tuner.oracle.trials)} trials")
    return seconds


def sweep_by_ours(name: str, directory: str) -> float:
    """Run the same grid with `tuning.run_sweep`; return the seconds of the sweep."""
    from benchmarks.lab.sweep_cases import CASES
    from tuning.sweep import run as sweep

    case = CASES[name]
    start = time.perf_counter()
    records = sweep.run_sweep(
        case.workload,
        Path(directory) / "ours",
        optimizers=["keras.Adam"],
        learning_rates=case.rates,
        batch_sizes=case.batch_sizes,
        seeds=case.seeds,
        epochs=case.epochs,
    )
    seconds = time.perf_counter() - start
    if "model.fit" in {record.execution for record in records}:
        raise RuntimeError("a run did not take the fast path")
    return seconds


def run(command: list[str]) -> str:
    """Run a command and return its standard output."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(f"{command}: {result.stderr[-2000:]}")
    return result.stdout


def measure_whole_sweep() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "digits"
        script = Path(sys.executable).with_name("keras-adam-sweep")
        start = time.perf_counter()
        run([str(script), "run", "digits", "--out", str(out)])
        seconds = time.perf_counter() - start
        runs = (out / "runs.jsonl").read_text().splitlines()
        training = sum(json.loads(line)["seconds"] for line in runs)
    return {
        "sweep": "make sweep",
        "runs": len(runs),
        "seconds": seconds,
        "training_seconds": training,
    }


def measure_both(name: str, rounds: int) -> list[dict[str, Any]]:
    from benchmarks.lab.sweep_cases import CASES

    kinds = {"keras_tuner.GridSearch": "stock", "ours": "ours"}
    whole: dict[str, list[float]] = {kind: [] for kind in kinds}
    search: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for kind, word in kinds.items():
            with tempfile.TemporaryDirectory() as directory:
                command = [sys.executable, __file__, "--worker", word, name, directory]
                start = time.perf_counter()
                output = run(command)
                whole[kind].append(time.perf_counter() - start)
                search[kind].append(float(output.splitlines()[-1]))
            print(name, kind, whole[kind][-1], search[kind][-1], flush=True)

    def times_faster(seconds: dict[str, list[float]]) -> float:
        pairs = zip(seconds["keras_tuner.GridSearch"], seconds["ours"], strict=True)
        return statistics.median(stock / ours for stock, ours in pairs)

    return [
        {
            "sweep": f"{name}, {kind}",
            "runs": CASES[name].runs,
            "seconds": statistics.median(whole[kind]),
            "search_seconds": statistics.median(search[kind]),
            "times_faster": times_faster(whole) if kind == "ours" else None,
            "search_times_faster": times_faster(search) if kind == "ours" else None,
        }
        for kind in kinds
    ]


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        sweep = {"stock": sweep_by_keras_tuner, "ours": sweep_by_ours}[sys.argv[2]]
        print(sweep(*sys.argv[3:5]))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", default="digits,convnet,transformer")
    parser.add_argument(
        "--make-sweep", action=argparse.BooleanOptionalAction, default=True
    )
    arguments = parser.parse_args()
    rows = [measure_whole_sweep()] if arguments.make_sweep else []
    for name in arguments.cases.split(","):
        rows += measure_both(name, arguments.rounds)
    print_table(
        rows,
        {
            "sweep": "sweep",
            "runs": "runs",
            "seconds": "seconds",
            "training_seconds": "of these training",
            "search_seconds": "without start-up",
            "times_faster": "times faster",
            "search_times_faster": "without start-up",
        },
    )
    print(f"written: {write_results('sweep_time', rows).name}")


if __name__ == "__main__":
    main()

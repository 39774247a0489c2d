"""What a smaller storage of moments costs: the loss beside float32's, in pairs.

    python benchmarks/memory/storage_quality.py [--tasks 'digits, convnet'] [--seeds 5]
                                                [--contenders ours,peers]

A seed decides the initial weights and the order of batches, the same for every storage.
Reported per task and storage:

* the difference of the validation loss from that of float32 Adam in the same library,
  in percent, with a 95 % interval of the paired differences (Student's t);
* the same for the mean training loss over the last fifth of the steps;
* the number of runs that diverged.

The learning rate is Adam's usual 1e-3; ``--rate-factor 3`` triples it.

The peers are the packages bitsandbytes and torchao, which train the same models with
Keras's torch backend, and torch's own Adam as their baseline. Peers that are not
installed, or do not run on this machine, are left out with a message.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

# A script finds only modules next to it; the path of the root adds the others.
sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np

from benchmarks.memory.storage_tasks import TASKS, Task
from benchmarks.processes import run_worker
from benchmarks.results import print_table, write_results

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

OURS = {name: f"ours, {name}" for name in ("float32", "bfloat16", "8bit")}
PEERS = {
    "torch Adam": ("torch.optim", "Adam", {}),
    "bitsandbytes Adam8bit": ("bitsandbytes.optim", "Adam8bit", {}),
    "torchao Adam8bit": ("torchao.optim", "Adam8bit", {}),
    "torchao AdamFp8": ("torchao.optim", "AdamFp8", {}),
    "torchao Adam4bit": ("torchao.optim", "Adam4bit", {}),
}
"""Module, name and options of each class; the baseline first."""

EPSILON = 1e-7


def batches(task: Task, size: int, seed: int) -> np.ndarray:
    """The examples of every step: ``[steps, batch_size]``, without replacement."""
    rng = np.random.default_rng(seed)
    needed = task.steps * task.batch_size
    orders = [rng.permutation(size) for _ in range(-(-needed // size))]
    return np.concatenate(orders)[:needed].reshape(task.steps, task.batch_size)


def train_ours(task: Task, storage: str, rate: float, seed: int) -> dict[str, Any]:
    """One run of our Adam on TensorFlow: loss of every step, and validation loss."""
    import keras
    import tensorflow as tf

    import keras_adam

    keras.utils.set_random_seed(seed)
    model = task.build()
    optimizer = keras_adam.Adam(rate, epsilon=EPSILON, moment_storage=storage)
    optimizer.build(model.trainable_variables)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    x, y, x_val, y_val = task.load()

    @tf.function(jit_compile=True, autograph=False)
    def step(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            value = loss(y, model(x, training=True))
        gradients = tape.gradient(value, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        return value

    losses = [step(x[rows], y[rows]) for rows in batches(task, len(x), seed)]
    model.compile(loss=loss)
    return {
        "train": [float(one) for one in losses],
        "val": model.evaluate(x_val, y_val, batch_size=512, verbose=0),
        "state_bytes": optimizer.state_bytes,
    }


def train_peer(task: Task, name: str, rate: float, seed: int) -> dict[str, Any]:
    """One run of a peer on Keras's torch backend: the same losses."""
    import importlib

    import keras
    import torch

    torch.set_num_threads(os.cpu_count() or 1)
    module, cls, options = PEERS[name]
    keras.utils.set_random_seed(seed)
    model = task.build()
    x, y, x_val, y_val = task.load()
    weights = [variable.value for variable in model.trainable_variables]
    make = getattr(importlib.import_module(module), cls)
    optimizer = make(weights, lr=rate, eps=EPSILON, **options)
    loss = torch.nn.CrossEntropyLoss()

    def loss_of(x: np.ndarray, y: np.ndarray, training: bool) -> Any:
        logits = model(torch.from_numpy(x), training=training)
        labels = torch.from_numpy(y.reshape(-1)).long()
        return loss(logits.reshape(-1, logits.shape[-1]), labels)

    losses = []
    for rows in batches(task, len(x), seed):
        optimizer.zero_grad()
        value = loss_of(x[rows], y[rows], training=True)
        value.backward()
        optimizer.step()
        losses.append(float(value.detach()))
    with torch.no_grad():
        parts = [
            (float(loss_of(x_val[i : i + 512], y_val[i : i + 512], False)), size)
            for i in range(0, len(x_val), 512)
            for size in [len(x_val[i : i + 512])]
        ]
    val = sum(one * size for one, size in parts) / len(x_val)
    return {"train": losses, "val": val}


def work(task: str, name: str, rate: float, seeds: int) -> None:
    """Train all seeds of one storage in this process, and print a line of JSON."""
    results = []
    storage = {label: storage for storage, label in OURS.items()}.get(name)
    for seed in range(1, seeds + 1):
        start = time.perf_counter()
        if storage:
            run = train_ours(TASKS[task], storage, rate, seed)
        else:
            run = train_peer(TASKS[task], name, rate, seed)
        last = run["train"][-len(run["train"]) // 5 :]
        results.append(
            {
                "val": run["val"],
                "train": statistics.fmean(last),
                "state_bytes": run.get("state_bytes"),
                "seconds": time.perf_counter() - start,
            }
        )
    print(json.dumps({"runs": results}))


def interval(differences: list[float]) -> tuple[float, float, float]:
    """Mean and 95 % interval by Student's t."""
    from scipy import stats

    mean = statistics.fmean(differences)
    half = (
        stats.t.ppf(0.975, len(differences) - 1)
        * statistics.stdev(differences)
        / math.sqrt(len(differences))
    )
    return mean, mean - half, mean + half


def compare(
    task: str, runs: dict[str, list[dict[str, Any]]], baseline: str
) -> list[dict[str, Any]]:
    """Compare each storage with the baseline, seed by seed."""
    rows = []
    for name, results in runs.items():
        row: dict[str, Any] = {
            "task": task,
            "storage": name,
            "val_loss": statistics.fmean(run["val"] for run in results),
            "train_loss": statistics.fmean(run["train"] for run in results),
            "diverged": sum(
                not (math.isfinite(run["val"]) and math.isfinite(run["train"]))
                for run in results
            ),
            "runs": len(results),
            "state_bytes": results[0].get("state_bytes"),
        }
        for kind in ("val", "train"):
            differences = [
                100 * (one[kind] / base[kind] - 1)
                for one, base in zip(results, runs[baseline], strict=True)
            ]
            if name != baseline and all(map(math.isfinite, differences)):
                mean, low, high = interval(differences)
                row[f"{kind}_difference"] = f"{mean:+.2f} ({low:+.2f} ... {high:+.2f})"
                row[f"{kind}_percent"] = [mean, low, high]
        rows.append(row)
    return rows


COLUMNS = {
    "task": "task",
    "storage": "storage",
    "val_loss": "validation loss",
    "val_difference": "difference, %",
    "train_loss": "training loss",
    "train_difference": "difference, %",
    "diverged": "diverged",
    "runs": "runs",
}


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        task, name, rate, seeds = sys.argv[2:]
        work(task, name, float(rate), int(seeds))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", help="separated by ';'; default: all")
    parser.add_argument("--contenders", default="ours,peers")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rate-factor", type=float, default=1.0)
    parser.add_argument("--part", default="", help="suffix of the results' file")
    arguments = parser.parse_args()
    groups = {"ours": list(OURS.values()), "peers": list(PEERS)}
    rows = []
    for task in arguments.tasks.split(";") if arguments.tasks else TASKS:
        rate = TASKS[task].rate * arguments.rate_factor
        for group in arguments.contenders.split(","):
            runs = {}
            for name in groups[group]:
                environment = {"KERAS_BACKEND": "torch"} if group == "peers" else {}
                try:
                    runs[name] = run_worker(
                        __file__,
                        [task, name, str(rate), str(arguments.seeds)],
                        environment,
                    )["runs"]
                except RuntimeError as error:
                    print(f"{name} is left out of {task}: {str(error)[-300:]}")
                    continue
                print(f"{task}: {name} is done", flush=True)
            if groups[group][0] in runs:
                rows += compare(task, runs, groups[group][0])
    print_table(rows, COLUMNS)
    path = write_results(
        "storage_quality", rows, arguments.part, rate_factor=arguments.rate_factor
    )
    print(f"written: {path.name}")


if __name__ == "__main__":
    main()

"""What an optimizer makes of spikes, exploding gradients and unnormalised nets.

    python benchmarks/robustness/stability.py --out OUT [--seeds 3]
        [--tasks spikes,recurrent] [--contenders keras-adam;robust] [--report-only]

Each contender trains each task at seven learning rates from 1e-4 to 0.1, 300 steps of
32 examples. A killed benchmark continues where it stopped. A run is *bad* if its final
validation loss is not finite or above the initial one. It is *unlearnt* if it is not
bad but improved less than half as much as the best run of the task.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# A script finds only modules next to it; the path of the root adds the others.
sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np

from benchmarks.results import print_table, write_results
from benchmarks.robustness import data
from benchmarks.robustness.contenders import Contender
from tuning import Data, RunRecord, Workload, read_records, run_sweep
from tuning.workloads.language_model import CHARACTERS

BATCH_SIZE, EPOCHS, STEPS = 32, 12, 300
RATES = tuple(float(f"{10 ** (exponent / 2):.3g}") for exponent in range(-8, -1))

SPIKE = 1000.0
"""About the factor on the gradient of a batch with a spike."""

STEPS_PER_SPIKE = 40

CONTENDERS: dict[str, Contender] = {
    "keras-adam": Contender("keras.optimizers:Adam", {}, 1e-3),
    "adam-clip": Contender("keras.optimizers:Adam", {"global_clipnorm": 1.0}, 1e-3),
    "rmsprop": Contender("keras.optimizers:RMSprop", {}, 1e-3),
    "adagrad": Contender("keras.optimizers:Adagrad", {}, 1e-3),
    "ours": Contender("keras_adam:Adam", {}, 1e-3),
    "ours, guard": Contender("keras_adam:Adam", {"spike_guard": 5.0}, 1e-3),
    "robust": Contender("keras_adam:Adam.robust", {}, 1e-3),
    "robust, no guard": Contender(
        "keras_adam:Adam.robust", {"spike_guard": None}, 1e-3
    ),
}


def weighted_loss(y_true: Any, y_pred: Any) -> Any:
    """Cross-entropy of logits, weighted by the second column of the targets."""
    import keras

    losses = keras.losses.sparse_categorical_crossentropy(
        y_true[:, :1], y_pred[:, None], from_logits=True
    )
    return losses[:, 0] * y_true[:, 1]


def _weighted(plain: Data, share: float) -> Data:
    """Targets with weights, which make a share of the training examples spikes."""

    def with_weights(labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return np.stack([labels.astype("float32"), weights], axis=1)

    count = len(plain.y_train)
    is_spoilt = np.random.default_rng(0).random(count) < share
    # One example in a batch: the mean over the batch divides by the batch size.
    weights = np.where(is_spoilt, SPIKE * BATCH_SIZE, 1.0).astype("float32")
    return plain._replace(
        y_train=with_weights(plain.y_train, weights),
        y_val=with_weights(plain.y_val, np.ones(len(plain.y_val), "float32")),
    )


def _characters(length: int) -> Data:
    return data.next_characters("reference", length, 9600, 512)


def _spiky() -> Data:
    return _weighted(_characters(8), 1 / (BATCH_SIZE * STEPS_PER_SPIKE))


def _unspoilt(length: int) -> Data:
    return _weighted(_characters(length), 0.0)


def _dense_net() -> Any:
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((8,), dtype="int32"),
            layers.Embedding(CHARACTERS, 16),
            layers.Flatten(),
            layers.Dense(96, activation="relu"),
            layers.Dense(CHARACTERS),
        ]
    )


def _exploding_net() -> Any:
    """A recurrent net whose state grows by half at each of 32 characters."""
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((32,), dtype="int32"),
            layers.Embedding(CHARACTERS, 16),
            layers.SimpleRNN(
                48,
                activation="relu",
                recurrent_initializer=keras.initializers.Orthogonal(gain=1.5),
            ),
            layers.Dense(CHARACTERS),
        ]
    )


def _deep_net() -> Any:
    """Twenty-four dense layers with nothing to keep their outputs in range."""
    import keras

    layers = keras.layers
    hidden = [
        layers.Dense(48, activation="relu", kernel_initializer="he_normal")
        for _ in range(24)
    ]
    return keras.Sequential(
        [
            layers.Input((8,), dtype="int32"),
            layers.Embedding(CHARACTERS, 16, embeddings_initializer="random_normal"),
            layers.Flatten(),
            *hidden,
            layers.Dense(CHARACTERS),
        ]
    )


TASKS = {
    "spikes": (_dense_net, _spiky, "a gradient times 1000 every 40 steps or so"),
    "recurrent": (_exploding_net, lambda: _unspoilt(32), "an exploding recurrent net"),
    "deep": (_deep_net, lambda: _unspoilt(8), "24 layers without normalisation"),
}


def workload_of(task: str) -> Workload:
    """A task as the lab trains it."""
    build, load, description = TASKS[task]
    return Workload(
        name=f"stability-{task}",
        build_model=build,
        load_data=load,
        loss=weighted_loss,
        epochs=EPOCHS,
        examples_per_epoch=STEPS * BATCH_SIZE // EPOCHS,
        description=description,
    )


def row_of(task: str, contender: str, records: list[RunRecord], best: float) -> Any:
    """The figures of a contender's runs on a task.

    Args:
        task: its name.
        contender: its name.
        records: of all rates and seeds.
        best: the best final loss of any contender.
    """

    def final(record: RunRecord) -> float:
        loss = record.final_val_loss
        return math.inf if loss is None or not math.isfinite(loss) else loss

    initial = float(np.median([record.initial_loss for record in records]))
    losses = np.array([final(record) for record in records])
    rates = np.array([record.learning_rate for record in records])
    is_bad = losses > initial
    # The mean over seeds at each rate; losses are cut at the initial loss.
    per_rate = [
        np.minimum(losses[rates == r], initial).mean() for r in np.unique(rates)
    ]
    is_unlearnt = ~is_bad & (losses > (initial + best) / 2)
    return {
        "task": task,
        "contender": contender,
        "runs": len(records),
        "initial_loss": initial,
        "best_loss": float(min(per_rate)),
        "median_loss": float(np.median(np.minimum(losses, initial))),
        "loss_at_1e-3": float(per_rate[int(np.argmin(abs(np.unique(rates) - 1e-3)))]),
        "bad_share": float(is_bad.mean()),
        "unlearnt_share": float(is_unlearnt.mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--contenders", default=";".join(CONTENDERS))
    parser.add_argument("--report-only", action="store_true")
    arguments = parser.parse_args()
    tasks = arguments.tasks.split(",")
    if unknown := sorted(set(tasks) - set(TASKS)):
        parser.error(f"unknown tasks {unknown}; there are {', '.join(TASKS)}.")
    names = arguments.contenders.split(";")
    if unknown := sorted(set(names) - set(CONTENDERS)):
        parser.error(
            f"unknown contenders {unknown}; there are {'; '.join(CONTENDERS)}."
        )
    contenders = {name: CONTENDERS[name] for name in names}
    rows = []
    for task in tasks:
        directory = arguments.out / task
        if not arguments.report_only:
            run_sweep(
                workload_of(task),
                directory,
                optimizers={name: one.factory() for name, one in contenders.items()},
                options={name: dict(one.options) for name, one in contenders.items()},
                learning_rates=RATES,
                batch_sizes=(BATCH_SIZE,),
                seeds=range(arguments.seeds),
            )
        by_contender: dict[str, list[RunRecord]] = {name: [] for name in contenders}
        for record in read_records(directory):
            if record.optimizer in by_contender:
                by_contender[record.optimizer].append(record)
        finals = [
            record.final_val_loss
            for records in by_contender.values()
            for record in records
            if record.final_val_loss is not None
            and math.isfinite(record.final_val_loss)
        ]
        rows += [
            row_of(task, name, records, min(finals))
            for name, records in by_contender.items()
        ]
    print_table(rows, {name: name.replace("_", " ") for name in rows[0]})
    path = write_results("stability", rows, tasks={t: TASKS[t][2] for t in tasks})
    print(f"written: {path.name}")


if __name__ == "__main__":
    main()

"""How long a training step takes in a plain `model.fit`, with Keras's Adam and ours.

    python benchmarks/step/fit_time.py [--models mlp,lstm] [--processes 6] [--epochs 12]
                                       [--pair ours,robust]

On a shared machine a process runs at one of two speeds, with either optimizer. So both
optimizers train in one process, an epoch each in turn, and several processes do this.
Models are compiled with Keras's defaults. Reported are

* milliseconds per step (median over processes of the median epoch);
* the ratio of both within a process (median, lowest, highest);
* the time of the gradients alone;
* seconds of the first epoch, with tracing and compiling; which optimizer comes first
  alternates between processes.
"""

from __future__ import annotations

import argparse
import json
import os
import pkgutil
import statistics
import sys
import time
from pathlib import Path
from typing import Any

# A script finds only modules next to it; the path of the root adds the others.
sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np

from benchmarks.processes import run_worker
from benchmarks.results import print_table, write_results

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

STEPS = 60
"""Steps per epoch; with so many, an epoch's other costs are below one step."""

BATCH_SIZE = 32
CLASSES = 10
WORDS = 1000


def _mlp() -> Any:
    from keras import Sequential, layers

    hidden = [layers.Dense(256, activation="relu") for _ in range(4)]
    return Sequential([layers.Input((64,)), *hidden, layers.Dense(CLASSES)])


def _convnet() -> Any:
    from keras import Sequential, layers

    blocks = [
        layer
        for width in (16, 32, 64)
        for layer in (
            layers.Conv2D(width, 3, padding="same"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(),
        )
    ]
    return Sequential(
        [layers.Input((16, 16, 3)), *blocks, layers.Flatten(), layers.Dense(CLASSES)]
    )


def _lstm() -> Any:
    from keras import Sequential, layers

    return Sequential(
        [
            layers.Input((20,)),
            layers.Embedding(WORDS, 64),
            layers.LSTM(64),
            layers.Dense(CLASSES),
        ]
    )


def _transformer() -> Any:
    from keras import Model, layers

    inputs = layers.Input((20,))
    x = layers.Embedding(WORDS, 64)(inputs)
    for _ in range(4):
        y = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(4, 16)(y, y)
        y = layers.LayerNormalization()(x)
        x = x + layers.Dense(64)(layers.Dense(256, activation="gelu")(y))
    x = layers.GlobalAveragePooling1D()(x)
    return Model(inputs, layers.Dense(CLASSES)(x))


MODELS = {
    "mlp": _mlp,
    "convnet": _convnet,
    "lstm": _lstm,
    "transformer": _transformer,
}


def _inputs(model: Any) -> np.ndarray:
    rng = np.random.default_rng(0)
    shape = (STEPS * BATCH_SIZE, *model.input_shape[1:])
    if len(shape) == 2 and shape[1] == 20:
        return rng.integers(0, WORDS, size=shape)
    return rng.normal(size=shape).astype("float32")


OPTIMIZERS = {
    "keras": "keras.optimizers:Adam",
    "ours": "keras_adam:Adam",
    "robust": "keras_adam:Adam.robust",
}


def _compiled(name: str, optimizer: str) -> Any:
    """The model, compiled with one of the optimizers."""
    import keras

    keras.utils.set_random_seed(0)
    model = MODELS[name]()
    adam = pkgutil.resolve_name(OPTIMIZERS[optimizer])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(adam(1e-3), loss)
    return model


def _epoch_seconds(model: Any, x: np.ndarray, y: np.ndarray) -> float:
    start = time.perf_counter()
    model.fit(x, y, batch_size=BATCH_SIZE, shuffle=False, verbose=0)
    return time.perf_counter() - start


def _seconds_without_update(model: Any, x: np.ndarray, y: np.ndarray) -> float:
    """Seconds of a step's gradients alone, as a graph."""
    import tensorflow as tf

    @tf.function
    def gradients(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = model.compute_loss(x=x, y=y, y_pred=model(x, training=True))
        # Reduced to a number, so that all gradients are computed but none is returned.
        found = tape.gradient(loss, model.trainable_variables)
        return tf.add_n([tf.reduce_sum(tf.convert_to_tensor(g)) for g in found])

    x, y = tf.constant(x[:BATCH_SIZE]), tf.constant(y[:BATCH_SIZE])
    times = []
    for _ in range(STEPS):
        start = time.perf_counter()
        gradients(x, y).numpy()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def measure(name: str, order: list[str], epochs: int) -> dict[str, float]:
    """Train one model by both optimizers in this process, an epoch each in turn."""
    base, other = sorted(order, key=list(OPTIMIZERS).index)
    models = {optimizer: _compiled(name, optimizer) for optimizer in order}
    x = _inputs(models[base])
    y = np.arange(len(x)) % CLASSES
    first_epochs = {o: _epoch_seconds(model, x, y) for o, model in models.items()}
    seconds: dict[str, list[float]] = {optimizer: [] for optimizer in order}
    for epoch in range(epochs):
        for optimizer in order if epoch % 2 else order[::-1]:
            seconds[optimizer].append(_epoch_seconds(models[optimizer], x, y))
    ms = {o: 1e3 * statistics.median(found) / STEPS for o, found in seconds.items()}
    return {
        **{f"{optimizer}_ms": value for optimizer, value in ms.items()},
        **{f"{o}_first_epoch_seconds": found for o, found in first_epochs.items()},
        "ratio": ms[other] / ms[base],
        "gradients_ms": 1e3 * _seconds_without_update(models[base], x, y),
    }


def compare(name: str, pair: list[str], processes: int, epochs: int) -> dict[str, Any]:
    """Several processes, in each of which both optimizers train."""
    runs = [
        run_worker(
            __file__, [name, ",".join(pair[:: 1 - 2 * (number % 2)]), str(epochs)]
        )
        for number in range(processes)
    ]
    row = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    ratios = [run["ratio"] for run in runs]
    return {
        "model": name,
        **row,
        "lowest_ratio": min(ratios),
        "highest_ratio": max(ratios),
    }


def columns_of(base: str, other: str) -> dict[str, str]:
    """The headings of a pair's table, by key."""
    return {
        "model": "model",
        f"{base}_ms": f"{base}, ms per step",
        f"{other}_ms": other,
        "ratio": "ratio",
        "lowest_ratio": "lowest",
        "highest_ratio": "highest",
        "gradients_ms": "gradients alone, ms",
        f"{base}_first_epoch_seconds": f"first epoch, s: {base}",
        f"{other}_first_epoch_seconds": other,
    }


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        name, order, epochs = sys.argv[2:]
        print(json.dumps(measure(name, order.split(","), int(epochs))))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--processes", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--pair", default="keras,ours", help="the base, and another")
    arguments = parser.parse_args()
    pair = arguments.pair.split(",")
    if len(pair) != 2 or pair != [name for name in OPTIMIZERS if name in pair]:
        parser.error(f"--pair must be two of {','.join(OPTIMIZERS)}, in this order.")
    rows = []
    for name in arguments.models.split(","):
        rows.append(compare(name, pair, arguments.processes, arguments.epochs))
        print_table(rows[-1:], columns_of(*pair))
    part = "" if pair == ["keras", "ours"] else pair[1]
    print(f"written: {write_results('fit_time', rows, part).name}")


if __name__ == "__main__":
    main()

"""How long a training step takes in a plain `model.fit`, with Keras's Adam and ours.

    python benchmarks/fit_time.py [--models mlp,lstm] [--rounds 3] [--epochs 4]

Each optimizer trains the same model in a process of its own, in turn, for several
rounds. Models are compiled as Keras compiles them by default. Reported: milliseconds
per step (median over rounds of the median epoch, the first epoch left out), the ratio
to Keras (median over rounds of the ratio within the round, with the lowest and the
highest) and seconds until the first epoch is over, which holds tracing and compiling.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from typing import Any

import numpy as np
from processes import run_worker
from results import print_table, write_results

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

STEPS = 60
"""Per epoch: what an epoch costs besides its steps is then below one step."""

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


def measure(name: str, optimizer: str, epochs: int) -> dict[str, float]:
    """Train one model in this process."""
    import keras

    import keras_adam

    keras.utils.set_random_seed(0)
    model = MODELS[name]()
    adam = keras_adam.Adam if optimizer == "ours" else keras.optimizers.Adam
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(adam(1e-3), loss)
    x = _inputs(model)
    y = np.arange(len(x)) % CLASSES
    ends: list[float] = []
    clock = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: ends.append(time.perf_counter())
    )
    start = time.perf_counter()
    model.fit(
        x,
        y,
        batch_size=BATCH_SIZE,
        epochs=epochs + 1,
        shuffle=False,
        verbose=0,
        callbacks=[clock],
    )
    return {
        "ms": 1e3 * statistics.median(np.diff(ends)) / STEPS,
        "first_epoch_seconds": ends[0] - start,
    }


def compare(name: str, rounds: int, epochs: int) -> list[dict[str, Any]]:
    """Both optimizers on one model, interleaved."""
    runs: dict[str, list[dict[str, float]]] = {"keras": [], "ours": []}
    for _ in range(rounds):
        for optimizer, found in runs.items():
            found.append(run_worker(__file__, [name, optimizer, str(epochs)]))
    rows = []
    for optimizer, found in runs.items():
        ratios = [
            mine["ms"] / base["ms"]
            for mine, base in zip(found, runs["keras"], strict=True)
        ]
        rows.append(
            {
                "model": name,
                "optimizer": optimizer,
                "ms": statistics.median(run["ms"] for run in found),
                "ratio": statistics.median(ratios),
                "lowest_ratio": min(ratios),
                "highest_ratio": max(ratios),
                "first_epoch_seconds": statistics.median(
                    run["first_epoch_seconds"] for run in found
                ),
            }
        )
    return rows


COLUMNS = {
    "model": "model",
    "optimizer": "optimizer",
    "ms": "ms per step",
    "ratio": "ratio to Keras",
    "lowest_ratio": "lowest",
    "highest_ratio": "highest",
    "first_epoch_seconds": "s, first epoch",
}


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        name, optimizer, epochs = sys.argv[2:]
        print(json.dumps(measure(name, optimizer, int(epochs))))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=4)
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in arguments.models.split(","):
        found = compare(name, arguments.rounds, arguments.epochs)
        print_table(found, COLUMNS)
        rows += found
    print(f"written: {write_results('fit_time', rows).name}")


if __name__ == "__main__":
    main()

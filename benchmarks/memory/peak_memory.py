"""Peak memory of training a model of 110 million parameters, by optimizer.

    python benchmarks/memory/peak_memory.py [--rounds 3] [--steps 3] [--blocks 12]
        [--contenders 'ours, float32;ours, 8bit']

A causal transformer (width 768, twelve blocks, a vocabulary of 32,000) takes a few
steps in a plain ``fit``, each optimizer in a separate process. The optimizer's share is
the process's peak resident memory minus that of plain SGD, which keeps no state: it
includes state and temporary memory. The size of the state that the optimizer reports is
listed as well.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import sys
from pathlib import Path
from typing import Any

# A script finds only modules next to it; the path of the root adds the others.
sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np

from benchmarks.processes import run_worker
from benchmarks.results import print_table, write_results

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

WIDTH, WORDS, LENGTH = 768, 32_000, 32
CONTENDERS = (
    "SGD",
    "keras Adam",
    "ours, float32",
    "ours, bfloat16",
    "ours, 8bit",
)
COMPARED_WITH = ("SGD", "keras Adam")


def _model(blocks: int) -> Any:
    import keras
    from keras import layers

    inputs = keras.Input((LENGTH,), dtype="int32")
    embedding = layers.Embedding(WORDS, WIDTH)
    x = embedding(inputs)
    for _ in range(blocks):
        normal = layers.LayerNormalization()(x)
        attention = layers.MultiHeadAttention(12, WIDTH // 12)
        x = x + attention(normal, normal, use_causal_mask=True)
        hidden = layers.Dense(4 * WIDTH, "gelu")(layers.LayerNormalization()(x))
        x = x + layers.Dense(WIDTH)(hidden)
    # A small head: the logits of all words would take more memory than the optimizer.
    return keras.Model(inputs, layers.Dense(16)(layers.LayerNormalization()(x)))


def _optimizer(contender: str) -> Any:
    import keras

    import keras_adam

    if contender == "SGD":
        return keras.optimizers.SGD(1e-4)
    if contender == "keras Adam":
        return keras.optimizers.Adam(1e-4)
    return keras_adam.Adam(1e-4, moment_storage=contender.removeprefix("ours, "))


def measure(contender: str, steps: int, blocks: int) -> dict[str, float]:
    """Train in this process."""
    import keras

    model = _model(blocks)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(_optimizer(contender), loss)
    rng = np.random.default_rng(0)
    x = rng.integers(0, WORDS, size=(steps, LENGTH)).astype("int32")
    history = model.fit(x, x % 16, batch_size=1, verbose=0).history
    optimizer = model.optimizer
    state = [v for v in optimizer.variables if v is not optimizer.iterations]
    held = getattr(optimizer, "state_bytes", None) or sum(
        int(np.prod(v.shape)) * 4 for v in state
    )
    return {
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "parameters": model.count_params(),
        "state_mb": held / 2**20,
        "loss": history["loss"][-1],
    }


COLUMNS = {
    "contender": "optimizer",
    "peak_mb": "peak MB",
    "share_mb": "optimizer's share, MB",
    "share_per_parameter": "bytes per parameter",
    "ratio": "ratio to Keras",
    "state_mb": "state MB",
}


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        print(json.dumps(measure(sys.argv[2], *map(int, sys.argv[3:5]))))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--blocks", type=int, default=12)
    parser.add_argument("--contenders", help="separated by ';'; default: all")
    arguments = parser.parse_args()
    wanted = arguments.contenders and arguments.contenders.split(";")
    contenders = [
        name
        for name in CONTENDERS
        if not wanted or name in wanted or name in COMPARED_WITH
    ]
    size = [str(arguments.steps), str(arguments.blocks)]
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
    for _ in range(arguments.rounds):
        for name in contenders:
            runs[name].append(run_worker(__file__, [name, *size]))
    peaks = {
        name: statistics.median(run["peak_mb"] for run in found)
        for name, found in runs.items()
    }
    parameters = runs["SGD"][0]["parameters"]
    rows = []
    for name, found in runs.items():
        share = peaks[name] - peaks["SGD"]
        rows.append(
            {
                "contender": name,
                "peak_mb": peaks[name],
                "peaks_mb": [run["peak_mb"] for run in found],
                "share_mb": share,
                "share_per_parameter": share * 2**20 / parameters,
                "ratio": share / (peaks["keras Adam"] - peaks["SGD"]),
                "state_mb": found[0]["state_mb"],
            }
        )
    print_table(rows, COLUMNS)
    print(f"written: {write_results('memory', rows, parameters=parameters).name}")


if __name__ == "__main__":
    main()

"""How near to dense Adam an embedding ends that is stepped by rows.

    python benchmarks/step/sparse_quality.py [--rates 1e-3,1e-2] [--seeds 4]
                                             [--steps 2000]

An embedding table of 20,000 words learns to give the same sums as a teacher's table.
Each example is 20 words with the frequencies of text (Zipf, exponent 1), in batches of
64. So a common word is in every batch, and a rare one in one batch of hundreds. Every
kind of update trains from the same start on the same batches. Reported per learning
rate, as the median over seeds with the lowest and the highest:

* the distance of the table from that of dense Adam, relative to how far dense Adam
  moved it, over all words and over the rarer half of those that occurred;
* the validation loss as a ratio to dense Adam's.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from pathlib import Path
from typing import Any

# A script finds only modules next to it; the path of the root adds the others.
sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np

from benchmarks.results import print_table, write_results

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

WORDS, WIDTH = 20_000, 8
LENGTH = 20
BATCH_SIZE = 64
WAYS = ("dense", "lazy", "catch_up")


class Text:
    """Examples of one seed: words, and the teacher's noisy sums.

    Shapes:
        words are ``[examples, LENGTH]``, targets ``[examples, WIDTH]``.
    """

    def __init__(self, seed: int, steps: int) -> None:
        rng = np.random.default_rng(seed)
        teacher = rng.normal(size=(WORDS, WIDTH)) * 0.3
        frequency = 1 / np.arange(1, WORDS + 1)
        examples = (steps + 20) * BATCH_SIZE
        words = rng.choice(
            WORDS, size=(examples, LENGTH), p=frequency / frequency.sum()
        )
        targets = teacher[words].sum(axis=1) + rng.normal(size=(examples, WIDTH))
        end = steps * BATCH_SIZE
        self.words, self.targets = words[:end], targets[:end].astype("float32")
        self.held_out = words[end:], targets[end:].astype("float32")

    def counts(self) -> np.ndarray:
        """How often each word occurs in training."""
        return np.bincount(self.words.ravel(), minlength=WORDS)


def train(text: Text, way: str, rate: float) -> tuple[np.ndarray, np.ndarray, float]:
    """The table before and after training, and the validation loss."""
    import keras

    import keras_adam

    keras.utils.set_random_seed(0)
    table = keras.layers.Embedding(WORDS, WIDTH)
    model = keras.Sequential(
        [keras.layers.Input((LENGTH,)), table, keras.layers.GlobalAveragePooling1D()]
    )
    model.add(keras.layers.Rescaling(LENGTH))
    model.compile(keras_adam.Adam(rate, sparse_updates=way), "mse")
    before = np.copy(table.embeddings.numpy())
    model.fit(text.words, text.targets, batch_size=BATCH_SIZE, shuffle=False, verbose=0)
    loss = model.evaluate(*text.held_out, batch_size=BATCH_SIZE, verbose=0)
    return before, np.copy(table.embeddings.numpy()), loss


def compare(text: Text, rate: float) -> dict[str, dict[str, float]]:
    """Compare each kind of update with dense Adam on one seed's text."""
    trained = {way: train(text, way, rate) for way in WAYS}
    before, dense, dense_loss = trained["dense"]
    counts = text.counts()
    rare = (counts > 0) & (counts <= np.median(counts[counts > 0]))

    def distance(table: np.ndarray, rows: Any) -> float:
        moved = np.linalg.norm(dense[rows] - before[rows])
        return float(np.linalg.norm(table[rows] - dense[rows]) / moved)

    return {
        way: {
            "distance": distance(table, slice(None)),
            "distance_of_rare_words": distance(table, rare),
            "loss_ratio": loss / dense_loss,
        }
        for way, (_, table, loss) in trained.items()
    }


COLUMNS = {
    "rate": "rate",
    "way": "sparse_updates",
    "distance": "distance to dense Adam",
    "lowest": "lowest",
    "highest": "highest",
    "distance_of_rare_words": "of rare words",
    "loss_ratio": "validation loss, ratio to dense",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rates", default="1e-3,1e-2")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--steps", type=int, default=2000)
    arguments = parser.parse_args()
    rates = [float(rate) for rate in arguments.rates.split(",")]
    found: dict[tuple[float, str], list[dict[str, float]]] = {}
    for seed in range(arguments.seeds):
        text = Text(seed, arguments.steps)
        for rate in rates:
            for way, figures in compare(text, rate).items():
                found.setdefault((rate, way), []).append(figures)
        print(f"seed {seed + 1} of {arguments.seeds} is done")
    rows = []
    for (rate, way), all_figures in found.items():
        medians = {
            key: statistics.median(figures[key] for figures in all_figures)
            for key in all_figures[0]
        }
        distances = [figures["distance"] for figures in all_figures]
        rows.append(
            {
                "rate": rate,
                "way": way,
                **medians,
                "lowest": min(distances),
                "highest": max(distances),
            }
        )
    rows.sort(key=lambda row: (row["rate"], WAYS.index(row["way"])))
    print_table(rows, COLUMNS)
    print(f"written: {write_results('sparse_quality', rows).name}")


if __name__ == "__main__":
    main()

"""Draw what the robustness benchmark found: loss over rate, a panel per task.

python benchmarks/robustness/drawing.py --out OUT --file docs/robustness.png
    [--half judging] [--contenders keras-adam,robust] [--schedule linear]
    [--length 300]
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# A script finds only modules next to it; the path of the root adds the others.
sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np

from benchmarks.robustness.sweeps import Setting, records_of
from benchmarks.robustness.tasks import BATCH_SIZE, HALVES, TASKS
from tuning import RunRecord

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's palette, which colour-blind readers can distinguish."""

COLUMNS = 4


def curve(records: Sequence[RunRecord]) -> tuple[np.ndarray, np.ndarray]:
    """Learning rates, and the final validation loss at each: ``(seeds, rates)``.

    Losses are cut at the loss before training.
    """
    rates = np.array(sorted({record.learning_rate for record in records}))
    seeds = sorted({record.seed for record in records})
    losses = np.full((len(seeds), len(rates)), np.nan)
    for record in records:
        loss, initial = record.final_val_loss, record.initial_loss or math.inf
        usable = loss is not None and math.isfinite(loss)
        where = (
            seeds.index(record.seed),
            int(np.searchsorted(rates, record.learning_rate)),
        )
        losses[where] = min(loss, initial) if usable else initial
    return rates, losses


def draw(
    out: Path,
    tasks: Sequence[str],
    contenders: Sequence[str],
    schedule: str,
    length: int,
) -> Any:
    """A figure of one panel per task that has runs of every contender."""
    import matplotlib.pyplot as plt

    found = {}
    for task in tasks:
        setting = Setting(task, schedule, length, BATCH_SIZE)
        of_task = {name: records_of(out, setting, name) for name in contenders}
        if all(of_task.values()):
            found[task] = of_task
    rows = -(-len(found) // COLUMNS)
    figure, axes = plt.subplots(
        rows, COLUMNS, figsize=(3.1 * COLUMNS, 2.3 * rows), squeeze=False
    )
    for axis in axes.flat[len(found) :]:
        axis.axis("off")
    for axis, (task, of_task) in zip(axes.flat, found.items(), strict=False):
        for colour, (name, records) in zip(COLOURS, of_task.items(), strict=False):
            rates, losses = curve(records)
            axis.plot(rates, losses.mean(axis=0), ".-", color=colour, label=name)
            low, high = losses.min(axis=0), losses.max(axis=0)
            axis.fill_between(rates, low, high, color=colour, alpha=0.2, linewidth=0)
        axis.set_xscale("log")
        axis.set_title(f"{task}\n({TASKS[task].family})", fontsize=8)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.3)
    axes.flat[0].legend(fontsize=7)
    figure.supxlabel("learning rate", fontsize=9)
    figure.supylabel("final validation loss", fontsize=9)
    figure.tight_layout()
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--half", choices=HALVES, default="judging")
    parser.add_argument("--contenders", default="keras-adam,robust")
    parser.add_argument("--schedule", default="linear")
    parser.add_argument("--length", type=int, default=300)
    arguments = parser.parse_args()
    contenders = arguments.contenders.split(",")
    tasks = list(HALVES[arguments.half])
    figure = draw(
        arguments.out, tasks, contenders, arguments.schedule, arguments.length
    )
    figure.savefig(arguments.file, dpi=110)
    print(f"written: {arguments.file}")


if __name__ == "__main__":
    main()

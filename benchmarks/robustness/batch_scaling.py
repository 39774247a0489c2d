"""Whether hyperparameters found at one batch size serve at another, scaled or not.

    python benchmarks/robustness/batch_scaling.py --out OUT [--tasks a,b]
        [--batches 4,32,256] [--seeds 3] [--report-only]

Keras's Adam and ours are trained with unchanged constants, and with those that
`keras_adam.scale_for_batch_size` computes from a reference batch of 32. There are seven
reference learning rates from 1e-4 to 0.1, which fall linearly during a run. The number
of examples is always the same: 12,288 steps at batch size 4, 48 steps at 1024.

Two figures count. One is the loss at the learning rate that was best at the reference
batch (*transferred*), relative to the best loss of Keras's Adam with its learning rate
tuned for that batch size. The other is how far the best reference rate moves. A killed
benchmark continues where it stopped.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# A script finds only modules next to it; the path of the root adds the others.
sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np

from benchmarks.results import print_table, write_results
from benchmarks.robustness.contenders import BASELINE, CONTENDERS, Contender
from benchmarks.robustness.measures import gather, mean_losses, once
from benchmarks.robustness.sweeps import RATES, Setting, limit_threads, records_of, run
from benchmarks.robustness.tasks import BATCH_SIZE, TASKS

LENGTH = 1536
REFERENCE_RATES = RATES[2:9]


class Rule(NamedTuple):
    """An optimizer, and whether its constants follow the batch size."""

    contender: str
    is_scaled: bool

    @property
    def name(self) -> str:
        """The rule's name in tables and directories."""
        return f"{self.contender}-scaled" if self.is_scaled else self.contender


RULES = tuple(
    Rule(contender, is_scaled)
    for contender in (BASELINE, "robust")
    for is_scaled in (False, True)
)


def scaled(rule: Rule, batch_size: int) -> tuple[Contender, tuple[float, ...]]:
    """The contender of a rule at a batch size, and its learning rates there."""
    contender = CONTENDERS[rule.contender]
    if not rule.is_scaled:
        return contender, REFERENCE_RATES
    import keras_adam

    config = contender.factory()(1.0, **contender.options).get_config()
    found = keras_adam.scale_for_batch_size(config, batch_size, BATCH_SIZE)
    changed = {
        option: value
        for option, value in found.items()
        if option != "learning_rate" and value != config[option]
    }
    rates = tuple(rate * found["learning_rate"] for rate in REFERENCE_RATES)
    return contender._replace(options={**contender.options, **changed}), rates


def mean_final_losses(
    out: Path, task: str, batch_size: int, rule: Rule, seeds: int
) -> np.ndarray:
    """Mean judged loss at each reference rate."""
    records = records_of(out, _setting(task, batch_size), rule.name)
    _, rates = scaled(rule, batch_size)
    runs = gather(records, rates, range(seeds))
    return mean_losses(runs.losses, once(seeds))[:, 0]


def rows_of(
    out: Path, task: str, batches: list[int], seeds: int
) -> list[dict[str, Any]]:
    """One row per rule and batch size."""
    losses = {
        (rule, size): mean_final_losses(out, task, size, rule, seeds)
        for rule in RULES
        for size in {*batches, BATCH_SIZE}
    }
    base = RULES[0]
    rows = []
    for rule in RULES:
        found = int(np.argmin(losses[rule, BATCH_SIZE]))
        for size in batches:
            own, tuned = losses[rule, size], float(losses[base, size].min())
            best = int(np.argmin(own))
            rows.append(
                {
                    "task": task,
                    "contender": rule.name,
                    "batch_size": size,
                    "reference_rate": REFERENCE_RATES[found],
                    "best_reference_rate": REFERENCE_RATES[best],
                    "tuned_loss": tuned,
                    "transferred": float(own[found]) / tuned,
                    "best": float(own[best]) / tuned,
                    "drift_decades": abs(
                        float(np.log10(REFERENCE_RATES[best] / REFERENCE_RATES[found]))
                    ),
                }
            )
    return rows


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Geometric means of the ratios over tasks, and the mean drift."""
    found = []
    for name, size in dict.fromkeys((r["contender"], r["batch_size"]) for r in rows):
        group = [r for r in rows if (r["contender"], r["batch_size"]) == (name, size)]
        found.append(
            {
                "task": f"all {len(group)}",
                "contender": name,
                "batch_size": size,
                "transferred": _geometric_mean([r["transferred"] for r in group]),
                "best": _geometric_mean([r["best"] for r in group]),
                "drift_decades": float(np.mean([r["drift_decades"] for r in group])),
            }
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--tasks", default="mlp-spoken-digits,speech-digits,embedding-reviews"
    )
    parser.add_argument("--batches", default="4,16,64,256,1024")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--report-only", action="store_true")
    arguments = parser.parse_args()
    tasks = arguments.tasks.split(",")
    if unknown := sorted(set(tasks) - set(TASKS)):
        parser.error(f"unknown tasks {unknown}; there are {', '.join(TASKS)}.")
    batches = [int(size) for size in arguments.batches.split(",")]
    if not arguments.report_only:
        _train(arguments.out, tasks, batches, arguments.seeds)
    rows = [
        row
        for task in tasks
        for row in rows_of(arguments.out, task, batches, arguments.seeds)
    ]
    overall = summary(rows)
    print_table([*rows, *overall], {name: name.replace("_", " ") for name in rows[0]})
    print(f"written: {write_results('batch_scaling', rows, summary=overall).name}")


def _train(out: Path, tasks: list[str], batches: list[int], seeds: int) -> None:
    limit_threads(1)
    for task in tasks:
        for size in sorted({*batches, BATCH_SIZE}, reverse=True):
            for rule in RULES:
                contender, rates = scaled(rule, size)
                run(
                    out,
                    _setting(task, size),
                    rule.name,
                    contender,
                    range(seeds),
                    rates=rates,
                )
                print(f"{task}, batch {size}, {rule.name}: done", flush=True)


def _setting(task: str, batch_size: int) -> Setting:
    return Setting(task, "linear", LENGTH, batch_size)


def _geometric_mean(ratios: list[float]) -> float:
    return float(np.exp(np.mean(np.log(ratios))))


if __name__ == "__main__":
    main()

"""How many runs ``--strategy edges`` needs, and whether it finds the grid's edges.

    python benchmarks/lab/edges_runs.py [--optimizers keras.Adam,...] [--seeds 3]

The digits perceptron is trained at 19 learning rates a quarter of a decade apart (1e-4
... 3.16) and three batch sizes. One sweep runs the whole grid, another one the edges
alone, each in a separate process. For each optimizer and batch size, the ends of the
good region are compared.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# A script finds only modules next to it; the path of the root adds the others.
sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.processes import run_worker
from benchmarks.results import print_table, write_results

BATCH_SIZES = (16, 64, 256)


def measure(strategy: str, optimizers: str, seeds: str) -> dict[str, Any]:
    from tuning import read_records, run_sweep, summarize
    from tuning.grid import log_spaced_rates
    from tuning.plan import read_plan

    with tempfile.TemporaryDirectory() as directory:
        start = time.perf_counter()
        records = run_sweep(
            "digits",
            directory,
            optimizers=optimizers.split(","),
            learning_rates=log_spaced_rates(1e-4, 10**0.5, 19),
            batch_sizes=BATCH_SIZES,
            seeds=int(seeds),
            strategy=strategy,
        )
        seconds = time.perf_counter() - start
        grid = read_plan(Path(directory)).grid
        summary = summarize(read_records(Path(directory)), grid=grid, strategy=strategy)
    regions = {
        f"{o.name}, {c.batch_size}": (
            [c.good_region.low_rate, c.good_region.high_rate] if c.good_region else None
        )
        for o in summary.optimizers
        for c in o.curves
    }
    runs: dict[str, int] = {}
    for record in records:
        key = f"{record.optimizer}, {record.batch_size}"
        runs[key] = runs.get(key, 0) + 1
    return {"seconds": seconds, "runs": runs, "regions": regions}


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        print(json.dumps(measure(*sys.argv[2:5])))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--optimizers",
        default="keras_adam.Adam,keras.Adam,keras.SGD,keras.SGD(momentum=0.9),"
        "keras.Adagrad,keras.RMSprop",
    )
    parser.add_argument("--seeds", default="3")
    arguments = parser.parse_args()
    options = [arguments.optimizers, arguments.seeds]
    grid = run_worker(__file__, ["grid", *options])
    edges = run_worker(__file__, ["edges", *options])
    rows = []
    for key, whole in grid["regions"].items():
        found = edges["regions"].get(key)
        low, high = (
            (math.log10(found[i] / whole[i]) for i in (0, 1))
            if whole and found
            else (None, None)
        )
        rows.append(
            {
                "curve": key,
                "grid_runs": grid["runs"][key],
                "edges_runs": edges["runs"].get(key, 0),
                "low_edge": whole[0] if whole else None,
                "high_edge": whole[1] if whole else None,
                "low_edge_off_decades": low,
                "high_edge_off_decades": high,
            }
        )
    off = [
        abs(row[name])
        for row in rows
        for name in ("low_edge_off_decades", "high_edge_off_decades")
        if row[name] is not None
    ]
    total = {
        "curve": "all",
        "grid_runs": sum(row["grid_runs"] for row in rows),
        "edges_runs": sum(row["edges_runs"] for row in rows),
    }
    print_table([*rows, total], {name: name.replace("_", " ") for name in rows[0]})
    facts = {
        "share_of_runs": total["edges_runs"] / total["grid_runs"],
        "edges_within_a_quarter_decade": sum(value <= 0.25 for value in off),
        "edges_compared": len(off),
        "largest_difference_decades": max(off),
        "grid_seconds": grid["seconds"],
        "edges_seconds": edges["seconds"],
    }
    print(facts)
    path = write_results("edges_runs", [*rows, total], **facts)
    print(f"written: {path.name}")


if __name__ == "__main__":
    main()

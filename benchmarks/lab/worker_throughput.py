"""What a second worker is worth: the same sweep with one and two worker processes.

    python benchmarks/lab/worker_throughput.py [--rounds 2] [--engine local]
        [--seeds 4] [--epochs 40]

A perceptron on digits, two optimizers at four batch sizes, six learning rates, four
seeds, 40 epochs: 192 runs in 8 groups that share compiled functions. Rounds alternate
between one worker and two. Both have one thread per operation, so that only the number
of workers differs, and both run in separate processes. Reported are the seconds of the
whole sweep, and those after the start of the workers (after the first record). Because
wall-clock time says little on a machine with other work, the processor seconds of
driver and workers are reported as well. If a second worker does not increase the
workers' processor seconds, it costs nothing but its start.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
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


def measure(engine: str, workers: str, seeds: str, epochs: str) -> dict[str, Any]:
    from tuning import run_sweep

    first: list[float] = []

    def note(progress: Any) -> None:
        if progress.record is not None and not first:
            first.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as directory:
        start = time.perf_counter()
        records = run_sweep(
            "digits",
            directory,
            optimizers=["keras_adam.Adam", "keras.Adam"],
            learning_rates=(1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2),
            batch_sizes=(8, 16, 32, 64),
            seeds=int(seeds),
            epochs=int(epochs),
            engine=engine,
            workers=int(workers),
            run_timeout=600,  # so that one worker is a separate process, too
            progress=note,
        )
        end = time.perf_counter()
    if {record.status for record in records} != {"ok"}:
        raise RuntimeError("a run failed")
    driver = resource.getrusage(resource.RUSAGE_SELF)
    workers_ = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "seconds": end - start,
        "after_start": end - first[0],
        "runs": len(records),
        "driver_cpu": driver.ru_utime + driver.ru_stime,
        "workers_cpu": workers_.ru_utime + workers_.ru_stime,
        "load": os.getloadavg()[0],
    }


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        print(json.dumps(measure(*sys.argv[2:6])))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--engine", default="local")
    parser.add_argument("--seeds", default="4")
    parser.add_argument("--epochs", default="40")
    arguments = parser.parse_args()
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
    times: dict[str, list[dict[str, float]]] = {"1": [], "2": []}
    for _ in range(arguments.rounds):
        for workers, of_workers in times.items():
            work = [arguments.engine, workers, arguments.seeds, arguments.epochs]
            of_workers.append(run_worker(__file__, work))
            print(workers, of_workers[-1], flush=True)
    rows = [
        {
            "workers": int(workers),
            "seconds": statistics.median(t["seconds"] for t in of_workers),
            **{
                name: statistics.median(t[key] for t in of_workers)
                for name, key in (
                    ("seconds_after_start", "after_start"),
                    ("driver_cpu_seconds", "driver_cpu"),
                    ("workers_cpu_seconds", "workers_cpu"),
                    ("load_at_the_end", "load"),
                )
            },
        }
        for workers, of_workers in times.items()
    ]
    ratios = {
        f"{name}_ratio": statistics.median(
            one[key] / two[key] for one, two in zip(times["1"], times["2"], strict=True)
        )
        for name, key in (("whole", "seconds"), ("after_start", "after_start"))
    }
    print_table(rows, {name: name.replace("_", " ") for name in rows[0]})
    print(ratios)
    note = "other jobs ran on the machine; ratios are of neighbouring rounds"
    path = write_results(
        "worker_throughput", rows, arguments.engine, note=note, **ratios
    )
    print(f"written: {path.name}")


if __name__ == "__main__":
    main()

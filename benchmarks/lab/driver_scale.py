"""What a sweep's driver costs by itself: seconds and memory, without any training.

    python benchmarks/lab/driver_scale.py [--records 1000,10000]
                                          [--stock-records 1000,3000]

A simulated engine of 100 workers answers every run at once with a record of usual size
(15 epochs, four curves). Everything else is what a real sweep does in its driver:
oracle, KerasTuner's project, TensorBoard, records, and at the end the report.
``--stock-records`` measures the same with KerasTuner's own way of saving its state,
whose time grows with the square of the number of runs.

Each measurement runs in a separate process.
"""

from __future__ import annotations

import argparse
import collections
import json
import math
import os
import resource
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

WORKERS = 100
EPOCHS = 15


def make_grid(records: int) -> Any:
    """A grid of ``records`` runs (a multiple of 1,000): 10 optimizers x 10 sizes."""
    from tuning.grid import Grid, log_spaced_rates

    rates = 100 if records >= 100_000 else 10
    return Grid(
        optimizers=tuple(f"optimizer-{i}" for i in range(10)),
        learning_rates=log_spaced_rates(1e-5, 10, rates),
        batch_sizes=tuple(8 * (i + 1) for i in range(10)),
        seeds=tuple(range(records // (100 * rates))),
        epochs=EPOCHS,
    )


class SimulatedRuns:
    """Workers that answer at once; see `tuning.search.tuner.Runs`."""

    def __init__(self, versions: dict[str, str]) -> None:
        self.workers = WORKERS
        self._under_way: collections.deque = collections.deque()
        self._versions = versions

    def start(self, worker: int, run: Any) -> None:
        """Remember the run."""
        self._under_way.append((worker, run))

    def next_finished(self) -> Any:
        """The run that has waited longest, as if it had been trained."""
        from tuning.engines.engine import Finished
        from tuning.records import RunRecord

        worker, run = self._under_way.popleft()
        best = abs(math.log10(run.learning_rate) + 2) / 4 + 0.001 * run.seed
        losses = [best + (2.3 - best) * 0.7**epoch for epoch in range(1, EPOCHS + 1)]
        record = RunRecord(
            run_id=run.run_id,
            workload="simulated",
            optimizer=run.optimizer,
            optimizer_config={
                "name": "adam",
                "learning_rate": run.learning_rate,
                "beta_1": 0.9,
                "beta_2": 0.999,
                "epsilon": 1e-7,
                "weight_decay": None,
                "clipnorm": None,
                "global_clipnorm": None,
                "clipvalue": None,
                "use_ema": False,
                "ema_momentum": 0.99,
                "amsgrad": False,
                "ema_overwrite_frequency": None,
                "loss_scale_factor": None,
                "gradient_accumulation_steps": None,
            },
            learning_rate=run.learning_rate,
            batch_size=run.batch_size,
            seed=run.seed,
            epochs=EPOCHS,
            status="ok",
            initial_loss=2.3,
            best_val_loss=losses[-1],
            final_val_loss=losses[-1],
            val_metrics={"accuracy": 0.9},
            steps=1350,
            seconds=0.05,
            seconds_per_step=3e-5,
            state_bytes=51_000,
            history={
                name: list(losses)
                for name in ("loss", "accuracy", "val_loss", "val_accuracy")
            },
            execution="compiled-epochs",
            versions=self._versions,
        )
        return Finished(worker, record)


def stock_oracle(grid: Any) -> Any:
    """Our oracle with KerasTuner's own methods of saving and counting."""
    from keras_tuner import Oracle

    from tuning.search.oracle import GridOracle

    class StockSaving(GridOracle):
        save = Oracle.save
        _check_consecutive_failures = Oracle._check_consecutive_failures

    return StockSaving(grid)


def measure(records: int, kind: str) -> dict[str, Any]:
    from tuning.plan import Plan, write_plan
    from tuning.records import installed_versions
    from tuning.report import write_report
    from tuning.runs_file import RUNS_FILE, read_records
    from tuning.search.oracle import GridOracle
    from tuning.search.tuner import SweepTuner
    from tuning.sweep.loop import Keeper

    grid = make_grid(records)
    runs = SimulatedRuns(installed_versions())
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        write_plan(directory, Plan("simulated", grid, {"train": 1, "validation": 1}))
        before = memory_megabytes()
        keep: Any = Keeper(directory, lambda _: None)
        if kind != "ours":
            keep = lambda _: None  # noqa: E731 - only KerasTuner's part is compared
        oracle = stock_oracle(grid) if kind == "stock" else GridOracle(grid)
        start = time.perf_counter()
        SweepTuner(oracle, directory, "kerastuner", runs, keep).search()
        seconds = time.perf_counter() - start
        row = {
            "kind": kind,
            "runs": len(grid),
            "seconds": seconds,
            "milliseconds_per_run": 1000 * seconds / len(grid),
            "driver_megabytes": memory_megabytes() - before,
        }
        if kind == "ours":
            size = (directory / RUNS_FILE).stat().st_size
            del oracle
            start = time.perf_counter()
            read_records(directory)
            reading = time.perf_counter() - start
            start = time.perf_counter()
            write_report(directory)
            row |= {
                "bytes_per_record": size / len(grid),
                "reading_seconds": reading,
                "report_seconds": time.perf_counter() - start,
                "peak_megabytes": memory_megabytes(),
            }
    return row


def memory_megabytes() -> float:
    """Peak memory of this process so far; Linux reports it in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        print(json.dumps(measure(int(sys.argv[2]), sys.argv[3])))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", default="1000,10000")
    parser.add_argument("--stock-records", default="1000,3000")
    parser.add_argument("--part", default="")
    arguments = parser.parse_args()
    rows = []
    for kinds, counts in (
        (("ours",), arguments.records),
        (("stock", "oracle alone"), arguments.stock_records),
    ):
        for count in filter(None, counts.split(",")):
            for kind in kinds:
                rows.append(run_worker(__file__, [count, kind]))
                print(rows[-1], flush=True)
    columns = [
        "kind",
        "runs",
        "seconds",
        "milliseconds_per_run",
        "driver_megabytes",
        "bytes_per_record",
        "reading_seconds",
        "report_seconds",
        "peak_megabytes",
    ]
    print_table(rows, {name: name.replace("_", " ") for name in columns})
    note = "other jobs ran on the machine"
    path = write_results("driver_scale", rows, arguments.part, note=note)
    print(f"written: {path.name}")


if __name__ == "__main__":
    main()

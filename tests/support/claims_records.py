"""Records of runs that never took place, with curves whose figures are known."""

import json
import math

from tuning.claims.budgets import BUDGETS
from tuning.claims.contenders import CONTENDERS, OURS
from tuning.claims.results import FORMAT, PLAN_FILE
from tuning.grid import Run
from tuning.records import RunRecord
from tuning.runs_file import append_record

IMAGINED = ("digits", "detection", "exploding-deep")
"""Workloads of which :func:`write_claims_directory` imagines runs."""


def make_run(
    optimizer=OURS,
    *,
    workload="task",
    size=32,
    rate=1e-3,
    seed=0,
    curve=(),
    final=1.0,
    status="ok",
    initial=2.0,
    steps_per_point=2,
    steps=None,
    epochs=1,
    epochs_done=None,
    state_bytes=800,
):
    """A run of one epoch unless told otherwise; ``curve`` are its training losses."""
    return RunRecord(
        run_id=Run(optimizer, size, rate, seed).run_id,
        workload=workload,
        optimizer=optimizer,
        optimizer_config={},
        learning_rate=rate,
        batch_size=size,
        seed=seed,
        epochs=epochs,
        status=status,
        initial_loss=initial,
        final_val_loss=final if status == "ok" else None,
        steps=len(curve) * steps_per_point if steps is None else steps,
        history={"loss": [1.0] * (epochs if epochs_done is None else epochs_done)},
        training_curve=list(curve),
        steps_per_point=steps_per_point,
        state_bytes=state_bytes,
    )


def falling(end, points=20, start=2.0):
    """A straight line from just below ``start`` down to ``end``."""
    return [start + (end - start) * (i + 1) / points for i in range(points)]


def write_claims_directory(directory, contenders=CONTENDERS):
    """Claims of the budget ``small`` with imagined runs of three of its workloads."""
    plan = {
        "format": FORMAT,
        "budget": "small",
        "contenders": list(contenders),
        "command": "keras-adam-sweep claims --out DIR",
        "created": "2026-11-25T10:00:00+00:00",
        "versions": {"python": "3.12.3", "keras": "3.15.1"},
    }
    (directory / PLAN_FILE).write_text(json.dumps(plan))
    budget = BUDGETS["small"]
    for sweep in [s for s in budget.sweeps if s.directory in IMAGINED]:
        (directory / sweep.directory).mkdir()
        for number, optimizer in enumerate(contenders):
            for size in sweep.batch_sizes:
                for rate in budget.learning_rates:
                    for seed in range(budget.seeds):
                        off = abs(math.log10(rate) + 2 - number / 4) / 3
                        run = make_run(
                            optimizer,
                            workload=sweep.directory,
                            size=size,
                            rate=rate,
                            seed=seed,
                            curve=falling(min(off + 0.05 * seed, 1.9)),
                            final=off + 0.1 * seed,
                        )
                        append_record(directory / sweep.directory, run)
    return directory

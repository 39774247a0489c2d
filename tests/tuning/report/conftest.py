"""A finished sweep to report on."""

import json

import pytest
from reported_records import ATTACK, make_record

from tuning.grid import Grid, log_spaced_rates
from tuning.runs_file import append_record


@pytest.fixture
def grid():
    return Grid(
        ("keras.Adam", "my.pkg:lion_2"),
        log_spaced_rates(1e-4, 0.1, 4),
        (32, 128),
        (0, 1),
        5,
    )


@pytest.fixture
def records(grid):
    made = []
    for number, run in enumerate(grid.runs()):
        loss = 0.5 + number / 50
        status, message = "ok", ""
        if run.learning_rate == 0.1 and run.optimizer != "keras.Adam":
            loss, status, message = None, "diverged", "loss is not finite in epoch 2"
        if number == 3:
            loss, status, message = None, "failed", ATTACK
        made.append(make_record(run, loss=loss, status=status, message=message))
    return made


@pytest.fixture
def plan(grid):
    return {
        "workload": "digits",
        "grid": grid.to_dict(),
        "command": "keras-adam-sweep run digits --out sweeps/digits",
        "created": "2025-11-22T10:00:00+00:00",
        "versions": {"keras": "3.15.1", "python": "3.12.3"},
        "data": {"train": 1200, "validation": 300},
        "description": "Handwritten <digits> & letters.",
    }


@pytest.fixture
def sweep(tmp_path, records, plan):
    for record in records:
        append_record(tmp_path, record)
    (tmp_path / "sweep.json").write_text(json.dumps(plan))
    return tmp_path

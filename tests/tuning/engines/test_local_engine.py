"""Sweeps on real worker processes, and what is done to them."""

import json
import os
import signal
import subprocess
import sys

import hazards
import numpy as np
import pytest
import tiny_workload
from live_processes import is_alive, wait_until
from places import PYTHONPATH
from tiny_workload import make_workload

from tuning import read_records, run_sweep
from tuning.engines.engine import WorkerStartError
from tuning.engines.local import LocalEngine
from tuning.engines.options import EngineOptions
from tuning.grid import Run
from tuning.runs_file import RUNS_FILE
from tuning.trainers.task import Task

QUICK = {"execution": "model.fit", "seeds": 1}


@pytest.mark.slow
def test_a_sweep_survives_every_hazard_and_tells_of_it(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv(hazards.MARK, str(tmp_path / "mark"))
    rates = [
        hazards.FINE,
        hazards.DIVERGES,
        hazards.RAISES,
        hazards.HANGS,
        hazards.NO_MEMORY,
        hazards.KILLED,
        hazards.KILLED_ONCE,
        hazards.EXITS,
        hazards.ENDS_AT_ONCE,
    ]
    out = tmp_path / "sweep"
    records = run_sweep(
        hazards.WORKLOAD,
        out,
        optimizers={"keras.SGD": hazards.hazardous},
        learning_rates=rates,
        workers=2,
        run_timeout=10,
        **QUICK,
    )
    told = {record.learning_rate: record for record in records}
    status = {rate: record.status for rate, record in told.items()}
    assert status == {
        hazards.FINE: "ok",
        hazards.DIVERGES: "diverged",
        hazards.RAISES: "failed",
        hazards.HANGS: "failed",
        hazards.NO_MEMORY: "failed",
        hazards.KILLED: "failed",
        hazards.KILLED_ONCE: "ok",
        hazards.EXITS: "failed",
        hazards.ENDS_AT_ONCE: "failed",
    }
    assert "bad luck" in told[hazards.RAISES].message
    assert "ended after 10 s" in told[hazards.HANGS].message
    assert "MemoryError" in told[hazards.NO_MEMORY].message
    assert told[hazards.EXITS].message == "SystemExit: 0"
    assert "os._exit(0) was called" in told[hazards.ENDS_AT_ONCE].message
    assert "lost 2 times" in told[hazards.KILLED].message
    assert "SIGKILL" in told[hazards.KILLED].message
    assert caplog.text.count("the run is tried again") == 2
    assert read_records(out) == sorted(
        records, key=lambda r: [x.run_id for x in read_records(out)].index(r.run_id)
    )
    assert len((out / RUNS_FILE).read_text().splitlines()) == len(rates)
    assert len(list(out.glob("tensorboard/keras.SGD/*/*/*/events.*"))) == len(rates)
    log = (out / "failures.log").read_text()
    for message in ("bad luck", "ended after 10 s", "MemoryError", "SIGKILL"):
        assert message in log


@pytest.mark.slow
def test_two_workers_come_to_what_this_process_does(tmp_path):
    offset = np.float32(0.5)

    def load_data():  # of this program alone: no worker could import it
        data = tiny_workload.load_data()
        return data._replace(x_train=data.x_train + offset)

    workload = make_workload(load_data=load_data, metrics=lambda: ["accuracy"])
    arguments = {"optimizers": ["keras.SGD"], "seeds": 2, "batch_sizes": [16, 25]}
    here = run_sweep(workload, tmp_path / "one", **arguments)
    there = run_sweep(workload, tmp_path / "two", workers=2, **arguments)
    assert [record.run_id for record in there] == [record.run_id for record in here]
    for one, other in zip(here, there, strict=True):
        assert other.execution == one.execution == "compiled-epochs"
        assert other.history["val_loss"] == pytest.approx(
            one.history["val_loss"], rel=1e-6
        )


DRIVER = """
import json, sys
import hazards
from tuning import run_sweep
from tuning.engines import local

spawn = local._WorkerProcess._spawn
def told(process, workers):
    started = spawn(process, workers)
    print(started.pid, flush=True)
    return started
local._WorkerProcess._spawn = told
run_sweep(
    hazards.WORKLOAD, sys.argv[1], optimizers={"keras.SGD": hazards.hazardous},
    learning_rates=json.loads(sys.argv[2]), seeds=1, execution="model.fit", workers=2,
)
"""


@pytest.mark.slow
def test_workers_end_with_the_sweep_that_was_killed_and_nobody_joins_it(tmp_path):
    rates = [hazards.FINE, hazards.HANGS]
    out = tmp_path / "sweep"
    environment = {**os.environ, "PYTHONPATH": PYTHONPATH}
    command = [sys.executable, "-c", DRIVER, str(out), json.dumps(rates)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, text=True
    ) as driver:
        workers = [int(driver.stdout.readline()) for _ in range(2)]
        wait_until((out / RUNS_FILE).exists)
        with pytest.raises(ValueError, match="another sweep is running"):
            run_sweep(
                hazards.WORKLOAD,
                out,
                optimizers={"keras.SGD": hazards.hazardous},
                learning_rates=rates,
                **QUICK,
            )
        assert all(map(is_alive, workers))
        driver.send_signal(signal.SIGKILL)
    wait_until(lambda: not any(map(is_alive, workers)))
    assert [record.learning_rate for record in read_records(out)] == [hazards.FINE]
    records = run_sweep(
        hazards.WORKLOAD,
        out,
        optimizers={"keras.SGD": tiny_workload.keras.optimizers.SGD},
        learning_rates=rates,
        **QUICK,
    )
    assert [record.status for record in records] == ["ok", "ok"]
    assert len((out / RUNS_FILE).read_text().splitlines()) == 2


def test_a_workload_that_cannot_be_sent_is_told(tmp_path):
    with (tmp_path / "open").open("w") as file:
        workload = make_workload(load_data=lambda: file)
        engine = LocalEngine(
            Task(workload, tiny_workload.load_data(), 1), EngineOptions(workers=2)
        )
        try:
            engine.start(0, Run("keras.SGD", 16, 0.1, 0))
            with pytest.raises(WorkerStartError, match=r"cannot be sent.*pickle"):
                engine.wait(60)
        finally:
            engine.close()

"""Every benchmark runs as a script, with as little work as its options allow.

They take minutes: ``make smoke`` runs them, ``make test`` does not.
"""

import json
import os
import subprocess
import sys

import pytest
from places import BENCHMARKS

ARGUMENTS = {
    "step/step_time": "--cases tensors_10 --contenders ours --rounds 1 --seconds 0.1",
    "step/fit_time": "--models mlp --processes 1 --epochs 2",
    "step/telemetry_cost": "--models mlp --optimizers ours --processes 1 --epochs 2",
    "step/sparse_quality": "--rates 1e-2 --seeds 1 --steps 2",
    "memory/peak_memory": "--rounds 1 --steps 1 --blocks 1 --contenders SGD",
    "robustness/stability": "--tasks deep --contenders keras-adam --seeds 1 --out",
    "robustness/batch_scaling": (
        "--tasks mlp-reference --batches 1024 --seeds 1 --out"
    ),
    "lab/check_quality": "digits --train --epochs 1 --grids",
    "lab/driver_scale": "--records 1000 --stock-records=",
    "lab/edges_runs": "--optimizers keras.SGD --seeds 1",
    "lab/fast_path": "--runs 1 --epochs 1",
    "lab/sweep_time": "--rounds 1 --cases smoke --no-make-sweep",
    "lab/worker_throughput": "--rounds 1 --seeds 1 --epochs 1",
}


def run(name, *arguments, results):
    ended = subprocess.run(
        [sys.executable, str(BENCHMARKS / f"{name}.py"), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "KERAS_ADAM_RESULTS": str(results)},
    )
    assert ended.returncode == 0, ended.stderr[-3000:]


@pytest.mark.smoke
@pytest.mark.slow
@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_benchmark_writes_its_figures(name, tmp_path):
    arguments = ARGUMENTS[name].split()
    if arguments[-1] in ("--out", "--grids"):
        arguments.append(tmp_path / "out")
    run(name, *arguments, results=tmp_path / "results")
    (file,) = (tmp_path / "results").iterdir()
    figures = json.loads(file.read_text())
    assert figures["rows"]
    assert figures["command"].startswith(f"python benchmarks/{name}.py ")


@pytest.mark.smoke
@pytest.mark.slow
def test_storage_quality_writes_its_figures(tmp_path):
    task = "digits, convnet"
    arguments = ["--tasks", task, "--contenders", "ours", "--seeds", "2"]
    run("memory/storage_quality", *arguments, results=tmp_path)
    rows = json.loads((tmp_path / "storage_quality.json").read_text())["rows"]
    assert {row["task"] for row in rows} == {task}


@pytest.mark.smoke
@pytest.mark.slow
def test_robustness_is_measured_and_drawn(tmp_path):
    out = ["--out", tmp_path / "out", "--contenders", "keras-adam"]
    arguments = ["--tasks", "mlp-reference", "--schedules", "linear", "--seeds", "1"]
    run("robustness/run", *out, *arguments, "--lengths", 12, results=tmp_path)
    assert (tmp_path / "robustness.json").is_file()
    picture = tmp_path / "robustness.png"
    arguments = ["--half", "choosing", "--length", 12, "--file", picture]
    run("robustness/drawing", *out, *arguments, results=tmp_path)
    assert picture.stat().st_size > 0


def test_every_benchmark_has_a_smoke_run():
    scripts = {
        f"{file.parent.name}/{file.stem}"
        for file in BENCHMARKS.glob("*/*.py")
        if 'if __name__ == "__main__"' in file.read_text()
    }
    others = {"memory/storage_quality", "robustness/run", "robustness/drawing"}
    assert scripts == ARGUMENTS.keys() | others

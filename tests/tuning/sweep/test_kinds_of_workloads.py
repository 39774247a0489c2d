"""Sweeps of arrays, of trainings by `fit` and of loops: the same lab behind each."""

import dataclasses
import logging
import subprocess
import sys

import keras
import kinds_of_workloads
import pytest
from kinds_of_workloads import BY_FIT, KINDS
from places import PYTHONPATH

import tuning
from tuning import read_records, resume_sweep, run_sweep, write_report
from tuning.engines.engine import WorkerStartError
from tuning.runs_file import RUNS_FILE

GRID = {
    "optimizers": ["keras_adam.Adam"],
    "learning_rates": [0.1],
    "batch_sizes": [10, 25],
    "seeds": 2,
}
SAME = ("run_id", "status", "initial_loss", "history", "training_curve", "val_metrics")


def facts(records):
    return [{name: getattr(record, name) for name in SAME} for record in records]


@pytest.fixture(scope="module", params=KINDS)
def finished(request, tmp_path_factory):
    out = tmp_path_factory.mktemp(request.param) / "sweep"
    return KINDS[request.param], out, run_sweep(KINDS[request.param], out, **GRID)


def test_every_run_is_trained_and_reported(finished):
    workload, out, records = finished
    assert len(records) == 4
    assert {record.status for record in records} == {"ok"}
    assert {record.objective for record in records} == {"val_loss"}
    assert all(record.final_val_loss < record.initial_loss for record in records)
    assert facts(read_records(out)) == facts(records)
    page = write_report(out)
    assert workload.name in page.read_text()
    assert list((out / "tensorboard").rglob("events.*"))


def test_a_sweep_goes_on_where_it_was_killed(finished, tmp_path):
    workload, out, records = finished
    again = tmp_path / "sweep"
    again.mkdir()
    (again / "sweep.json").write_bytes((out / "sweep.json").read_bytes())
    lines = (out / RUNS_FILE).read_text().splitlines(keepends=True)
    (again / RUNS_FILE).write_text("".join(lines[:2]) + lines[2][:40])
    continued = run_sweep(workload, again, **GRID)
    assert facts(continued) == facts(records)


@pytest.mark.slow
def test_worker_processes_train_the_same(finished, tmp_path):
    workload, _, records = finished
    remote = run_sweep(workload, tmp_path / "sweep", workers=2, **GRID)
    assert facts(remote) == facts(records)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["BY_FIT", "by_loop"])
def test_the_command_line_finds_it_and_goes_on_with_it(name, tmp_path):
    out = tmp_path / "sweep"
    command = [sys.executable, "-m", "tuning", "run", f"kinds_of_workloads:{name}"]
    command += ["--out", str(out), "--optimizers", "keras.SGD", "--seeds", "1"]
    ended = subprocess.run(
        [*command, "--learning-rates", "0.1"],
        env={"PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert len(read_records(out)) == 2
    (out / RUNS_FILE).unlink()
    assert len(resume_sweep(out)) == 2


def test_what_cannot_be_sent_to_workers_says_what_to_do(tmp_path):
    pinned = dataclasses.replace(BY_FIT, data=kinds_of_workloads.datasets())
    small = GRID | {"batch_sizes": [10], "seeds": 1}
    assert run_sweep(pinned, tmp_path / "here", **small)[0].status == "ok"
    with pytest.raises(WorkerStartError, match="inside a function of the workload"):
        run_sweep(pinned, tmp_path / "there", workers=2, **small)


def test_that_batches_are_cut_anew_is_logged_once(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, logger="tuning"):
        run_sweep(BY_FIT, tmp_path / "sweep", **GRID | {"seeds": 1})
    assert [r.message for r in caplog.records if "cut anew" in r.message] == [
        "Workload by-fit: the batches of its tf.data.Dataset are cut anew to the batch "
        "size of each run."
    ]


def test_another_objective_is_another_sweep(tmp_path):
    small = GRID | {"batch_sizes": [10], "seeds": 1}
    run_sweep(BY_FIT, tmp_path, **small)
    other = dataclasses.replace(BY_FIT, objective="loss")
    with pytest.raises(ValueError, match="objective is None there, 'loss' here"):
        run_sweep(other, tmp_path, **small)


def test_another_training_function_is_told_of(tmp_path, caplog):
    def report_once(run):
        run.report(1, loss=run.optimizer.learning_rate)

    def report_half(run):
        run.report(1, loss=run.optimizer.learning_rate / 2)

    small = GRID | {"batch_sizes": [10], "seeds": 1}
    for function, told in ((report_once, 0), (report_once, 0), (report_half, 1)):
        with caplog.at_level(logging.WARNING, logger="tuning"):
            run_sweep(tuning.training(function, name="loop"), tmp_path, **small)
        assert caplog.text.count("has changed since this sweep was started") == told


def test_a_dataset_that_is_made_once_is_told_of(tmp_path, caplog):
    pinned = dataclasses.replace(BY_FIT, data=kinds_of_workloads.datasets())
    with caplog.at_level(logging.WARNING, logger="tuning"):
        run_sweep(pinned, tmp_path, **GRID | {"batch_sizes": [10], "seeds": 1})
    assert "Make data a function" in caplog.text


@pytest.mark.slow
def test_a_training_by_fit_runs_under_jax(tmp_path):
    pytest.importorskip("jax")
    script = (
        "import dataclasses, tiny_workload as t, kinds_of_workloads as k, tuning\n"
        "x, y, x_val, y_val = t.load_data()\n"
        "data = {'x': x, 'y': y, 'validation_data': (x_val, y_val)}\n"
        "workload = dataclasses.replace(k.BY_FIT, data=data)\n"
        f"(r,) = tuning.run_sweep(workload, {str(tmp_path / 's')!r}, seeds=1, "
        "optimizers=['keras_adam.Adam'], learning_rates=[0.1], batch_sizes=[10])\n"
        "print(r.status, r.message, r.steps, r.final_val_loss < r.initial_loss)\n"
    )
    environment = {"PYTHONPATH": PYTHONPATH, "KERAS_BACKEND": "jax"}
    ended = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stdout.splitlines()[-1:] == ["ok  10 True"], ended.stderr[-2000:]


def test_a_model_that_ignores_the_seed_is_told_of(tmp_path, caplog):
    def build_model():
        keras.utils.set_random_seed(7)
        return kinds_of_workloads.build_compiled_model()

    same = dataclasses.replace(BY_FIT, build_model=build_model)
    small = GRID | {"batch_sizes": [10], "seeds": 1}
    with caplog.at_level(logging.WARNING, logger="tuning"):
        run_sweep(BY_FIT, tmp_path / "a", **small)
        assert "the same weights for every seed" not in caplog.text
        run_sweep(same, tmp_path / "b", **small)
    assert "the same weights for every seed" in caplog.text


def test_data_that_no_run_could_use_are_refused_before_the_first(tmp_path):
    broken = dataclasses.replace(BY_FIT, data=lambda: 3)
    with pytest.raises(ValueError, match="data of workload 'by-fit' cannot be used"):
        run_sweep(broken, tmp_path / "sweep", **GRID)
    assert not (tmp_path / "sweep").exists()

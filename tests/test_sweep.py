import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny_workload
from tiny_workload import WORKLOAD, make_workload

from tuning import plan as plans
from tuning import read_records, resume_sweep, run_sweep
from tuning.records import RUNS_FILE

# Training itself is tested elsewhere; model.fit starts fastest here.
QUICK = {"optimizers": ["sgd"], "execution": "model.fit", "epochs": 1}


def contents(directory):
    """Every file with its text, but for KerasTuner's and TensorBoard's own."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def ids_written(directory):
    """The run ids of all lines, repeated ones included."""
    lines = (directory / RUNS_FILE).read_text().splitlines()
    return [json.loads(line)["run_id"] for line in lines]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished sweep of four runs; tests copy it."""
    directory = tmp_path_factory.mktemp("sweep")
    run_sweep("tiny_workload:WORKLOAD", directory, **QUICK)
    return directory


@pytest.fixture
def sweep(finished, tmp_path):
    import shutil

    return Path(shutil.copytree(finished, tmp_path / "sweep"))


def drop_lines(directory, keep):
    path = directory / RUNS_FILE
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:keep]))


def test_a_sweep_writes_everything_it_promises(finished):
    records = read_records(finished)
    assert [record.status for record in records] == ["ok"] * 4
    assert len({record.run_id for record in records}) == 4
    plan = json.loads((finished / "sweep.json").read_text())
    assert plan["workload"] == "tiny"
    assert plan["reference"] == "tiny_workload:WORKLOAD"
    assert plan["data"] == {"train": 50, "validation": 20}
    assert plan["grid"]["learning_rates"] == [0.01, 0.1]
    for record in records:
        assert list((finished / "tensorboard" / record.run_id).glob("events.*"))
    assert (finished / "kerastuner/oracle.json").is_file()


def test_the_same_data_seed_and_rate_give_the_same_record(finished, tmp_path):
    again = run_sweep(WORKLOAD, tmp_path, **QUICK)
    earlier = read_records(finished)
    assert [a.history for a in again] == [b.history for b in earlier]


def test_progress_counts_what_was_there_and_what_is_new(sweep):
    drop_lines(sweep, 1)
    seen = []
    run_sweep("tiny_workload:WORKLOAD", sweep, progress=seen.append, **QUICK)
    assert [(p.finished, p.total) for p in seen] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert [p.record is None for p in seen] == [True, False, False, False]


def test_a_finished_sweep_is_left_as_it_is(sweep):
    before = contents(sweep)
    seen = []
    records = run_sweep("tiny_workload:WORKLOAD", sweep, progress=seen.append, **QUICK)
    assert len(records) == 4
    assert [p.finished for p in seen] == [4]
    assert contents(sweep) == before


def test_a_torn_last_line_costs_one_run(sweep):
    path = sweep / RUNS_FILE
    path.write_bytes(path.read_bytes()[:-30])
    records = run_sweep("tiny_workload:WORKLOAD", sweep, **QUICK)
    assert len({record.run_id for record in records}) == 4
    assert len(read_records(sweep)) == 4
    assert len(path.read_text().splitlines()) == 5  # the torn line stays, alone


def test_a_damaged_kerastuner_project_does_no_harm(sweep):
    drop_lines(sweep, 2)
    (sweep / "kerastuner/oracle.json").write_text("{")
    (sweep / "kerastuner/tuner0.json").unlink()
    (sweep / "kerastuner/trial_0/trial.json").write_bytes(b"\0\0")
    assert len(run_sweep("tiny_workload:WORKLOAD", sweep, **QUICK)) == 4
    assert len(set(ids_written(sweep))) == 4


def test_lost_tensorboard_logs_are_written_again(sweep):
    record = read_records(sweep)[0]
    drop_lines(sweep, 3)
    for path in (sweep / "tensorboard" / record.run_id).iterdir():
        path.unlink()
    run_sweep("tiny_workload:WORKLOAD", sweep, **QUICK)
    assert list((sweep / "tensorboard" / record.run_id).glob("events.*"))


def test_a_sweep_is_continued_from_its_plan_alone(sweep):
    drop_lines(sweep, 2)
    assert len(resume_sweep(sweep, execution="model.fit")) == 4
    assert len(ids_written(sweep)) == 4


def test_a_python_programs_own_workload_cannot_be_continued_without_it(tmp_path):
    run_sweep(WORKLOAD, tmp_path, **QUICK)
    with pytest.raises(ValueError, match="start that program again"):
        resume_sweep(tmp_path)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"epochs": 2}, "epochs is 1 there, 2 here"),
        ({"learning_rates": [0.5]}, "learning_rates is"),
        ({"optimizers": ["sgd", "adam"]}, "optimizers is"),
        ({"seeds": 3}, "seeds is"),
        ({"options": {"sgd": {"momentum": 0.5}}}, "options is"),
    ],
)
def test_another_plan_is_refused_and_nothing_changes(sweep, changes, named):
    before = contents(sweep)
    with pytest.raises(ValueError, match="holds another sweep") as error:
        run_sweep("tiny_workload:WORKLOAD", sweep, **{**QUICK, **changes})
    assert named in str(error.value)
    assert contents(sweep) == before


def test_another_workload_or_other_data_are_refused(sweep):
    drop_lines(sweep, 2)
    before = contents(sweep)
    with pytest.raises(ValueError, match="workload is tiny there, other here"):
        run_sweep(make_workload(name="other"), sweep, **QUICK)
    fewer = make_workload(load_data=lambda: [a[:18] for a in tiny_workload.load_data()])
    with pytest.raises(ValueError, match="data is"):
        run_sweep(fewer, sweep, **QUICK)
    assert contents(sweep) == before


def test_a_directory_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    before = contents(tmp_path)
    for on_existing in ("continue", "overwrite"):
        with pytest.raises(ValueError, match=r"not empty.*thesis\.tex"):
            run_sweep(WORKLOAD, tmp_path, on_existing=on_existing, **QUICK)
    assert contents(tmp_path) == before


def test_a_plan_that_cannot_be_read_is_told(sweep):
    (sweep / "sweep.json").write_text("{")
    with pytest.raises(ValueError, match=r"sweep\.json cannot be read"):
        run_sweep(WORKLOAD, sweep, **QUICK)


def test_overwriting_removes_the_sweep_and_nothing_else(sweep):
    (sweep / "notes.txt").write_text("mine")
    (sweep / "report.html").write_text("old")
    mine = sweep / "tensorboard/other/events.out.tfevents.mine"
    mine.parent.mkdir()
    mine.write_text("mine")
    run_sweep(
        WORKLOAD, sweep, on_existing="overwrite", **{**QUICK, "learning_rates": [0.3]}
    )
    assert (sweep / "notes.txt").read_text() == mine.read_text() == "mine"
    assert not (sweep / "report.html").exists()
    assert [r.learning_rate for r in read_records(sweep)] == [0.3, 0.3]
    runs = {path.parent.name for path in sweep.glob("tensorboard/sgd/*/*/seed=*")}
    assert runs == {"lr=0.3"}


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizers": ["no-such-optimizer"]},
        {"options": {"sgd": {"no_such_option": 1}}},
        {"batch_sizes": [51]},
        {"learning_rates": []},
        {"on_existing": "merge"},
        {"optimizers": {"mine": tiny_workload.broken_optimizer}},
    ],
    ids=str,
)
def test_unusable_arguments_overwrite_nothing(sweep, changes):
    before = contents(sweep)
    with pytest.raises(ValueError, match=r".+"):
        run_sweep(WORKLOAD, sweep, **{"on_existing": "overwrite", **QUICK, **changes})
    assert contents(sweep) == before


def test_a_refused_sweep_leaves_no_directory_behind(tmp_path):
    with pytest.raises(ValueError, match="larger than the 50"):
        run_sweep(WORKLOAD, tmp_path / "a/b", batch_sizes=[51], **QUICK)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_to_is_told_before_data_are_loaded(tmp_path):
    def load_data():
        raise AssertionError("too late")

    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file/sweep", Path("/proc/sweep")):
        with pytest.raises(ValueError, match=r"is a file|cannot be written to"):
            run_sweep(make_workload(load_data=load_data), out, **QUICK)


@pytest.mark.skipif(plans.fcntl is None, reason="no lock without fcntl")
def test_two_sweeps_do_not_share_a_directory(sweep):
    drop_lines(sweep, 2)
    with (
        plans.claimed(sweep),
        pytest.raises(ValueError, match="another sweep is running"),
    ):
        run_sweep(WORKLOAD, sweep, **QUICK)
    assert len(run_sweep(WORKLOAD, sweep, **QUICK)) == 4


def test_diverging_and_failing_runs_are_records_and_the_sweep_goes_on(tmp_path):
    def squared(y_true, y_pred):
        return (y_pred - y_true[:, None]) ** 2

    workload = make_workload(
        loss=lambda y, p: squared(tiny_workload.keras.ops.cast(y, "float32"), p),
        metrics=list,
        epochs=20,
    )
    records = run_sweep(
        workload,
        tmp_path,
        optimizers={
            "sgd": tiny_workload.keras.optimizers.SGD,
            "stops": tiny_workload.StopsEarly,
        },
        learning_rates=[0.01, 1e6],
        seeds=2,
    )
    by_kind = {(r.optimizer, r.learning_rate): r.status for r in records}
    assert by_kind == {
        ("sgd", 0.01): "ok",
        ("sgd", 1e6): "diverged",
        ("stops", 0.01): "ok",
        ("stops", 1e6): "failed",
    }
    failed = [record for record in records if record.status == "failed"]
    assert [r.message for r in failed] == ["RuntimeError: too fast for me"] * 2
    assert read_records(tmp_path) == records


def test_an_interruption_keeps_what_is_done(tmp_path):
    def stop_at_two(progress):
        if progress.finished == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_sweep(WORKLOAD, tmp_path, progress=stop_at_two, **QUICK)
    assert len(read_records(tmp_path)) == 2
    assert len(run_sweep(WORKLOAD, tmp_path, **QUICK)) == 4
    assert len(ids_written(tmp_path)) == 4


def test_a_record_that_cannot_be_written_stops_the_sweep(tmp_path, monkeypatch):
    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("tuning.sweep.append_record", full)
    with pytest.raises(OSError, match="no space left"):
        run_sweep(WORKLOAD, tmp_path, **QUICK)


@pytest.mark.slow
def test_kill_9_loses_the_run_in_progress_and_no_other(tmp_path):
    code = (
        "import sys; from tuning import run_sweep;"
        "run_sweep('tiny_workload:WORKLOAD', sys.argv[1], optimizers=['sgd', 'adam'],"
        " seeds=5, epochs=3)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-c", code, str(tmp_path)]
    planned, counts = 20, []
    for wanted in (3, 12):
        process = subprocess.Popen(command, env=environment)
        while process.poll() is None:
            path = tmp_path / RUNS_FILE
            if path.exists() and len(path.read_bytes().splitlines()) >= wanted:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.005)
        process.wait()
        counts.append(len(read_records(tmp_path)))
    subprocess.run(command, env=environment, check=True)
    records = read_records(tmp_path)
    assert 3 <= counts[0] <= counts[1] <= planned
    assert counts[0] < planned, "killed too late to test anything"
    assert len({record.run_id for record in records}) == planned
    torn = len((tmp_path / RUNS_FILE).read_text().splitlines()) - planned
    assert torn <= 2  # at most the line in progress, per kill
    assert {record.status for record in records} == {"ok"}

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tiny_workload
from places import PYTHONPATH
from tiny_workload import WORKLOAD, make_workload

from tuning import read_records, resume_sweep, run_sweep
from tuning.engines.options import EngineOptions
from tuning.grid import Grid
from tuning.runs_file import RUNS_FILE
from tuning.sweep import directory as directories
from tuning.sweep.fingerprint import fingerprint_data, fingerprint_model

# Training itself is tested elsewhere; model.fit starts fastest here.
QUICK = {"optimizers": ["keras.SGD"], "execution": "model.fit", "epochs": 1}


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
        ({"optimizers": ["keras.SGD", "keras_adam.Adam"]}, "optimizers is"),
        ({"seeds": 3}, "seeds is"),
        ({"options": {"keras.SGD": {"momentum": 0.5}}}, "options is"),
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


def other_model():
    return tiny_workload.keras.Sequential(
        [tiny_workload.keras.layers.Input((4,)), tiny_workload.keras.layers.Dense(3)]
    )


def other_data():
    data = tiny_workload.load_data()
    return data._replace(x_val=data.x_val + 1)


def other_loss(y_true, y_pred):
    return tiny_workload.loss(y_true, y_pred)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"loss": other_loss}, "loss is loss there, other_loss here"),
        ({"target_val_loss": 0.5}, "target_val_loss is None there, 0.5 here"),
        ({"build_model": other_model}, "build_model makes another model"),
        ({"load_data": other_data}, "the values of the data are others"),
    ],
    ids=["loss", "target", "model", "data"],
)
@pytest.mark.parametrize("is_finished", [True, False], ids=["finished", "unfinished"])
def test_a_workload_of_the_same_name_is_told_apart(sweep, changes, named, is_finished):
    drop_lines(sweep, 4 if is_finished else 2)
    before = contents(sweep)
    with pytest.raises(ValueError, match="holds another sweep") as error:
        run_sweep(make_workload(**changes), sweep, **QUICK)
    assert named in str(error.value)
    assert contents(sweep) == before


def test_another_reference_and_an_optimizer_of_ones_own_are_told_apart(sweep):
    before = contents(sweep)
    with pytest.raises(ValueError, match="reference is tiny_workload:WORKLOAD there"):
        run_sweep("tiny_workload:make_workload", sweep, **QUICK)
    own = {"keras.SGD": tiny_workload.keras.optimizers.Adam}
    with pytest.raises(ValueError, match=r"custom optimizers is \[\].*keras.SGD"):
        run_sweep(WORKLOAD, sweep, **{**QUICK, "optimizers": own})
    assert contents(sweep) == before


def test_a_fingerprint_passes_over_what_keras_numbers():
    def build():
        layers = tiny_workload.keras.layers
        inputs = layers.Input((4,))
        inner = layers.Lambda(lambda x: 2 * x)(layers.Dense(4)(inputs))
        outputs = layers.Dense(3)(layers.Dropout(0.1)(inner))
        return tiny_workload.keras.Model(inputs, outputs)

    first, again = fingerprint_model(build()), fingerprint_model(build())
    assert first == again != fingerprint_model(other_model())
    objects = tiny_workload.load_data()._replace(y_val=np.array(["a"] * 20, object))
    assert fingerprint_data(objects) == fingerprint_data(objects)


def test_failed_runs_are_tried_again(tmp_path, monkeypatch):
    broken = {"is": True}

    def build():
        if broken["is"]:
            raise RuntimeError("out of memory")
        return tiny_workload.build_model()

    workload = make_workload(build_model=build)
    records = run_sweep(workload, tmp_path, **QUICK)
    assert [record.status for record in records] == ["failed"] * 4
    log = (tmp_path / "failures.log").read_text()
    assert log.count("Traceback") == 1
    assert "in build" in log
    broken["is"] = False
    seen = []
    records = run_sweep(workload, tmp_path, progress=seen.append, **QUICK)
    assert [record.status for record in records] == ["ok"] * 4
    assert [p.finished for p in seen] == [0, 1, 2, 3, 4]


def test_an_overwriting_that_is_killed_can_be_repeated(sweep, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr("tuning.sweep.run.write_plan", killed)
        with pytest.raises(KeyboardInterrupt):
            run_sweep(WORKLOAD, sweep, on_existing="overwrite", **QUICK)
    assert not (sweep / RUNS_FILE).exists()
    assert (sweep / "sweep.json").exists()
    assert len(run_sweep(WORKLOAD, sweep, on_existing="overwrite", **QUICK)) == 4


def test_a_sweep_without_its_plan_can_be_overwritten(sweep):
    (sweep / "sweep.json").unlink()
    with pytest.raises(ValueError, match="not the directory of a sweep"):
        run_sweep(WORKLOAD, sweep, **QUICK)
    assert len(run_sweep(WORKLOAD, sweep, on_existing="overwrite", **QUICK)) == 4


@pytest.mark.parametrize("text", ['{"mine": 1}', "[]", '{"format": 1}'])
def test_a_sweep_json_of_somebody_else_is_not_overwritten(tmp_path, text):
    (tmp_path / "sweep.json").write_text(text)
    (tmp_path / "report.html").write_text("mine")
    before = contents(tmp_path)
    with pytest.raises(ValueError, match="is not the plan of a sweep"):
        run_sweep(WORKLOAD, tmp_path, on_existing="overwrite", **QUICK)
    assert contents(tmp_path) == before


def test_a_torn_plan_is_overwritten(sweep):
    (sweep / "sweep.json").write_text('{"format": 1, "gr')
    assert len(run_sweep(WORKLOAD, sweep, on_existing="overwrite", **QUICK)) == 4


@pytest.mark.parametrize("place", ["write_run", "write_missing"])
def test_a_full_disk_is_told_and_the_sweep_can_be_continued(
    tmp_path, monkeypatch, place
):
    def full(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    with monkeypatch.context() as context:
        context.setattr(f"tuning.tensorboard.sweep_events.{place}", full)
        with pytest.raises(OSError, match=r"has stopped.*No space left.*continue it"):
            run_sweep(WORKLOAD, tmp_path, **QUICK)
    assert len(run_sweep(WORKLOAD, tmp_path, **QUICK)) == 4


@pytest.mark.parametrize("size", [200, 1500, 2500, 4000])
def test_writing_that_ends_at_any_byte_loses_nothing_that_was_recorded(tmp_path, size):
    # No file may grow beyond so many bytes: what a full disk is like, for real.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        with pytest.raises(OSError, match=r"has stopped, because something could not"):
            run_sweep(WORKLOAD, tmp_path / "sweep", **QUICK)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    path = tmp_path / "sweep" / RUNS_FILE
    before = path.read_bytes() if path.exists() else b""
    kept = before[: before.rfind(b"\n") + 1]
    records = run_sweep(WORKLOAD, tmp_path / "sweep", **QUICK)
    assert [record.status for record in records] == ["ok"] * 4
    assert path.read_bytes().startswith(kept)
    whole = [line for line in path.read_text().splitlines() if line.endswith("}")]
    assert len(whole) == len({json.loads(line)["run_id"] for line in whole}) == 4


def test_tensorboard_logs_that_were_deleted_are_made_again(sweep):
    before = (sweep / RUNS_FILE).read_bytes()
    shutil.rmtree(sweep / "tensorboard")
    assert len(run_sweep("tiny_workload:WORKLOAD", sweep, **QUICK)) == 4
    assert len(list(sweep.glob("tensorboard/keras.SGD/*/*/*/events.*"))) == 4
    assert len(list(sweep.glob("tensorboard/events.*"))) == 1
    assert (sweep / RUNS_FILE).read_bytes() == before


def test_optimizers_of_a_program_cannot_be_continued_without_it(tmp_path):
    own = {"mine": tiny_workload.keras.optimizers.SGD}
    run_sweep("tiny_workload:WORKLOAD", tmp_path, **{**QUICK, "optimizers": own})
    with pytest.raises(ValueError, match=r"runs optimizers of a Python program.*mine"):
        resume_sweep(tmp_path)


def test_numbers_of_numpy_may_count_seeds_and_epochs(tmp_path):
    counts = {"seeds": np.int64(1), "epochs": np.int64(1)}
    assert len(run_sweep(WORKLOAD, tmp_path, **{**QUICK, **counts})) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"optimizers": "keras.Adam"}, "must be a sequence; received 'keras.Adam'"),
        ({"seeds": -1}, "seeds must be a count of at least 1.*received -1"),
        ({"seeds": 0}, "seeds must be a count"),
        ({"seeds": 2.0}, r"seeds must be a count.*received 2\.0"),
        ({"seeds": True}, "seeds must be a count"),
        ({"epochs": "3"}, "epochs must be an integer"),
        ({"execution": "fast"}, "execution must be one of"),
        ({"options": {"keras.SGD": {"momentum": {1}}}}, "option 'momentum'"),
    ],
    ids=str,
)
def test_unusable_arguments_are_told_before_anything_is_made(
    tmp_path, arguments, message
):
    with pytest.raises(ValueError, match=message):
        run_sweep(WORKLOAD, tmp_path / "sweep", **{**QUICK, **arguments})
    assert list(tmp_path.iterdir()) == []


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
    runs = {path.parent.name for path in sweep.glob("tensorboard/keras.SGD/*/*/seed=*")}
    assert runs == {"lr=0.3"}


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizers": ["no-such-optimizer"]},
        {"options": {"keras.SGD": {"no_such_option": 1}}},
        {"batch_sizes": [51]},
        {"learning_rates": []},
        {"on_existing": "merge"},
        pytest.param(
            {"optimizers": {"mine": tiny_workload.broken_optimizer}},
            id="a function that builds no optimizer",
        ),
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


@pytest.mark.skipif(directories.fcntl is None, reason="no lock without fcntl")
def test_two_sweeps_do_not_share_a_directory(sweep):
    drop_lines(sweep, 2)
    with (
        directories.claimed(sweep),
        pytest.raises(ValueError, match="another sweep is running"),
    ):
        run_sweep(WORKLOAD, sweep, **QUICK)
    assert len(run_sweep(WORKLOAD, sweep, **QUICK)) == 4


@pytest.mark.skipif(directories.fcntl is None, reason="no lock without fcntl")
def test_a_sweep_that_comes_second_removes_nothing(tmp_path, monkeypatch):
    directory = tmp_path / "sweep"
    with directories.claimed(directory):
        exists = Path.exists
        with monkeypatch.context() as context:
            # The second one looked before the first had made the directory.
            context.setattr(Path, "exists", lambda p: p != directory and exists(p))
            with (
                pytest.raises(ValueError, match="another sweep is running"),
                directories.claimed(directory),
            ):
                pass
        assert (directory / directories.LOCK_FILE).exists()
    assert not directory.exists()


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
            "keras.SGD": tiny_workload.keras.optimizers.SGD,
            "stops": tiny_workload.StopsEarly,
        },
        learning_rates=[0.01, 1e6],
        seeds=2,
    )
    by_kind = {(r.optimizer, r.learning_rate): r.status for r in records}
    assert by_kind == {
        ("keras.SGD", 0.01): "ok",
        ("keras.SGD", 1e6): "diverged",
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

    monkeypatch.setattr("tuning.sweep.loop.append_record", full)
    with pytest.raises(OSError, match="no space left"):
        run_sweep(WORKLOAD, tmp_path, **QUICK)


@pytest.mark.slow
def test_kill_9_loses_the_run_in_progress_and_no_other(tmp_path):
    code = (
        "import sys; from tuning import run_sweep;"
        "run_sweep('tiny_workload:WORKLOAD', sys.argv[1],"
        "optimizers=['keras.SGD', 'keras_adam.Adam'],"
        " seeds=5, epochs=3)"
    )
    environment = {**os.environ, "PYTHONPATH": PYTHONPATH}
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


def test_a_grid_and_an_engine_may_be_given_whole(tmp_path):
    grid = Grid(("mine",), (0.01,), (16,), (0,), 1)
    records = run_sweep(
        WORKLOAD,
        tmp_path / "sweep",
        grid=grid,
        optimizers={"mine": tiny_workload.keras.optimizers.SGD},
        engine=EngineOptions("local", workers=1),
        execution="model.fit",
    )
    assert [record.run_id for record in records] == ["mine/batch=16/lr=0.01/seed=0"]
    with pytest.raises(ValueError, match=r"grid already holds.*seeds, epochs"):
        run_sweep(WORKLOAD, tmp_path / "other", grid=grid, seeds=3, epochs=2)
    with pytest.raises(TypeError, match="no argument 'worker'; its engine has"):
        run_sweep(WORKLOAD, tmp_path / "other", worker=2)

"""Symbolic links in a sweep's directory: nothing outside is written or removed."""

import os
import shutil

import pytest
from sweep_values import make_record

from tuning import run_sweep
from tuning.runs_file import RUNS_FILE, append_record
from tuning.search.tuner import _remove_project
from tuning.sweep import directory as directories
from tuning.system.files import write_whole
from tuning.tensorboard.report_events import write_report_run
from tuning.tensorboard.sweep_events import is_written, write_run

QUICK = {"optimizers": ["keras.SGD"], "execution": "model.fit", "epochs": 1, "seeds": 1}
EVENTS = "events.out.tfevents.mine"


def contents(directory):
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    directory = tmp_path_factory.mktemp("links") / "sweep"
    run_sweep("tiny_workload:WORKLOAD", directory, **QUICK)
    return directory


@pytest.fixture
def outside(tmp_path):
    """A directory of somebody else, with names that a sweep would write or remove."""
    directory = tmp_path / "outside"
    for name in (
        EVENTS,
        f"batch=16/lr=0.1/seed=0/{EVENTS}",
        "trial.json",
        "oracle.json",
        "file",
    ):
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    return directory


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("tensorboard", ""),
        ("tensorboard/keras.SGD", ""),
        ("tensorboard/keras.SGD/batch=16", "batch=16"),
        ("tensorboard/report", ""),
        ("kerastuner", ""),
        ("kerastuner/trial_0", ""),
        ("kerastuner/trial_7", ""),
        (RUNS_FILE, "new"),
        ("sweep.lock", "file"),
        ("sweep.lock", "new"),
        ("failures.log", "file"),
        ("sweep.json", "new"),
        ("workers", ""),
        ("report.html", "file"),
    ],
)
@pytest.mark.parametrize("on_existing", ["continue", "overwrite"])
def test_a_link_out_of_the_directory_is_refused(
    finished, tmp_path, outside, link, target, on_existing
):
    sweep = shutil.copytree(finished, tmp_path / "sweep")
    path = sweep / link
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.symlink_to(outside / target)
    lines = (sweep / RUNS_FILE).read_bytes() if link != RUNS_FILE else b""
    before = contents(outside)
    with pytest.raises(ValueError, match=r"link to .*, which is outside of .*sweep"):
        run_sweep("tiny_workload:WORKLOAD", sweep, on_existing=on_existing, **QUICK)
    assert contents(outside) == before
    assert link == RUNS_FILE or (sweep / RUNS_FILE).read_bytes() == lines


@pytest.mark.parametrize("on_existing", ["continue", "overwrite"])
@pytest.mark.parametrize(
    ("name", "kind", "told"),
    [
        ("tensorboard", "file", "tensorboard is a file; it must be a directory"),
        ("kerastuner", "file", "kerastuner is a file; it must be a directory"),
        (RUNS_FILE, "directory", "runs.jsonl is a directory; it must be a file"),
        (RUNS_FILE, "pipe", "runs.jsonl is not a regular file; remove it"),
        ("sweep.json", "pipe", "sweep.json is not a regular file; remove it"),
        ("sweep.lock", "pipe", "sweep.lock is not a regular file; remove it"),
        ("report.html", "directory", "report.html is a directory; it must be a file"),
    ],
)
def test_what_stands_in_the_place_of_its_own_is_told(
    finished, tmp_path, name, kind, told, on_existing
):
    sweep = shutil.copytree(finished, tmp_path / "sweep")
    path = sweep / name
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    else:
        (path.touch if kind == "file" else path.mkdir)()
    before = contents(sweep)
    with pytest.raises(ValueError, match=told):
        run_sweep("tiny_workload:WORKLOAD", sweep, on_existing=on_existing, **QUICK)
    assert contents(sweep) == before


def test_links_within_the_directory_and_to_it_are_followed(finished, tmp_path):
    sweep = shutil.copytree(finished, tmp_path / "sweep")
    (sweep / "tensorboard").rename(sweep / "elsewhere")
    (sweep / "tensorboard").symlink_to("elsewhere")
    (tmp_path / "link").symlink_to("sweep")
    records = run_sweep("tiny_workload:WORKLOAD", tmp_path / "link", **QUICK)
    assert len(records) == 2


@pytest.mark.parametrize("run_id", ["/{}/x", "../outside", "a/../../outside", "", "."])
def test_a_key_of_a_run_cannot_lead_out(tmp_path, outside, run_id):
    board = tmp_path / "board"
    record = make_record(run_id=run_id.format(outside))
    before = contents(tmp_path)
    for use in (write_run, is_written):
        with pytest.raises(ValueError, match="is not the name of a place inside"):
            use(board, record)
    assert contents(tmp_path) == before


def test_the_report_of_tensorboard_stays_inside(tmp_path, outside):
    board = tmp_path / "board"
    board.mkdir()
    (board / "report").symlink_to(outside)
    before = contents(outside)
    with pytest.raises(ValueError, match="through a symbolic link"):
        write_report_run(board, "text", {}, {})
    assert contents(outside) == before


def test_single_writers_refuse_links_too(tmp_path, outside):
    directory = tmp_path / "sweep"
    (directory / "kerastuner").mkdir(parents=True)
    (directory / RUNS_FILE).symlink_to(outside / "file")
    (directory / directories.LOCK_FILE).symlink_to(outside / "file")
    (directory / "kerastuner/trial_0").symlink_to(outside)
    (directory / f".page.{os.getpid()}.partial").symlink_to(outside / "file")
    before = contents(outside)
    with pytest.raises(ValueError, match="symbolic link"):
        append_record(directory, make_record())
    with (
        pytest.raises(ValueError, match="symbolic link"),
        directories.claimed(directory),
    ):
        pass
    with pytest.raises(ValueError, match="symbolic link"):
        _remove_project(directory / "kerastuner")
    write_whole(directory / "page", "new")
    assert (directory / "page").read_text() == "new"
    assert contents(outside) == before

"""What the user's code leaves behind holds up neither the program nor its workers."""

import os
import subprocess
import sys

import left_behind
import pytest
from live_processes import is_alive, wait_until
from places import PYTHONPATH

from tuning import run_sweep
from tuning.runs_file import read_records

LEAVINGS = {
    "thread 'mine'": "threading.Thread(target=wait, name='mine').start()",
    "process 'mine'": (
        "context = multiprocessing.get_context('fork')\n"
        "child = context.Process(target=wait, name='mine')\n"
        "child.start()\n"
        "print(child.pid, flush=True)"
    ),
    "a function registered with atexit": "atexit.register(wait)",
}

PROGRAM = """
import atexit, multiprocessing, sys, threading
from concurrent.futures import ThreadPoolExecutor
from tuning.cli import departure
wait = threading.Event().wait
{leave}
try:
    sys.exit(3)
finally:
    departure.end_in_time(3, {seconds})
"""


def run_program(leave, seconds=0.3):
    code = PROGRAM.format(leave=leave, seconds=seconds)
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("what", LEAVINGS)
def test_the_program_ends_whatever_is_left_and_says_what_it_was(what):
    ended = run_program(LEAVINGS[what])
    assert ended.returncode == 3
    assert len(ended.stderr.splitlines()) == 1
    assert what in ended.stderr
    for pid in ended.stdout.split():
        wait_until(lambda pid=int(pid): not is_alive(pid))


@pytest.mark.parametrize(
    "leave",
    [
        "",
        "threading.Thread(target=wait, daemon=True).start()",
        "pool = ThreadPoolExecutor(); pool.submit(wait, 0)",
    ],
    ids=["nothing", "daemon", "idle pool"],
)
def test_what_ends_by_itself_is_waited_for_in_silence(leave):
    ended = run_program(leave, seconds=30)
    assert (ended.returncode, ended.stderr) == (3, "")


def test_a_program_that_goes_on_is_left_alone():
    leave = "departure.end_in_time(0, 0.1)\nwait(0.5)\natexit.register(wait, 0.5)"
    ended = run_program(leave, seconds=30)
    assert (ended.returncode, ended.stderr) == (3, "")


@pytest.mark.slow
def test_the_report_is_written_before_the_program_leaves_a_thread(tmp_path):
    environment = {
        **os.environ,
        left_behind.VARIABLE: "thread and process in data, model",
        "PYTHONPATH": PYTHONPATH,
    }
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "tuning", "run", "left_behind:WORKLOAD"),
            *("--out", "s", "--optimizers", "keras.SGD"),
            *("--seeds", "1", "--epochs", "1"),
        ],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "s/report.html").exists()
    last = ended.stderr.splitlines()[-1]
    for place in ("data", "model"):
        assert f"thread 'mine-{place}'" in last
        assert f"process 'mine-{place}'" in last


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["", "lost"])
def test_workers_end_together_with_the_processes_that_runs_leave(
    tmp_path, monkeypatch, lost
):
    workload = left_behind.WORKLOAD
    monkeypatch.setattr(left_behind, "_left", {"model"})  # in this process, nothing
    monkeypatch.setenv(left_behind.VARIABLE, f"process thread model {lost}")
    records = run_sweep(
        workload,
        tmp_path / "sweep",
        optimizers=["keras.SGD"],
        learning_rates=[0.1],
        seeds=1,
        epochs=1,
        workers=2,
    )
    assert [record.status for record in records] == ["failed" if lost else "ok"]
    assert ("SIGABRT" in records[0].message) == bool(lost)
    assert read_records(tmp_path / "sweep") == records

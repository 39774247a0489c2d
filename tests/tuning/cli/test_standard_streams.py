"""Standard streams that are closed, full or read by nobody: the work is done anyway."""

import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from written_sweep import GRID, PLAN, record_of

from tuning.cli.standard_streams import DisplayFile, open_closed_descriptors
from tuning.plan import write_plan
from tuning.runs_file import RUNS_FILE, append_record

FULL = Path("/dev/full")
LOST = (
    "keras-adam-sweep: standard output cannot be written to (No space left on device)"
)

needs_full = pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")


@pytest.fixture
def sweep(tmp_path):
    write_plan(tmp_path, PLAN)
    for run in GRID.runs():
        append_record(tmp_path, record_of(run))
    return tmp_path


def shell(script, *arguments, **variables):
    """Run a script that calls the command as ``$SWEEP``; its standard error."""
    environment = {
        **os.environ,
        "SWEEP": f"{sys.executable} -m tuning",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        **variables,
    }
    return subprocess.run(
        ["bash", "-c", script, "bash", *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("redirection", "told"),
    [
        pytest.param(">/dev/full", True, marks=needs_full),
        pytest.param("2>/dev/full", False, marks=needs_full),
        (">&-", False),
        ("2>&-", False),
        ("<&- >&- 2>&-", False),
    ],
)
def test_a_report_is_written_whoever_reads_on(sweep, redirection, told):
    ended = shell(f'$SWEEP report "$1" {redirection}', sweep)
    assert ended.returncode == 0, ended.stderr
    assert (sweep / "report.html").is_file()
    lines = ended.stderr.splitlines()
    assert len(lines) == told
    assert not told or lines[0].startswith(LOST)


@pytest.mark.parametrize("pipe", ["| head -c 0", "2>&1 | head -c 0"])
def test_a_reader_may_go_away(sweep, pipe):
    script = f'$SWEEP report "$1" {pipe}; exit "${{PIPESTATUS[0]}}"'
    ended = shell(script, sweep)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert (sweep / "report.html").is_file()


@needs_full
def test_what_is_only_shown_and_lost_is_no_success():
    ended = shell("$SWEEP workloads >/dev/full")
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith(LOST)


def test_an_error_keeps_its_status_where_nobody_reads(tmp_path):
    for redirection in ("2>&-", "<&- >&- 2>&-", "2>/dev/null"):
        ended = shell(f'$SWEEP report "$1" {redirection}', tmp_path)
        assert ended.returncode == 2


def test_an_encoding_without_greek_letters_is_no_error():
    ended = shell("$SWEEP workloads", PYTHONIOENCODING="ascii")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.isascii()


@pytest.mark.slow
@pytest.mark.parametrize("redirection", ["<&- >&- 2>&-", ">/dev/full 2>/dev/full"])
def test_a_sweep_is_trained_whoever_looks_on(tmp_path, redirection):
    script = (
        '$SWEEP run tiny_workload:WORKLOAD --out "$1" --optimizers keras.SGD --seeds 1 '
        f"--epochs 1 --workers 2 {redirection}"
    )
    ended = shell(script, tmp_path / "sweep")
    assert ended.returncode == 0, ended.stderr
    lines = (tmp_path / "sweep" / RUNS_FILE).read_text().splitlines()
    assert [json.loads(line)["status"] for line in lines] == ["ok", "ok"]
    assert (tmp_path / "sweep/report.html").is_file()


def test_a_display_lets_go_after_its_first_failure():
    reading, writing = os.pipe()
    failures = []
    stream = io.TextIOWrapper(
        io.BufferedWriter(DisplayFile(writing, failures.append)), line_buffering=True
    )
    stream.write("seen\n")
    assert os.read(reading, 100) == b"seen\n"
    os.close(reading)
    for _ in range(3):
        stream.write("lost\n")
    stream.close()
    assert [failure.errno for failure in failures] == [errno.EPIPE]
    os.close(writing)  # it was not the display's to close


def test_open_descriptors_are_left_alone():
    before = [os.fstat(number) for number in range(3)]
    open_closed_descriptors()
    after = [os.fstat(number) for number in range(3)]
    assert [(s.st_dev, s.st_ino) for s in before] == [
        (s.st_dev, s.st_ino) for s in after
    ]

"""Ctrl-C and SIGTERM: one line and the right status, whenever they come."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from places import PYTHONPATH

from tuning.cli import console
from tuning.cli.interruption import CONTINUES, CONTINUES_WITHOUT_OVERWRITE, STARTS_AGAIN

SECONDS = 300


@contextlib.contextmanager
def start(command, directory):
    """A program, which is killed if the test needs more than five minutes for it."""
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    environment["PYTHONPATH"] = PYTHONPATH
    with subprocess.Popen(
        command,
        cwd=directory,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        timer = threading.Timer(SECONDS, process.kill)
        timer.start()
        try:
            yield process
        finally:
            timer.cancel()
            process.kill()


def wait_until_caught(process):
    """Wait until a process has a handler for SIGTERM, which Python itself has not."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        status = Path(f"/proc/{process.pid}/status").read_text()
        caught = int(re.search(r"SigCgt:\s*(\w+)", status)[1], 16)
        if caught >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.01)
    raise TimeoutError


def wait_for_line(stream, text):
    """Read from a stream until a line has the text."""
    assert any(text in line for line in iter(stream.readline, ""))


def wait_for_a_record(path, process):
    """Wait until a file has a whole line: it is there, and empty, a moment before."""
    while process.poll() is None:
        if path.exists() and "\n" in path.read_text():
            return
        time.sleep(0.05)


def sweep(out, *options):
    return [
        *(sys.executable, "-m", "tuning", "run", "tiny_workload:WORKLOAD"),
        *("--out", str(out), "--optimizers", "keras.SGD", "--seeds", "50", *options),
    ]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
@pytest.mark.parametrize(
    ("number", "delay"),
    [
        (signal.SIGINT, 0.0),
        (signal.SIGTERM, 0.1),
        (signal.SIGINT, 0.4),
        (signal.SIGINT, 1.0),
        (signal.SIGTERM, 2.0),
    ],
)
def test_a_start_that_is_interrupted_says_how_to_go_on(tmp_path, number, delay):
    with start(sweep(tmp_path / "s"), tmp_path) as process:
        wait_until_caught(process)
        time.sleep(delay)
        process.send_signal(number)
        _, told = process.communicate()
    assert told == CONTINUES + "\n"
    assert process.returncode == 128 + number


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "options", "advice"),
    [
        (signal.SIGINT, [], CONTINUES),
        (signal.SIGTERM, ["--workers", "2"], CONTINUES),
        (signal.SIGINT, ["--overwrite"], CONTINUES_WITHOUT_OVERWRITE),
    ],
)
def test_a_sweep_that_is_interrupted_can_be_continued(
    tmp_path, number, options, advice
):
    out = tmp_path / "s"
    with start(sweep(out, *options), tmp_path) as process:
        wait_for_line(process.stderr, "0 of 100 runs")
        wait_for_a_record(out / "runs.jsonl", process)
        process.send_signal(number)
        _, told = process.communicate()
    assert told.splitlines()[-1] == advice
    assert "Traceback" not in told
    assert process.returncode == 128 + number
    assert (out / "runs.jsonl").read_text().count("\n") >= 1


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["run", "digits", "--out", "d"], CONTINUES),
        (["claims", "--out", "d"], CONTINUES),
        (["run", "--overwrite", "digits"], STARTS_AGAIN),
        (["report", "d"], STARTS_AGAIN),
        ([], STARTS_AGAIN),
        (["--help"], STARTS_AGAIN),
    ],
)
def test_the_advice_fits_the_command(arguments, advice):
    assert console.advice_after(arguments) == advice


PROGRAM = """
import hashlib, os, signal, sys, threading, time
from tuning.cli import interruption
interruption.SECONDS_TO_UNWIND = {seconds}
with interruption.signals_caught("advice"):
    try:
        with interruption.unwinding():
            {body}
    except KeyboardInterrupt:
        print(interruption.take_advice(), file=sys.stderr)
        sys.exit(interruption.exit_status())
    sys.exit(5)
"""

SWALLOWS = """
            while True:
                try:
                    print("ready", flush=True)
                    threading.Event().wait()
                except KeyboardInterrupt:
                    print("swallowed", flush=True)
"""


def interrupt(body, tmp_path, numbers=(signal.SIGINT,), seconds=30, until=()):
    code = PROGRAM.format(body=body.strip(), seconds=seconds)
    with start([sys.executable, "-c", code], tmp_path) as process:
        wait_for_line(process.stdout, "ready")
        for number, text in zip(numbers, [*until, None], strict=False):
            process.send_signal(number)
            if text:
                wait_for_line(process.stdout, text)
        _, told = process.communicate()
    return process.returncode, told


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_runs_is_unwound(tmp_path, number):
    body = """
            try:
                print("ready", flush=True)
                threading.Event().wait()
            finally:
                print("unwound", file=sys.stderr, flush=True)
    """
    told = interrupt(body, tmp_path, [number])
    assert told == (128 + number, "unwound\nadvice\n")


def test_a_second_signal_ends_the_program_at_once(tmp_path):
    told = interrupt(SWALLOWS, tmp_path, [signal.SIGINT] * 2, until=["swallowed"])
    assert told == (130, "advice\n")


def test_code_that_swallows_the_interruption_is_ended_in_time(tmp_path):
    assert interrupt(SWALLOWS, tmp_path, seconds=0.2) == (130, "advice\n")


def test_native_code_is_ended_in_time(tmp_path):
    body = (
        "print('ready', flush=True); hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1)"
    )
    assert interrupt(body, tmp_path, seconds=0.2) == (130, "advice\n")


def test_a_handler_of_the_user_s_own_stays(tmp_path):
    body = """
            signal.signal(signal.SIGINT, lambda *_: os._exit(7))
            print("ready", flush=True)
            threading.Event().wait()
    """
    assert interrupt(body, tmp_path) == (7, "")


def test_a_signal_to_a_forked_process_is_its_own(tmp_path):
    body = """
            print("ready", flush=True)
            child = os.fork()
            if not child:
                signal.pause()
                os._exit(0)
            time.sleep(0.1)
            os.kill(child, signal.SIGTERM)
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) + 50)
    """
    assert interrupt(body, tmp_path, numbers=()) == (50 - signal.SIGTERM, "")


def test_an_ignored_signal_stays_ignored(tmp_path):
    code = (
        "import signal, sys; from tuning.cli import interruption;"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "with interruption.signals_caught('advice'):\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "sys.exit(3)"
    )
    ended = subprocess.run([sys.executable, "-c", code], check=False)
    assert ended.returncode == 3


def test_a_program_that_has_called_the_command_is_interrupted_as_before(
    monkeypatch, capsys
):
    monkeypatch.setattr(console, "NEEDED", ("no_such_module",))
    for _ in range(2):
        with pytest.raises(SystemExit):
            console.main()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)

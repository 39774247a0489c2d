"""Every example runs and prints what it promises."""

import os
import re
import subprocess
import sys

import pytest
from places import EXAMPLES

pytestmark = pytest.mark.slow


def run(name, *arguments):
    result = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


def test_fit_a_model():
    output = run("fit_a_model.py")
    accuracies = [
        float(part.split(": ")[1])
        for line in output.splitlines()
        for part in line.split(" - ")
        if part.startswith("val_accuracy")
    ]
    assert accuracies[-1] > 0.85


def test_custom_training_loop():
    output = run("custom_training_loop.py")
    assert "steps taken: 145" in output
    assert "steps skipped: 15" in output


def test_watch_the_optimizer(tmp_path):
    output = run("watch_the_optimizer.py", tmp_path / "logs")
    ratios = re.findall(r"(?:first|second|head): (.*)", output)
    assert len(ratios) == 3
    assert all(0 < float(r) < 0.1 for layer in ratios for r in layer.split(", "))


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    directory = tmp_path_factory.mktemp("sweeps") / "mine"
    output = run("sweep_your_own_model.py", directory)
    assert "32 runs" in output
    return directory


def test_sweep_your_own_model(sweep):
    assert (sweep / "report.html").is_file()


def test_read_a_report(sweep):
    assert "learning rate" in run("read_a_report.py", sweep)


def test_open_in_tensorboard(sweep):
    output = run("open_in_tensorboard.py", sweep)
    assert "32 runs in all" in output
    assert "best_val_loss" in output

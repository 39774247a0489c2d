"""What TensorBoard shows of a whole sweep, read back from the events."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
from browser import Browser, needs_chromium
from command_line import invoke
from event_files import read, read_scalar
from judged_records import make_records
from places import PYTHONPATH
from sweep_values import make_grid
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.util import tensor_util

from tuning.report import tensorboard_pages
from tuning.runs_file import read_records
from tuning.statistics import summarize
from tuning.tensorboard.experiment_events import write_experiment
from tuning.tensorboard.report_events import write_report_run

RECORDS = [
    *make_records("keras.Adam", 16, (1.0, 0.5, "diverged"), (1.2, 0.7, "diverged")),
    *make_records("keras.SGD", 16, (1.6, 1.2, 0.6), (1.6, 1.2, 0.8)),
]


@pytest.fixture
def summary():
    return summarize(RECORDS)


def write(directory, summary):
    write_report_run(
        directory,
        tensorboard_pages.verdict_page(summary),
        tensorboard_pages.heat_map_images(summary),
        tensorboard_pages.losses_by_rate(summary),
    )
    return read(directory / "report")


def test_the_verdict_stands_on_the_text_page(tmp_path, summary):
    events = write(tmp_path, summary)
    (event,) = events.Tensors("verdict")
    text = tensor_util.make_ndarray(event.tensor_proto).item().decode()
    assert "## What the sweep shows" in text
    assert "- Most robust to the learning rate: " in text


def test_losses_over_rates_can_be_laid_over_each_other(tmp_path, summary):
    events = write(tmp_path, summary)
    assert read_scalar(events, "loss_by_rate/batch=16/keras.Adam") == {
        -300: pytest.approx(1.1),
        -200: pytest.approx(0.6),
        -100: pytest.approx(2.0),  # diverged: as if nothing had been learned
    }
    assert len(read_scalar(events, "loss_by_rate/batch=16/keras.SGD")) == 3


def test_heat_maps_are_images_with_a_colour_per_loss(tmp_path, summary):
    images = tensorboard_pages.heat_map_images(summary)
    assert sorted(images) == ["keras.Adam", "keras.SGD"]
    for image in images.values():
        assert image.dtype == np.uint8
        assert image.shape[2] == 3
        colours = {tuple(c) for c in image.reshape(-1, 3)[::7]}
        assert len(colours) > 3
    events = write(tmp_path, summary)
    assert {"loss/keras.Adam", "loss/keras.SGD"} <= set(events.Tags()["tensors"])


def test_writing_the_pages_again_replaces_them(tmp_path, summary):
    write(tmp_path, summary)
    events = write(tmp_path, summary)
    assert len(events.Tensors("verdict")) == 1
    assert len(list((tmp_path / "report").iterdir())) == 1


def test_charts_are_laid_out_for_every_batch_size_and_every_run(tmp_path):
    write_experiment(tmp_path, make_grid(batch_sizes=(16, 64)))
    (event,) = read(tmp_path).Tensors("custom_scalars__config__")
    content = tensor_util.make_ndarray(event.tensor_proto).item()
    by_rate, by_epoch = layout_pb2.Layout.FromString(content).category
    tags = [list(chart.multiline.tag) for chart in by_rate.chart]
    assert tags == [["^loss_by_rate/batch=16/"], ["^loss_by_rate/batch=64/"]]
    tags = [list(chart.multiline.tag) for chart in by_epoch.chart]
    assert tags == [["^epoch_val_loss$"], ["^epoch_loss$"]]


@pytest.mark.slow
def test_every_page_is_written_on_a_backend_other_than_tensorflow(tmp_path):
    out = tmp_path / "sweep"
    command = [sys.executable, "-m", "tuning", "run", "tiny_workload:WORKLOAD"]
    options = ["--out", str(out), "--optimizers", "keras.SGD", "--seeds", "1"]
    subprocess.run(
        [*command, *options, "--epochs", "1"],
        env={
            **os.environ,
            "KERAS_BACKEND": "jax",
            "PYTHONPATH": PYTHONPATH,
        },
        check=True,
    )
    # On JAX there is no other way to train.
    assert {record.execution for record in read_records(out)} == {"model.fit"}
    logs = out / "tensorboard"
    assert (
        "summary/best_val_loss"
        in read(logs / "keras.SGD/batch=16/lr=0.01/seed=0").Tags()["tensors"]
    )
    assert "_hparams_/experiment" in read(logs).Tags()["tensors"]
    assert {"verdict", "loss/keras.SGD"} <= set(read(logs / "report").Tags()["tensors"])


@pytest.mark.slow
@needs_chromium
def test_the_hparams_page_lists_every_setting_in_a_browser(tmp_path):
    out = tmp_path / "sweep"
    result = invoke(
        *("run", "tiny_workload:WORKLOAD", "--out", out, "--optimizers", "keras.SGD"),
        *("--seeds", 1, "--epochs", 1),
    )
    assert result.exit_code == 0, result.output
    command = [sys.executable, "-m", "tuning", "tensorboard", str(out), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as board:
        try:
            url = re.search(r"http://127\.0\.0\.1:\d+/", board.stdout.readline())[0]
            wanted = ["keras.SGD/batch=16/lr=0.01", "best validation loss"]
            with Browser(tmp_path / "browser") as browser:
                page = browser.text_of(f"{url}#hparams", wanted)
        finally:
            # Not by SIGINT, which whatever was started in the background ignores.
            board.terminate()
            board.wait(timeout=60)
    for word in (*wanted, "keras.SGD/batch=16/lr=0.1", "log10_learning_rate"):
        assert word in page

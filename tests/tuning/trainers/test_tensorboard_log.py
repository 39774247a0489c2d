import contextlib
import io
import math
import resource

import numpy as np
import pytest
from event_files import read, read_scalar
from PIL import Image
from sweep_values import make_grid, make_record
from tensorboard.plugins.hparams import metadata
from tensorboard.util import tensor_util

from tuning.tensorboard.experiment_events import Experiment, write_experiment
from tuning.tensorboard.report_events import write_report_run
from tuning.tensorboard.sweep_events import is_written, write_run


def read_hparams(accumulator):
    """The plugin's messages by tag."""
    plugin = accumulator.PluginTagToContent(metadata.PLUGIN_NAME)
    return {
        tag: metadata.plugin_data_pb2.HParamsPluginData.FromString(content)
        for tag, content in plugin.items()
    }


RECORD = make_record(
    epochs=3,
    status="diverged",
    initial_loss=2.0,
    best_val_loss=1.0,
    seconds_per_step=0.25,
    history={"loss": [1.5, 3.0, None], "val_loss": [1.0, 4.0, None]},
)


def test_a_run_is_read_back_as_it_was_recorded(tmp_path):
    assert not is_written(tmp_path, RECORD)
    write_run(tmp_path, RECORD)
    assert is_written(tmp_path, RECORD)
    events = read(tmp_path / "keras.SGD/batch=8/lr=0.1/seed=0")
    assert read_scalar(events, "epoch_loss") == {1: 1.5, 2: 3.0}
    assert read_scalar(events, "epoch_val_loss") == {0: 2.0, 1: 1.0, 2: 4.0}
    assert read_scalar(events, "summary/best_val_loss") == {0: 1.0}
    assert read_scalar(events, "summary/seconds_per_step") == {0: 0.25}
    assert "summary/final_val_loss" not in events.Tags()["tensors"]


def test_metrics_are_told_at_the_best_validation_loss(tmp_path):
    history = {
        "loss": [3.0, 2.0, 1.0],
        "val_loss": [2.0, 1.0, None],
        "val_accuracy": [0.5, 0.6, 0.9],
        "val_mean_error": [0.1, None, 0.3],
    }
    write_run(tmp_path, make_record(epochs=3, history=history))
    events = read(tmp_path / make_record().run_id)
    assert read_scalar(events, "summary/best_val_accuracy") == {0: pytest.approx(0.6)}
    assert "summary/best_val_mean_error" not in events.Tags()["tensors"]
    write_experiment(tmp_path, make_grid(), ["val_accuracy"])
    experiment = read_hparams(read(tmp_path))[metadata.EXPERIMENT_TAG].experiment
    last = experiment.metric_infos[-1]
    assert (last.name.tag, last.display_name) == (
        "summary/best_val_accuracy",
        "accuracy at the best loss",
    )


def test_a_rising_objective_is_written_as_it_is(tmp_path):
    record = make_record(
        objective="val_accuracy",
        direction="max",
        initial_loss=-0.25,
        best_val_loss=-0.75,
        final_val_loss=-0.5,
        history={
            "loss": [1.0, 1.0],
            "val_loss": [3.0, 1.0],
            "val_accuracy": [0.75, 0.5],
        },
    )
    write_run(tmp_path, record)
    events = read(tmp_path / record.run_id)
    assert read_scalar(events, "epoch_val_accuracy") == {0: 0.25, 1: 0.75, 2: 0.5}
    assert read_scalar(events, "summary/best_val_accuracy") == {0: 0.75}
    assert read_scalar(events, "summary/final_val_accuracy") == {0: 0.5}
    assert read_scalar(events, "summary/best_val_loss") == {
        0: 3.0
    }  # at the best accuracy


def test_metrics_that_only_a_run_knows_are_added_to_the_page(tmp_path):
    experiment = Experiment(tmp_path, make_grid())
    experiment.write_missing()
    record = make_record(
        objective="val_accuracy",
        direction="max",
        history={"loss": [1.0], "val_loss": [3.0], "val_accuracy": [0.75]},
    )
    experiment.add(record)
    written = read_hparams(read(tmp_path))[metadata.EXPERIMENT_TAG].experiment
    assert [metric.display_name for metric in written.metric_infos] == [
        "best val_accuracy",
        "final val_accuracy",
        "seconds per step",
        "loss at the best val_accuracy",
    ]
    before = list(tmp_path.iterdir())
    experiment.add(record)
    assert list(tmp_path.iterdir()) == before  # nothing new, nothing written


def test_a_run_stands_on_the_hparams_page(tmp_path):
    write_run(tmp_path, RECORD)
    messages = read_hparams(read(tmp_path / RECORD.run_id))
    start = messages[metadata.SESSION_START_INFO_TAG].session_start_info
    assert start.group_name == "keras.SGD/batch=8/lr=0.1"  # seeds are one row
    assert start.hparams["optimizer"].string_value == "keras.SGD"
    assert start.hparams["learning_rate"].number_value == pytest.approx(0.1)
    assert start.hparams["log10_learning_rate"].number_value == -1
    assert start.hparams["batch_size"].string_value == "8"
    assert "seed" not in start.hparams
    assert metadata.SESSION_END_INFO_TAG in messages


def test_arguments_of_optimizers_are_columns_of_their_own(tmp_path):
    name = "keras.SGD(momentum=0.9, nesterov=True, name='a')"
    write_experiment(tmp_path, make_grid(optimizers=(name, "keras.Adam")))
    write_run(tmp_path, make_record(optimizer=name))
    experiment = read_hparams(read(tmp_path))[metadata.EXPERIMENT_TAG].experiment
    names = [info.name for info in experiment.hparam_infos]
    columns = ["optimizer.momentum", "optimizer.nesterov", "optimizer.name"]
    assert names[4:] == columns
    messages = read_hparams(read(tmp_path / make_record(optimizer=name).run_id))
    values = messages[metadata.SESSION_START_INFO_TAG].session_start_info.hparams
    assert values["optimizer.momentum"].number_value == 0.9
    assert values["optimizer.nesterov"].bool_value
    assert values["optimizer.name"].string_value == "a"


def test_writing_a_run_again_replaces_it(tmp_path):
    write_run(tmp_path, make_record(best_val_loss=9.0))
    write_run(tmp_path, make_record(best_val_loss=1.0))
    directory = tmp_path / make_record().run_id
    assert len(list(directory.iterdir())) == 1
    assert read_scalar(read(directory), "summary/best_val_loss") == {0: 1.0}


def test_a_number_that_is_not_finite_is_left_out(tmp_path):
    write_run(tmp_path, make_record(best_val_loss=math.inf, initial_loss=math.nan))
    tags = read(tmp_path / make_record().run_id).Tags()["tensors"]
    assert not {"summary/best_val_loss", "epoch_val_loss"} & set(tags)


def test_the_experiment_names_its_axes_once(tmp_path):
    for _ in range(2):
        write_experiment(tmp_path, make_grid())
    assert len(list(tmp_path.iterdir())) == 1
    experiment = read_hparams(read(tmp_path))[metadata.EXPERIMENT_TAG].experiment
    domains = {
        info.name: list(info.domain_discrete) for info in experiment.hparam_infos
    }
    assert domains["optimizer"] == ["keras.SGD", "keras_adam.Adam"]
    assert domains["learning_rate"] == [0.01, 0.1]
    assert experiment.metric_infos[0].name.tag == "summary/best_val_loss"


@contextlib.contextmanager
def files_of_at_most(size):
    """What a full disk is like, for real: no file may grow beyond so many bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("size", [10, 300, 3000])
def test_a_full_disk_is_an_error_of_python_in_one_line(tmp_path, size):
    image = np.random.default_rng(0).integers(256, size=(80, 80, 3), dtype=np.uint8)
    report = ("text", {"keras.Adam": image}, {"batch=8/keras.Adam": {0.1: 1.0}})
    with files_of_at_most(size), pytest.raises(OSError, match="too large") as error:
        write_report_run(tmp_path, *report)
    assert (
        str(error.value) == f"{tmp_path}/report cannot be written to: File too large."
    )
    write_report_run(tmp_path, *report)
    assert "verdict" in str(read(tmp_path / "report").Tags()["tensors"])


def test_a_full_disk_leaves_the_earlier_events_of_a_run(tmp_path):
    write_run(tmp_path, make_record(best_val_loss=9.0))
    directory = tmp_path / make_record().run_id
    for size in (10, 300):
        with files_of_at_most(size), pytest.raises(OSError, match="cannot be written"):
            write_run(tmp_path, RECORD)
    assert read_scalar(read(directory), "summary/best_val_loss") == {0: 9.0}
    # And a run without events does not look as if it had some.
    with files_of_at_most(300), pytest.raises(OSError, match="cannot be written"):
        write_run(tmp_path, make_record(1))
    assert not is_written(tmp_path, make_record(1))
    write_run(tmp_path, RECORD)
    assert [path.name[:6] for path in directory.iterdir()] == ["events"]


def test_a_full_disk_leaves_the_earlier_pages_of_a_sweep(tmp_path):
    write_report_run(tmp_path, "earlier", {}, {})
    with files_of_at_most(300), pytest.raises(OSError, match="cannot be written"):
        write_report_run(tmp_path, "later " * 100, {}, {})
    (event,) = read(tmp_path / "report").Tensors("verdict")
    assert tensor_util.make_ndarray(event.tensor_proto).item() == b"earlier"


def test_an_image_keeps_its_pixels(tmp_path):
    image = np.random.default_rng(0).integers(256, size=(8, 5, 3), dtype=np.uint8)
    write_report_run(tmp_path, "text", {"adam": image}, {})
    (event,) = read(tmp_path / "report").Tensors("loss/adam")
    width, height, png = tensor_util.make_ndarray(event.tensor_proto)
    assert (width, height) == (b"5", b"8")
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png))), image)


@pytest.mark.parametrize("value", [1e39, -1e308])
def test_a_number_beyond_float32_is_left_out(tmp_path, value):
    write_run(tmp_path, make_record(best_val_loss=value, initial_loss=1.0))
    tags = read(tmp_path / make_record().run_id).Tags()["tensors"]
    assert "summary/best_val_loss" not in tags
    write_report_run(tmp_path, "text", {}, {"a": {0.1: value, 0.2: 1.0}})
    curve = read_scalar(read(tmp_path / "report"), "loss_by_rate/a")
    assert list(curve.values()) == [1.0]

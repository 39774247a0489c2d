"""Arrays that stay in their files: never copied whole, and found again by others."""

import pickle
import subprocess
import sys
from pathlib import Path

import cloudpickle
import numpy as np
import pytest
from tiny_workload import WORKLOAD

from tuning.file_arrays import FileArray, as_file_array, is_in_file, opened
from tuning.fit_workload import FitWorkload
from tuning.trainers.task import Task
from tuning.workload import Data


@pytest.fixture
def mapped(tmp_path):
    values = np.arange(60, dtype="float32").reshape(10, 3, 2)
    np.save(tmp_path / "values.npy", values)
    return np.load(tmp_path / "values.npy", mmap_mode="r")


def test_views_of_a_mapping_are_in_its_file(mapped):
    assert is_in_file(mapped)
    assert is_in_file(np.asarray(mapped)[2:8, :, 0])
    assert not is_in_file(np.array(mapped))
    assert not is_in_file(mapped + 1)
    assert not is_in_file([1, 2])


@pytest.mark.parametrize(
    "index",
    [
        np.s_[:],
        np.s_[2:8],
        np.s_[1::3, :, 1],
        np.s_[:, 1:, ::2],
        np.s_[3],
    ],
)
def test_a_view_is_found_again_by_its_place(mapped, index):
    view = np.asarray(mapped)[index]
    found = as_file_array(view)
    assert isinstance(found, FileArray)
    again = pickle.loads(pickle.dumps(found)).open()
    assert again.shape == view.shape
    np.testing.assert_array_equal(again, view)
    assert is_in_file(again)


def test_what_has_no_place_in_a_file_is_sent_itself(mapped, tmp_path):
    plain = np.ones(3)
    assert as_file_array(plain) is plain
    backwards = np.asarray(mapped)[::-1]
    assert as_file_array(backwards) is backwards
    private = np.load(tmp_path / "values.npy", mmap_mode="c")
    private[0] = 7.0  # only in memory
    assert as_file_array(private) is private
    assert opened(plain) is plain


def test_a_task_is_sent_with_the_places_of_its_arrays(mapped, tmp_path):
    large = np.memmap(tmp_path / "large", "float32", "w+", shape=(1000, 1000))
    large[-1, -1] = 3.0
    arrays = {"x": large, "y": mapped, "validation_data": (large[:9], mapped[:9])}
    by_fit = FitWorkload("tiny", WORKLOAD.build_model, arrays)
    for task in (
        Task(WORKLOAD, Data({"a": large}, large[:, 0], (large[:2],), large[:2, 0]), 1),
        Task(by_fit, None, 1),
    ):
        sent = cloudpickle.dumps(task)
        assert len(sent) < 50_000
        got = pickle.loads(sent)
        x = got.data.x_train["a"] if got.data else got.workload.data["x"]
        assert is_in_file(x)
        np.testing.assert_array_equal(x, large)


MEASURED = """
import re, sys
import numpy as np
import keras
import tuning

path, kind = sys.argv[1:]
rows, width = 6_000, 5_000  # 120 MB
x = np.memmap(path, "float32", "w+", shape=(rows, width))
y = np.zeros((rows, 1), "float32")

def own_memory():
    status = open("/proc/self/status").read()
    return int(re.search(r"RssAnon:\\s+(\\d+)", status)[1]) / 1e3

most = []
class Watch(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        most.append(own_memory())
    on_test_batch_end = on_train_batch_end

def build_model():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((width,)), keras.layers.Dense(1)])
    if kind == "fit":
        model.compile("sgd", "mse")
    else:
        inner = model.evaluate
        model.fit = lambda *a, callbacks, fit=model.fit, **k: fit(
            *a, callbacks=[*callbacks, Watch()], **k)
    return model

if kind == "fit":
    workload = tuning.FitWorkload(
        "large", build_model,
        {"x": x, "y": y, "validation_data": (x[:2000], y[:2000])},
        callbacks=lambda: [Watch()])
else:
    workload = tuning.Workload(
        "large", build_model, lambda: (x, y, x[:2000], y[:2000]), "mse")
before = own_memory()
records = tuning.run_sweep(
    workload, path + ".sweep", optimizers=["keras.SGD"], learning_rates=[1e-3],
    batch_sizes=[500], seeds=1, epochs=1)
assert [r.status for r in records] == ["ok"], records[0].message
print(max(most) - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
@pytest.mark.parametrize("kind", ["arrays", "fit"])
def test_a_file_is_never_copied_whole(tmp_path, kind):
    script = tmp_path / "measured.py"
    script.write_text(MEASURED)
    command = [sys.executable, str(script), str(tmp_path / "x"), kind]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    # Keras, TensorFlow and some batches of 10 MB; the file has 120 MB.
    assert float(done.stdout.split()[-1]) < 110, done.stdout

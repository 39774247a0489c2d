"""Which run each training is written to, and the warning when nothing is written."""

import copy
import errno
import logging
import os
import pickle
import threading
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops
from telemetry_training import fit, linear_model, read

import keras_adam
from keras_adam.telemetry.run_file import RunFile

RATE = "optimizer/learning_rate"


def runs(directory):
    """By run, relative to the directory, the learning rates by step."""
    found = {}
    for file in sorted(Path(directory).rglob("events.out.tfevents.*")):
        run = str(file.parent.relative_to(directory))
        if run not in found:
            found[run] = read(file.parent).get(RATE, {})
    return found


def model_of(rate=0.01, optimizer=keras_adam.Adam):
    return linear_model(optimizer(rate))


def steps_at(rate, *steps):
    return pytest.approx(dict.fromkeys(steps, rate))


# Copies.

COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda one: pickle.loads(pickle.dumps(one)),
}


def test_trials_of_keras_tuner_are_runs_of_their_own(tmp_path):
    keras_tuner = pytest.importorskip("keras_tuner")
    logs = tmp_path / "logs"
    telemetry = keras_adam.AdamTelemetry(logs, every=2)
    seen = []

    class Model(keras_tuner.HyperModel):
        def build(self, hp):
            return model_of(hp.Float("rate", 0.01, 0.1))

        def fit(self, hp, model, callbacks, **options):
            seen.append([c for c in callbacks if isinstance(c, type(telemetry))])
            return fit(model, callbacks, epochs=1).history["loss"][-1]

    tuner = keras_tuner.RandomSearch(
        Model(),
        max_trials=3,
        executions_per_trial=2,
        directory=str(tmp_path / "tuner"),
        overwrite=True,
    )
    tuner.search(callbacks=[telemetry], verbose=0)
    assert len(seen) == 6
    written = runs(logs)
    assert sorted(written) == [f"run-{number}" for number in range(1, 7)]
    assert all(list(rates) == [2, 4, 6] for rates in written.values())
    first = [next(iter(rates.values())) for rates in written.values()]
    assert first[0] == first[1]  # two executions of one trial
    assert len(set(first)) == 3
    assert [c.run_dir for (c,) in seen] == [logs / name for name in sorted(written)]
    assert telemetry.run_dir is None


@pytest.mark.parametrize("make_copy", COPIES.values(), ids=COPIES)
def test_a_copy_is_a_run_of_its_own_whenever_it_is_made(tmp_path, make_copy):
    telemetry = keras_adam.AdamTelemetry(str(tmp_path), every=3)
    made = [make_copy(telemetry)]

    class Copying(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            made.append(make_copy(telemetry))

    model = model_of(0.5)
    fit(model, [telemetry, Copying()], epochs=1)
    made.append(make_copy(telemetry))
    made.append(make_copy(made[-1]))
    for number, one in enumerate(made, start=1):
        assert type(one) is keras_adam.AdamTelemetry
        assert (one.log_dir, one.every) == (tmp_path, 3)
        assert (one.model, one.run_dir) == (None, None)
        fit(model_of(0.01 * number), [one], epochs=1)
    fit(model, [telemetry], epochs=1)  # goes on
    expected = {".": steps_at(0.5, 3, 6, 9, 12)} | {
        f"run-{number + 1}": steps_at(0.01 * number, 3, 6)
        for number in range(1, len(made) + 1)
    }
    assert runs(tmp_path) == expected
    assert telemetry.run_dir == tmp_path


def test_a_copy_goes_on_with_its_own_run(tmp_path):
    one = copy.deepcopy(keras_adam.AdamTelemetry(tmp_path, every=3))
    model = model_of()
    fit(model, [one], epochs=1)
    fit(model, [one], epochs=1)
    assert runs(tmp_path) == {"run-1": steps_at(0.01, 3, 6, 9, 12)}
    fit(model_of(0.5), [one], epochs=1)
    assert runs(tmp_path)["run-2"] == steps_at(0.5, 3, 6)


def test_what_a_subclass_adds_is_copied(tmp_path):
    class Named(keras_adam.AdamTelemetry):
        def __init__(self, name, log_dir):
            super().__init__(log_dir, every=np.int64(7))
            self.labels = [name]

    original = Named("mine", tmp_path)
    for make in (copy.copy, copy.deepcopy):
        one = make(original)
        assert type(one) is Named
        assert (one.labels, one.every) == (["mine"], 7)
    assert copy.deepcopy(original).labels is not original.labels
    assert copy.copy(original).labels is original.labels


def test_a_directory_that_is_assigned_is_used_as_it_is(tmp_path):
    one = copy.copy(keras_adam.AdamTelemetry(tmp_path / "a", every=3))
    one.log_dir = str(tmp_path / "b")
    model = model_of()
    fit(model, [one], epochs=1)
    one.log_dir = tmp_path / "c"
    fit(model, [one], epochs=1)
    assert runs(tmp_path) == {"b": steps_at(0.01, 3, 6), "c": steps_at(0.01, 9, 12)}
    assert not (tmp_path / "a").exists()
    with pytest.raises(TypeError, match="log_dir must be a path; received 3"):
        one.log_dir = 3


# One callback, or one directory, and several trainings.


def test_another_model_is_a_run_of_its_own(tmp_path):
    telemetry = keras_adam.AdamTelemetry(tmp_path, every=3)
    first, second = model_of(0.1), model_of(0.2, keras.optimizers.Adam)
    fit(first, [telemetry], epochs=1)
    fit(second, [telemetry], epochs=1)
    assert telemetry.run_dir == tmp_path / "run-2"
    fit(first, [telemetry], epochs=1)
    assert telemetry.run_dir == tmp_path
    fit(second, [telemetry], epochs=1)
    assert runs(tmp_path) == {
        ".": steps_at(0.1, 3, 6, 9, 12),
        "run-2": steps_at(0.2, 3, 6, 9, 12),
    }


def test_a_loaded_model_that_is_not_the_first_is_a_run_of_its_own(tmp_path):
    logs, saved = tmp_path / "logs", tmp_path / "model.keras"
    model = model_of(0.1)
    fit(model, [], epochs=1)
    model.save(saved)
    telemetry = keras_adam.AdamTelemetry(logs, every=3)
    for rate in (0.2, 0.3):
        fold = keras.models.load_model(saved)
        fold.optimizer.learning_rate = rate
        fit(fold, [telemetry], epochs=1)
    assert runs(logs) == {".": steps_at(0.2, 9, 12), "run-2": steps_at(0.3, 9, 12)}


def test_a_new_callback_per_fold_hides_no_fold(tmp_path):
    for fold in range(1, 4):
        telemetry = keras_adam.AdamTelemetry(tmp_path, every=3)
        fit(model_of(0.1 * fold), [telemetry], epochs=1)
    assert runs(tmp_path) == {
        ".": steps_at(0.1, 3, 6),
        "run-2": steps_at(0.2, 3, 6),
        "run-3": steps_at(0.3, 3, 6),
    }


def test_a_new_optimizer_is_a_run_of_its_own_and_the_same_one_is_not(tmp_path):
    telemetry = keras_adam.AdamTelemetry(tmp_path, every=3)
    model = model_of(0.1)
    fit(model, [telemetry], epochs=1)
    model.compile(model.optimizer, loss="mae")
    fit(model, [telemetry], epochs=1)
    model.compile(keras_adam.Adam(0.2), loss="mse")
    fit(model, [telemetry], epochs=1)
    assert runs(tmp_path) == {
        ".": steps_at(0.1, 3, 6, 9, 12),
        "run-2": steps_at(0.2, 3, 6),
    }


def test_an_optimizer_that_is_set_back(tmp_path):
    logs = tmp_path / "logs"
    telemetry = keras_adam.AdamTelemetry(logs, every=3)
    model = model_of(0.1)
    model.optimizer.build(model.trainable_variables)
    model.save_weights(tmp_path / "0.weights.h5")
    fit(model, [telemetry], epochs=1)
    model.save_weights(tmp_path / "6.weights.h5")
    fit(model, [telemetry], epochs=1)
    # To an earlier step, it goes on from there.
    model.load_weights(tmp_path / "6.weights.h5")
    model.optimizer.learning_rate = 0.2
    fit(model, [telemetry], epochs=1)
    first = {3: 0.1, 6: 0.1, 9: 0.2, 12: 0.2}
    assert runs(logs) == {".": pytest.approx(first)}
    # To its beginning, it has nothing in common with what was.
    model.load_weights(tmp_path / "0.weights.h5")
    model.optimizer.learning_rate = 0.3
    fit(model, [telemetry], epochs=1)
    assert runs(logs) == {".": pytest.approx(first), "run-2": steps_at(0.3, 3, 6)}


def test_two_callbacks_with_one_directory(tmp_path):
    callbacks = [keras_adam.AdamTelemetry(tmp_path, every=every) for every in (2, 3)]
    model = model_of(0.1)
    fit(model, callbacks, epochs=1)
    assert runs(tmp_path) == {
        ".": steps_at(0.1, 2, 4, 6),
        "run-2": steps_at(0.1, 3, 6),
    }
    # Also where both might continue what was there.
    callbacks = [keras_adam.AdamTelemetry(tmp_path, every=every) for every in (4, 3)]
    fit(model, callbacks, epochs=1)
    assert {run: list(written) for run, written in runs(tmp_path).items()} == {
        ".": [2, 4, 6, 8, 12],
        "run-2": [3, 6],
        "run-3": [9, 12],
    }


def test_threads_that_open_one_directory_get_different_ones(tmp_path):
    from keras_adam.telemetry.runs import open_run

    opened, meet = [], threading.Barrier(8)

    def open_one():
        meet.wait(60)
        opened.append(open_run(tmp_path, {}, is_continued=False, is_copy=False))

    threads = [threading.Thread(target=open_one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({file.directory for file in opened}) == 8


def test_a_fit_within_a_fit(tmp_path):
    telemetry = keras_adam.AdamTelemetry(tmp_path, every=3)
    outer, inner = model_of(0.1), model_of(0.2)

    class Within(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                fit(inner, [telemetry], epochs=1)

    fit(outer, [Within(), telemetry], epochs=3)
    assert runs(tmp_path) == {
        ".": steps_at(0.1, 3, 6, 9, 12, 15, 18),
        "run-2": steps_at(0.2, 3, 6),
    }
    assert telemetry.model is outer


def test_a_fit_that_was_interrupted_is_followed_by_another(tmp_path):
    telemetry = keras_adam.AdamTelemetry(tmp_path, every=2)

    class Interrupting(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    model = model_of(0.1)
    with pytest.raises(KeyboardInterrupt):
        fit(model, [telemetry, Interrupting()], epochs=2)
    fit(model, [telemetry], epochs=1)
    fit(model_of(0.2), [telemetry], epochs=1)
    assert runs(tmp_path) == {
        ".": steps_at(0.1, 2, 4, 6, 8, 10, 12),
        "run-2": steps_at(0.2, 2, 4, 6),
    }


def test_an_evaluation_of_another_model_disturbs_nothing(tmp_path):
    telemetry = keras_adam.AdamTelemetry(tmp_path, every=3)
    other, x = model_of(), np.zeros((4, 5), "float32")

    class Evaluating(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 2:
                other.evaluate(x, x[:, :2], verbose=0, callbacks=[telemetry])

    fit(model_of(0.1), [Evaluating(), telemetry], epochs=1)
    other.evaluate(x, x[:, :2], verbose=0, callbacks=[telemetry])
    assert runs(tmp_path) == {".": steps_at(0.1, 3, 6)}


def test_a_backup_that_is_restored_continues_the_run(tmp_path):
    logs, backup = tmp_path / "logs", tmp_path / "backup"

    class Ending(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    def train(rate, *others):
        telemetry = keras_adam.AdamTelemetry(logs, every=3)
        restore = keras.callbacks.BackupAndRestore(backup)
        model = model_of(0.1)
        model.optimizer.build(model.trainable_variables)
        # The telemetry begins before the backup is restored.
        setting = keras.callbacks.LearningRateScheduler(lambda epoch: rate)
        fit(model, [telemetry, restore, setting, *others], epochs=2)

    with pytest.raises(KeyboardInterrupt):
        train(0.1, Ending())
    train(0.2)
    assert runs(logs) == {".": pytest.approx({3: 0.1, 6: 0.1, 9: 0.2, 12: 0.2})}


def test_a_loop_of_train_on_batch_is_shown(tmp_path):
    telemetry = keras_adam.AdamTelemetry(tmp_path, every=2)
    model = model_of(0.1)
    callbacks = keras.callbacks.CallbackList([telemetry], model=model)
    x = np.ones((4, 5), "float32")
    callbacks.on_train_begin()
    for step in range(6):
        callbacks.on_train_batch_begin(step)
        model.train_on_batch(x, x[:, :2])
    callbacks.on_train_end()
    assert runs(tmp_path) == {".": steps_at(0.1, 2, 4, 6)}


def test_telemetry_begins_by_itself_without_on_train_begin(tmp_path):
    telemetry = keras_adam.AdamTelemetry(tmp_path, every=2)
    telemetry.on_epoch_end(0)
    telemetry.on_test_begin()
    telemetry.on_train_end()
    model = model_of(0.1)
    telemetry.set_model(model)
    x = np.ones((4, 5), "float32")
    for step in range(3):
        telemetry.on_train_batch_begin(step)
        model.train_on_batch(x, x[:, :2])
    telemetry.on_train_batch_begin(3)
    assert runs(tmp_path) == {".": steps_at(0.1, 2)}


# Directories.


@pytest.mark.parametrize("every", [np.int64(3), np.uint8(3), 3])
def test_any_whole_number_is_an_interval(tmp_path, every):
    telemetry = keras_adam.AdamTelemetry(tmp_path, every=every)
    assert (telemetry.every, type(telemetry.every)) == (3, int)


@pytest.mark.parametrize("every", [2.0, np.float32(2), False, np.bool_(True), "3"])
def test_what_is_no_interval_is_named(tmp_path, every):
    with pytest.raises(ValueError, match=r"^every must be an integer >= 1; received"):
        keras_adam.AdamTelemetry(tmp_path, every=every)


@pytest.mark.parametrize("log_dir", ["", "a\0b", "\ud800"])
def test_names_that_no_directory_can_have_are_refused(log_dir):
    with pytest.raises(ValueError, match=r"log_dir must be .*; received"):
        keras_adam.AdamTelemetry(log_dir)


def test_bytes_are_no_directory():
    class BytesPath:
        def __fspath__(self):
            return b"logs"

    for log_dir in (b"logs", BytesPath(), 4, ["logs"]):
        with pytest.raises(TypeError, match="log_dir must be a path; received"):
            keras_adam.AdamTelemetry(log_dir)


def test_links_and_undecodable_names_are_directories(tmp_path, monkeypatch):
    real = tmp_path / os.fsdecode(b"deep \xff") / "real"
    link = tmp_path / "link"
    link.symlink_to(real)
    fit(model_of(0.1), [keras_adam.AdamTelemetry(link, every=3)], epochs=1)
    assert link.is_symlink()
    assert real.is_dir()
    # By the link, for TensorBoard cannot read the name.
    assert runs(link) == {".": steps_at(0.1, 3, 6)}
    monkeypatch.chdir(tmp_path)

    class Leaving(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            os.chdir(real)

    telemetry = keras_adam.AdamTelemetry("relative", every=3)
    fit(model_of(0.2), [telemetry, Leaving()], epochs=1)
    assert runs(tmp_path / "relative") == {".": steps_at(0.2, 3, 6)}


def test_a_directory_that_cannot_be_used_ends_fit_before_it_begins(
    tmp_path, monkeypatch
):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("file", "link", "file/below", "loop"):
        model = model_of()
        with pytest.raises(OSError, match=f"log_dir .*{name}"):
            fit(model, [keras_adam.AdamTelemetry(tmp_path / name)])
        assert int(ops.convert_to_numpy(model.optimizer.iterations)) == 0

    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(PermissionError, match="log_dir cannot be written to"):
        fit(model_of(), [keras_adam.AdamTelemetry(tmp_path / "denied")])


def test_a_disk_that_fills_costs_the_rest_of_one_fit(tmp_path, monkeypatch, caplog):
    telemetry = keras_adam.AdamTelemetry(tmp_path, every=2)
    model = model_of(0.1)
    fit(model, [telemetry], epochs=1)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    write = RunFile.write

    def fill(self, step, values):
        if step < 10:
            return write(self, step, values)
        self._path.write_bytes(whole[: len(whole) // 2 + 7])  # amid a record
        self._path = None
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(RunFile, "write", fill)
        with caplog.at_level(logging.WARNING):
            fit(model, [telemetry], epochs=1)
    assert "No space left" in caplog.text
    assert "written nothing" not in caplog.text
    fit(model, [telemetry], epochs=1)
    written = runs(tmp_path)
    assert list(written) == ["."]
    assert {14, 16, 18} <= set(written["."])


def test_what_is_half_written_is_never_written_behind(tmp_path, monkeypatch):
    file = RunFile(tmp_path, {})
    file.write(1, {RATE: 1.0})
    (path,) = tmp_path.iterdir()
    from tensorboard.summary.writer.record_writer import RecordWriter

    def fill(self, data):
        self._writer.write(data[:3])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(RecordWriter, "write", fill)
        with pytest.raises(OSError, match="No space"):
            file.write(2, {RATE: 2.0})
    file.write(3, {RATE: 3.0})
    assert len(list(tmp_path.iterdir())) == 2
    assert read(tmp_path)[RATE] == {1: 1.0, 3: 3.0}
    # Nor does a file that someone has removed end it.
    for removed in tmp_path.iterdir():
        removed.unlink()
    tmp_path.rmdir()
    file.write(4, {RATE: 4.0})
    assert read(tmp_path)[RATE] == {4: 4.0}
    assert path.name not in os.listdir(tmp_path)


# The warning when nothing is written.


def warning_of(caplog, model, epochs=1, every=100, directory=None, **options):
    telemetry = keras_adam.AdamTelemetry(directory, every=every)
    with caplog.at_level(logging.WARNING, logger="keras_adam"):
        if options:
            x, y = options.pop("data")
            options = {"shuffle": False, "verbose": 0, "batch_size": 8} | options
            model.fit(x, y, epochs=epochs, callbacks=[telemetry], **options)
        else:
            fit(model, [telemetry], epochs=epochs)
    assert runs(directory) == {}
    (record,) = [r for r in caplog.records if r.name == "keras_adam.telemetry.callback"]
    return record.getMessage()


class OwnOptimizers(keras.Model):
    """Steps optimizers that compile knows nothing of, as a GAN does."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(2)
        self.dense.build((None, 5))
        self.built = True
        self.own = keras.optimizers.Adam(0.01)
        self.own.build(self.trainable_variables)

    def call(self, x):
        return self.dense(x)

    def train_step(self, data):
        gradients = [ops.ones_like(w) for w in self.trainable_variables]
        self.own.apply(gradients, self.trainable_variables)
        return {"loss": 0.0}


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("compiled", [None, "rmsprop", "built"])
def test_a_model_with_optimizers_of_its_own(tmp_path, caplog, compiled):
    model = OwnOptimizers()
    optimizer = keras_adam.Adam() if compiled == "built" else compiled
    model.compile(optimizer, loss="mse")
    if compiled == "built":
        optimizer.build(model.trainable_variables)
    message = warning_of(caplog, model, every=1, directory=tmp_path)
    assert "every" not in message
    if compiled is None:
        assert "compiled without an optimizer" in message
    else:
        name = {"rmsprop": "RMSprop", "built": "Adam"}[compiled]
        assert f"given to compile(), {name}, took no step" in message
        assert "train_step" in message
    assert int(model.own.iterations) == 6


@pytest.mark.tensorflow_only
def test_one_step_in_which_keras_builds_the_optimizer(tmp_path, caplog):
    x, y = np.ones((8, 5), "float32"), np.ones((8, 2), "float32")
    for every in (1, 100):
        caplog.clear()
        message = warning_of(
            caplog, model_of(), every=every, directory=tmp_path, data=(x, y)
        )
        assert "took step 1 alone" in message
        assert "optimizer.build" in message
        assert "every" not in message
    model = model_of()
    model.optimizer.build(model.trainable_variables)
    fit_once = keras_adam.AdamTelemetry(tmp_path, every=1)
    model.fit(x, y, verbose=0, callbacks=[fit_once])
    assert runs(tmp_path) == {".": steps_at(0.01, 1)}


@pytest.mark.tensorflow_only
def test_an_execution_in_which_keras_builds_the_optimizer(tmp_path, caplog):
    model = linear_model(keras_adam.Adam(), steps_per_execution=3)
    message = warning_of(
        caplog, model, every=2, directory=tmp_path / "a", data=data_of(24)
    )
    assert "steps 1 to 3, all in its first execution" in message
    model = linear_model(keras_adam.Adam(), steps_per_execution=4)
    caplog.clear()
    message = warning_of(
        caplog, model, every=4, directory=tmp_path / "b", data=data_of(48)
    )
    assert "every multiple of every=4 lies in the first execution" in message


def data_of(rows):
    return np.ones((rows, 5), "float32"), np.ones((rows, 2), "float32")


def test_fewer_steps_than_the_interval(tmp_path, caplog):
    model = model_of()
    model.optimizer.build(model.trainable_variables)
    message = warning_of(caplog, model, every=7, directory=tmp_path)
    assert "took steps 1 to 6" in message
    assert "no multiple of every=7" in message
    assert "every=6 or less" in message
    caplog.clear()
    message = warning_of(caplog, model, every=13, directory=tmp_path)
    assert "took steps 7 to 12" in message


@pytest.mark.parametrize("kind", ["skip_nonfinite", "LossScaleOptimizer"])
def test_steps_that_are_all_skipped(tmp_path, caplog, kind):
    if kind == "skip_nonfinite":
        optimizer = keras_adam.Adam(skip_nonfinite=True)
    else:
        optimizer = keras.optimizers.LossScaleOptimizer(keras_adam.Adam())
    x, y = data_of(48)
    x[:] = np.nan
    model = linear_model(optimizer)
    message = warning_of(caplog, model, every=1, directory=tmp_path, data=(x, y))
    assert "Every step of this training was skipped" in message


def test_too_few_batches_for_accumulation(tmp_path, caplog):
    model = linear_model(keras_adam.Adam(gradient_accumulation_steps=8))
    message = warning_of(caplog, model, every=1, directory=tmp_path)
    assert "gradient_accumulation_steps=8" in message
    assert "every" not in message


def test_nothing_to_train(tmp_path, caplog):
    model = model_of()
    message = warning_of(caplog, model, epochs=0, every=1, directory=tmp_path / "a")
    assert "had no batches" in message
    if keras.backend.backend() == "tensorflow":
        caplog.clear()
        model.layers[0].trainable = False
        model.compile(keras_adam.Adam(), loss="mse")
        with pytest.warns(UserWarning, match="does not have any trainable"):
            message = warning_of(caplog, model, every=1, directory=tmp_path / "b")
        assert "no trainable weights" in message


def test_evaluation_alone_says_nothing(tmp_path, caplog):
    telemetry = keras_adam.AdamTelemetry(tmp_path / "logs")
    x, y = data_of(8)
    model = model_of()
    with caplog.at_level(logging.WARNING):
        model.evaluate(x, y, verbose=0, callbacks=[telemetry])
        model.predict(x, verbose=0, callbacks=[telemetry])
    assert not caplog.records
    assert not (tmp_path / "logs").exists()


@pytest.mark.tensorflow_only
def test_weights_that_the_optimizer_does_not_train_are_left_out(tmp_path):
    class Generator(OwnOptimizers):
        """The compiled optimizer trains one half, one of its own the other."""

        def train_step(self, data):
            kernel, bias = self.trainable_variables
            self.own.apply([ops.ones_like(kernel), ops.zeros_like(bias)])
            self.optimizer.apply([ops.ones_like(bias)], [bias])
            return {"loss": 0.0}

    for number, optimizer in enumerate([keras_adam.Adam, keras.optimizers.Adam]):
        model = Generator()
        model.compile(optimizer(0.01), loss="mse")
        logs = tmp_path / str(number)
        fit(model, [keras_adam.AdamTelemetry(logs, every=3)], epochs=1)
        written = read(logs)
        (name,) = {tag.rsplit("/", 1)[0] for tag in written if "optimizer" not in tag}
        assert name.endswith("bias")
        norms = written[f"{name}/gradient_norm"]
        assert norms == pytest.approx(dict.fromkeys((3, 6), 2**0.5), rel=1e-4)


class Weights(keras.layers.Layer):
    """Has weights of the shapes and types given, and adds up their squares."""

    def __init__(self, *weights):
        super().__init__(name="odd")
        self.given = weights

    def build(self, input_shape):
        self.own = [
            self.add_weight(shape=shape, dtype=dtype, name=f"w{i}", initializer="ones")
            for i, (shape, dtype) in enumerate(self.given)
        ]

    def call(self, x):
        floating = [w for w in self.own if "float" in w.dtype]
        squares = [ops.sum(ops.square(ops.cast(w, "float32"))) for w in floating]
        return ops.cast(x, "float32")[:, :1] * sum(squares)


ODD = {
    "empty": [((0, 4), "float32"), ((3,), "float32")],
    "nothing but empty": [((0, 4), "float32"), ((2, 0), "float32")],
    "whole numbers": [((2,), "int32"), ((3,), "float32")],
    "scalars": [((), "float32"), ((), "bfloat16")],
    "several precisions": [((4,), "float16"), ((5,), "bfloat16"), ((3,), "float32")],
}


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
@pytest.mark.parametrize("weights", ODD.values(), ids=ODD)
@pytest.mark.parametrize("make", [keras_adam.Adam, keras.optimizers.Adam])
def test_weights_of_unusual_kind(tmp_path, make, weights):
    has_integers = "int32" in [dtype for _, dtype in weights]
    on_jax = keras.backend.backend() == "jax"
    if has_integers and (on_jax or make is keras.optimizers.Adam):
        pytest.skip("neither Keras's Adam nor JAX trains a model with whole numbers")
    trained = []
    for callbacks in ([], [keras_adam.AdamTelemetry(tmp_path, every=1)]):
        model = keras.Sequential([keras.layers.Input((5,)), Weights(*weights)])
        model.compile(make(0.01), loss="mse")
        x = np.full((24, 5), 0.1, "float32")
        model.fit(x, x[:, :1], batch_size=8, verbose=0, callbacks=callbacks)
        trained.append([*model.get_weights()])
    for one, other in zip(*trained, strict=True):
        np.testing.assert_array_equal(one, other)
    written = read(tmp_path)
    shown = {tag.split("/")[1] for tag in written if not tag.startswith("optimizer")}
    assert shown == {
        f"w{i}"
        for i, (shape, dtype) in enumerate(weights)
        if 0 not in shape and "float" in dtype
    }
    assert all(np.isfinite(list(values.values())).all() for values in written.values())
    assert max(written[RATE]) == 3


def test_a_weight_of_two_layers_is_shown_once(tmp_path):
    class Borrowing(keras.layers.Layer):
        def __init__(self, weight):
            super().__init__()
            self.weight = weight

        def call(self, x):
            return ops.matmul(x, self.weight)

    weight = keras.Variable(np.eye(5, dtype="float32"), name="tied")
    layers = [keras.layers.Input((5,)), Borrowing(weight), Borrowing(weight)]
    model = keras.Sequential(layers)
    model.compile(keras_adam.Adam(0.01), loss="mse")
    x = np.ones((24, 5), "float32")
    telemetry = keras_adam.AdamTelemetry(tmp_path, every=1)
    model.fit(x, 2 * x, batch_size=8, verbose=0, callbacks=[telemetry])
    tags = {tag for tag in read(tmp_path) if tag.endswith("/gradient_norm")}
    assert tags == {"weights/tied/gradient_norm", "optimizer/gradient_norm"}

"""Callbacks of trainings by `fit`: new for every run."""

import keras
import pytest
from fit_training import make_workload, train

from tuning.grid import Run
from tuning.trainers.task import Task
from tuning.trainers.trainer import Trainer

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="tf.data is TensorFlow's"
)


def test_the_weights_that_early_stopping_restores_are_judged():
    def stop():
        return [keras.callbacks.EarlyStopping(patience=2, restore_best_weights=True)]

    record = train(make_workload(callbacks=stop, epochs=9), rate=3.0)
    losses = record.history["val_loss"]
    assert record.status == "ok", record.message
    assert record.final_val_loss == min(losses) < losses[-1]


def test_callbacks_may_know_their_run():
    runs = []

    def make(run):
        runs.append(run.run_id)
        return []

    assert train(make_workload(callbacks=make)).run_id == runs[0]


def test_a_backup_of_another_run_is_never_restored(tmp_path):
    def back_up():
        return [keras.callbacks.BackupAndRestore(tmp_path / "backup")]

    record = train(make_workload(callbacks=back_up))
    assert "goes on by itself" in record.message


def test_a_callback_that_sets_the_learning_rate_is_told_of():
    def schedule():
        return [keras.callbacks.LearningRateScheduler(lambda epoch: 0.5)]

    record = train(make_workload(callbacks=schedule))
    assert record.status == "failed"
    assert (
        "sets the learning rate to 0.5, but that of the run is 0.03" in record.message
    )
    lowered = [keras.callbacks.ReduceLROnPlateau(patience=1)]
    assert train(make_workload(callbacks=lambda: lowered)).status == "ok"


def test_callbacks_may_end_a_run():
    def stop():
        return [keras.callbacks.EarlyStopping(start_from_epoch=1, patience=0)]

    # At this learning rate the third epoch is worse than the second.
    record = train(make_workload(callbacks=stop, epochs=9), rate=3.0)
    losses = record.history["val_loss"]
    assert record.status == "ok", record.message
    assert len(losses) < 9
    assert losses[-1] > losses[-2]
    assert record.epochs == 9


def test_callbacks_must_be_new():
    shared = [keras.callbacks.EarlyStopping()]
    with pytest.raises(TypeError, match="must be a function"):
        make_workload(callbacks=shared)
    workload = make_workload(callbacks=lambda: shared)
    trainer = Trainer(Task(workload, None, 2))
    first, second = (trainer.run(Run("keras.SGD", 16, 0.1, seed)) for seed in (0, 1))
    assert first.status == "ok"
    assert second.status == "failed"
    assert "must return new callbacks" in second.message

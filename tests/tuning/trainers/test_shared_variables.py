"""Layers that `build_model` closes over: no run leaves a trace in the next one."""

import keras
import numpy as np
import pytest
from tiny_workload import make_workload
from training_by_keras import assert_same_history, fit_with_keras, make_trainer

from tuning import run_sweep
from tuning.grid import Run
from tuning.trainers.optimizers import build_optimizer

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="compiled epochs are TensorFlow's"
)

EXECUTIONS = ["compiled-epochs", "model.fit"]


def make_backbone():
    return keras.Sequential(
        [
            keras.layers.Dense(4, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.3),
        ]
    )


def make_head(backbone):
    return keras.Sequential([keras.layers.Input((4,)), backbone, keras.layers.Dense(3)])


def loaded_once():
    """The layers have their weights before the first model is built."""
    backbone = make_backbone()
    backbone.build((None, 4))
    return lambda: make_head(backbone)


def built_by_the_first_model():
    backbone = make_backbone()
    return lambda: make_head(backbone)


def made_by_the_first_model():
    made = []

    def build():
        if not made:
            made.append(make_backbone())
        return make_head(made[0])

    return build


def attached_when_the_model_is_built():
    backbone = make_backbone()

    class Late(keras.Model):
        def build(self, shape):
            self.backbone, self.head = backbone, keras.layers.Dense(3)
            backbone.build(shape)
            self.head.build((None, 4))

        def call(self, inputs, training=False):
            return self.head(self.backbone(inputs, training=training))

    return Late


def one_model_for_all():
    model = make_head(make_backbone())
    return lambda: model


def weights_are_copied():
    """Each model owns its layers; they start as copies of what another one trains."""
    backbone = make_backbone()
    backbone.build((None, 4))

    def build():
        copy = make_backbone()
        copy.build((None, 4))
        copy.set_weights(backbone.get_weights())
        hidden = keras.layers.Dense(4)
        return keras.Sequential(
            [keras.layers.Input((4,)), copy, hidden, backbone, keras.layers.Dense(3)]
        )

    return build


SHARINGS = [
    built_by_the_first_model,
    made_by_the_first_model,
    attached_when_the_model_is_built,
    one_model_for_all,
    weights_are_copied,
]

MOMENTUM = "keras.SGD(momentum=0.9)"
RUNS = [
    Run("keras.SGD", 16, 0.1, 0),
    Run("keras.SGD", 16, 0.1, 1),
    Run(MOMENTUM, 16, 0.03, 1),
]


def train(build_model, runs, execution):
    """The runs one after the other, on a backbone that starts the same each time."""
    keras.utils.set_random_seed(4)
    workload = make_workload(build_model=build_model(), metrics=list)
    trainer = make_trainer(workload, execution=execution, epochs=1)
    return [trainer.run(run) for run in runs]


def assert_same_run(record, other):
    assert record.status == other.status == "ok", record.message + other.message
    assert record.initial_loss == other.initial_loss
    assert record.history == other.history


def check_runs(sharing, execution):
    records = train(sharing, [*RUNS, *RUNS[1::-1]], execution)
    assert_same_run(records[1], records[3])
    assert_same_run(records[0], records[4])
    assert_same_run(train(sharing, RUNS[2:], execution)[0], records[2])
    return records


@pytest.mark.parametrize("sharing", SHARINGS, ids=lambda one: one.__name__)
def test_a_run_is_the_same_alone_first_and_last(sharing):
    check_runs(sharing, "model.fit")


@pytest.mark.slow
@pytest.mark.parametrize("sharing", [made_by_the_first_model, one_model_for_all])
def test_a_compiled_run_is_the_same_alone_first_and_last(sharing):
    records = check_runs(sharing, "compiled-epochs")
    assert {record.execution for record in records} == {"compiled-epochs"}


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_a_run_starts_from_the_weights_that_were_loaded(execution):
    layer = keras.layers.Dense(3)
    layer.build((None, 4))
    start = layer.get_weights()

    def build():
        return keras.Sequential([keras.layers.Input((4,)), layer])

    trainer = make_trainer(make_workload(build_model=build), execution=execution)
    trainer.run(RUNS[0])
    record = trainer.run(RUNS[1])
    for weight, was in zip(layer.get_weights(), start, strict=True):
        np.testing.assert_array_equal(weight, was)  # the user's layer is as it was
    assert_same_history(
        record,
        fit_with_keras(
            make_workload(build_model=build), RUNS[1], build_optimizer("keras.SGD", 0.1)
        ),
    )


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_a_run_that_broke_off_leaves_no_trace(execution, monkeypatch):
    workload = make_workload(build_model=loaded_once(), metrics=list)
    trainer = make_trainer(workload, execution=execution)
    expected = trainer.run(RUNS[1])
    for error in (RuntimeError, KeyboardInterrupt):
        with monkeypatch.context() as patch:

            def broken(*_, error=error):
                raise error("enough")

            patch.setattr("tuning.trainers.training_log.TrainingLog.add_epoch", broken)
            if error is KeyboardInterrupt:
                with pytest.raises(KeyboardInterrupt):
                    trainer.run(RUNS[0])
            else:
                assert trainer.run(RUNS[0]).status == "failed"
        another = make_trainer(workload, execution=execution)
        assert_same_run(another.run(RUNS[1]), expected)


def test_what_build_model_itself_assigns_is_kept():
    layer = keras.layers.Dense(3)
    layer.build((None, 4))

    def build():
        layer.kernel.assign(keras.random.normal((4, 3)))
        return keras.Sequential([keras.layers.Input((4,)), layer])

    records = train(lambda: build, [RUNS[0], RUNS[1], RUNS[0]], "model.fit")
    assert_same_run(records[0], records[2])
    assert records[0].initial_loss != records[1].initial_loss


BACKBONE = make_backbone()
BACKBONE.build((None, 4))
"""Each process that imports this file draws other weights."""


def build_on_the_backbone():
    return make_head(BACKBONE)


@pytest.mark.slow
def test_workers_start_from_the_weights_of_the_program(tmp_path):
    workload = make_workload(build_model=build_on_the_backbone)
    arguments = {"optimizers": ["keras.SGD"], "seeds": 2, "execution": "model.fit"}
    here = run_sweep(workload, tmp_path / "one", **arguments)
    there = run_sweep(workload, tmp_path / "two", workers=2, **arguments)
    for record, other in zip(here, there, strict=True):
        assert record.initial_loss == pytest.approx(other.initial_loss, rel=1e-5)
        assert record.history["val_loss"] == pytest.approx(
            other.history["val_loss"], rel=1e-5
        )


def test_a_sweep_that_is_continued_trains_as_one_that_was_not(tmp_path):
    arguments = {
        "optimizers": ["keras.SGD"],
        "learning_rates": [0.1],
        "seeds": 3,
        "execution": "model.fit",
    }
    workload = make_workload(build_model=build_on_the_backbone)
    whole = run_sweep(workload, tmp_path / "whole", **arguments)
    out = tmp_path / "parts"

    def stop(progress):
        if progress.finished == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_sweep(workload, out, progress=stop, **arguments)
    parts = run_sweep(workload, out, **arguments)
    for record, other in zip(whole, parts, strict=True):
        assert_same_run(record, other)


class TracksInCompile(keras.Model):
    """Makes its metrics where it is compiled, as Keras's own examples do."""

    def __init__(self):
        super().__init__()
        self.inner = keras.layers.Dense(3)

    def compile(self, *args, **options):
        super().compile(*args, **options)
        self.tracker = keras.metrics.Mean(name="tracked")

    def call(self, inputs):
        return self.inner(inputs)


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_a_model_may_make_metrics_when_it_is_compiled(execution):
    trainer = make_trainer(
        make_workload(build_model=TracksInCompile), execution=execution
    )
    record = trainer.run(RUNS[0])
    assert (record.status, record.execution) == ("ok", execution), record.message

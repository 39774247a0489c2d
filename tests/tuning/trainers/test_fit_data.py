"""Data of trainings by `fit`: batches of the run's size, whatever they were."""

import itertools
import math

import keras
import numpy as np
import pytest
import tiny_workload
from fit_training import (
    ARRAYS,
    X_VAL,
    Y_VAL,
    Batches,
    X,
    Y,
    dataset,
    make_workload,
    train,
    train_and_count,
)

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="tf.data is TensorFlow's"
)


def test_the_same_seed_gives_the_same_run():
    workload = make_workload(
        data=lambda: (dataset().shuffle(50).batch(10), dataset(X_VAL, Y_VAL).batch(20))
    )
    first, second, other = (train(workload, seed=seed) for seed in (1, 1, 2))
    assert first.history == second.history
    assert first.history != other.history


@pytest.mark.parametrize(
    "data",
    [
        ARRAYS,
        lambda: ARRAYS,
        (dataset(), dataset(X_VAL, Y_VAL)),
        (dataset().batch(7), dataset(X_VAL, Y_VAL).batch(20)),
        lambda: (dataset().batch(7).prefetch(1), dataset(X_VAL, Y_VAL).batch(20)),
        lambda batch_size: (dataset().batch(batch_size), dataset(X_VAL, Y_VAL)),
        {"x": dataset().batch(16), "validation_data": (X_VAL, Y_VAL)},
    ],
)
def test_batches_have_the_size_of_the_run(data):
    record, steps = train_and_count(make_workload(data=data, epochs=1))
    assert record.status == "ok", record.message
    assert steps == record.steps == math.ceil(50 / 16)


def test_a_dataset_that_drops_the_last_batch_still_does():
    data = {"x": dataset().batch(7, drop_remainder=True)}
    _, steps = train_and_count(make_workload(data=data, epochs=1), batch_size=16)
    assert steps == 3  # 49 examples are left of 50


def test_datasets_of_dictionaries_are_batched_by_the_models_inputs():
    inputs = {"a": keras.Input((2,), name="a"), "b": keras.Input((2,), name="b")}

    def build():
        joined = keras.layers.Concatenate()([inputs["a"], inputs["b"]])
        model = keras.Model(inputs, keras.layers.Dense(3)(joined))
        model.compile("adam", loss=tiny_workload.loss)
        return model

    # Targets are vectors: by themselves they would look like batches.
    rows = dataset({"a": X[:, :2], "b": X[:, 2:]}, Y[:, None])
    for data in (rows, rows.batch(5)):
        workload = make_workload(build_model=build, data=data, epochs=1)
        record, steps = train_and_count(workload, batch_size=10)
        assert record.status == "ok", record.message
        assert steps == 5


def test_columns_of_scalars_are_batched_too():
    def build():
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(3)])
        model.compile("adam", loss=tiny_workload.loss)
        return model

    columns = dataset(X[:, 0], Y), dataset(X[:, :1], Y[:, None])
    for rows in (*columns, columns[0].batch(5), columns[1].batch(5)):
        workload = make_workload(build_model=build, data=rows, epochs=1)
        record, steps = train_and_count(workload, batch_size=10)
        assert record.status == "ok", record.message
        assert steps == 5


def test_images_without_channels_are_batched():
    images = np.zeros((50, 5, 5), "float32")

    def build():
        model = keras.Sequential(
            [keras.Input((5, 5, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]
        )
        model.compile("adam", loss=tiny_workload.loss)
        return model

    for rows in (dataset(images), dataset(images[..., None])):
        data = rows.batch(5) if rows.element_spec[0].shape.rank == 2 else rows
        workload = make_workload(build_model=build, data=data, epochs=1)
        record, steps = train_and_count(workload, batch_size=10)
        assert record.status == "ok", record.message
        assert steps == 5


def test_a_share_of_the_data_validates():
    split = make_workload(data={"x": X, "y": Y, "validation_split": 0.2})
    apart = make_workload(
        data={"x": X[:40], "y": Y[:40], "validation_data": (X[40:], Y[40:])}
    )
    one, other = train(split), train(apart)
    assert one.status == "ok", one.message
    assert one.history == other.history
    assert one.initial_loss == other.initial_loss is not None


def test_a_generator_serves_one_run_and_one_epoch():
    def batches():
        return ((X[i : i + 10], Y[i : i + 10]) for i in range(0, 50, 10))

    def validation():
        yield X_VAL, Y_VAL

    def data():
        return {"x": batches(), "validation_data": validation(), "validation_steps": 1}

    record = train(make_workload(data=data, epochs=1), batch_size=10)
    assert record.status == "ok", record.message
    assert record.steps == 5
    assert record.initial_loss > record.final_val_loss
    record = train(make_workload(data=data, epochs=2), batch_size=10)
    assert "the generator ended after 5 steps" in record.message
    record = train(make_workload(data={"x": batches()}), batch_size=10)
    assert "make data a function that returns a new one" in record.message


def test_steps_per_epoch_cuts_epochs_of_any_data():
    for data in (dataset().batch(5), dataset().repeat().batch(5)):
        workload = make_workload(data=data, fit_options={"steps_per_epoch": 3})
        record, steps = train_and_count(workload, batch_size=25)
        assert record.status == "ok", record.message
        assert steps == record.steps == 6


def test_data_that_end_early_fail_the_run():
    def generator():
        return itertools.islice(itertools.repeat((X[:10], Y[:10])), 5)

    workload = make_workload(data=generator, fit_options={"steps_per_epoch": 4})
    record = train(workload, batch_size=10)
    assert record.status == "failed"
    assert "ended after 1 of 4 steps in epoch 2" in record.message


def test_batches_that_cannot_be_cut_anew_need_the_right_size():
    workload = make_workload(data=lambda: Batches(10))
    assert train(workload, batch_size=10).status == "ok"
    record = train(workload, batch_size=25)
    assert record.status == "failed"
    assert "a parameter batch_size" in record.message
    record = train(make_workload(data=Batches))
    assert record.status == "ok", record.message

"""A run of the lab, and the same run by Keras's `fit` alone."""

import keras
import numpy as np
from tiny_workload import WORKLOAD

from tuning.trainers.data_order import epoch_order
from tuning.trainers.task import Task
from tuning.trainers.trainer import Trainer

EPOCHS = 3
AGREE = 1e-5  # relative; losses of compiled epochs against Keras's own fit


def make_trainer(workload=WORKLOAD, **options):
    options = {"epochs": EPOCHS, **options}
    return Trainer(Task(workload, workload.load_data(), **options))


def fit_with_keras(workload, run, optimizer, epochs=EPOCHS, **compile_options):
    """The run by Keras alone, one ``fit`` per epoch on data put in order by hand."""
    keras.utils.set_random_seed(run.seed)
    model = workload.build_model()
    model(workload.load_data().x_train[:1])
    model.compile(
        optimizer,
        loss=workload.loss,
        metrics=workload.metrics() or None,
        **compile_options,
    )
    x, y, x_val, y_val = workload.load_data()
    history = {}
    for epoch in range(epochs):
        order = epoch_order(len(x), run.seed, epoch)
        logs = model.fit(
            x[order],
            y[order],
            batch_size=run.batch_size,
            shuffle=False,
            validation_data=(x_val, y_val),
            validation_batch_size=64,  # means do not depend on it
            verbose=0,
        ).history
        for name, values in logs.items():
            history.setdefault(name, []).extend(values)
    return history


def assert_same_history(record, expected):
    assert record.status == "ok", record.message
    assert set(record.history) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(record.history[name], values, rtol=AGREE)

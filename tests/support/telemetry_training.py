"""A linear model that telemetry watches, and what it wrote, read back."""

import keras
import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

BATCH = 8
ROWS = 48  # six steps per epoch


def data():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(ROWS, 5)).astype("float32")
    return x, np.sin(x[:, :2]).astype("float32")


def linear_model(optimizer, **compile_options):
    keras.utils.set_random_seed(4)
    model = keras.Sequential(
        [keras.layers.Input((5,)), keras.layers.Dense(2, name="slope")], name="line"
    )
    model.compile(optimizer, loss="mse", **compile_options)
    return model


def fit(model, callbacks, epochs=2):
    x, y = data()
    options = {"batch_size": BATCH, "shuffle": False, "verbose": 0}
    return model.fit(x, y, epochs=epochs, callbacks=callbacks, **options)


def read(directory):
    """Values by tag and step."""
    accumulator = EventAccumulator(str(directory), size_guidance={"tensors": 0})
    accumulator.Reload()
    return {
        tag: {
            event.step: float(tensor_util.make_ndarray(event.tensor_proto))
            for event in accumulator.Tensors(tag)
        }
        for tag in accumulator.Tags()["tensors"]
        if tag != "custom_scalars__config__"
    }

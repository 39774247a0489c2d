"""A task that trains in milliseconds, for tests of everything around training."""

import keras
import numpy as np

from tuning import Data, Workload


def load_data():
    """Three noisy clusters in four dimensions: 50 + 20 examples."""
    generator = np.random.default_rng(7)
    labels = np.arange(70) % 3
    x = np.eye(4)[labels] + generator.normal(0, 0.3, (70, 4))  # float64 on purpose
    y = labels.astype("int32")
    return Data(x[:50], y[:50], x[50:], y[50:])


def build_model():
    return keras.Sequential(
        [
            keras.layers.Input((4,)),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.Dense(3),
        ]
    )


def loss(y_true, y_pred):
    return keras.losses.sparse_categorical_crossentropy(
        y_true, y_pred, from_logits=True
    )


def make_workload(**changes):
    plain = {
        "name": "tiny",
        "build_model": build_model,
        "load_data": load_data,
        "loss": loss,
        "metrics": lambda: ["accuracy"],
        "epochs": 2,
        "learning_rates": (0.01, 0.1),
        "batch_sizes": (16,),
        "description": "Three clusters.",
    }
    return Workload(**{**plain, **changes})


WORKLOAD = make_workload()
NOT_A_WORKLOAD = 3


class StopsEarly(keras.optimizers.SGD):
    """Cannot be made with a rate above 0.05."""

    def __init__(self, learning_rate=0.01, **options):
        if learning_rate > 0.05:
            raise RuntimeError("too fast\nfor me")
        super().__init__(learning_rate, **options)


class Factory:
    """Makes an optimizer by a method, as ``keras_adam.Adam.robust`` does."""

    @classmethod
    def sgd(cls, learning_rate):
        return keras.optimizers.SGD(learning_rate)


def broken_optimizer(learning_rate):
    raise TypeError(f"no optimizer for {learning_rate}")


def failing_model():
    raise RuntimeError("no model")


def failing_workload():
    raise RuntimeError("no task")


BROKEN = make_workload(build_model=failing_model)

"""A small training with hyperparameters, as scripts for KerasTuner have it."""

import keras
import keras_tuner
import tiny_workload

X, Y, X_VAL, Y_VAL = tiny_workload.load_data()
DATA = {"x": X, "y": Y, "validation_data": (X_VAL, Y_VAL)}

SEEN = []
"""Values of hyperparameters, one dictionary per build."""


def build_model(hp):
    model = keras.Sequential([keras.Input((4,))])
    units = hp.Int("units", 4, 32, default=8)
    model.add(keras.layers.Dense(units, hp.Choice("activation", ["relu", "tanh"])))
    model.add(keras.layers.Dense(3))
    rate = hp.Float("lr", 1e-3, 1e-1, sampling="log", default=0.02)
    model.compile(
        keras.optimizers.SGD(rate, momentum=0.9),
        loss=tiny_workload.loss,
        metrics=["accuracy"],
    )
    SEEN.append(dict(hp.values))
    return model


class OwnFit(keras_tuner.HyperModel):
    """Tunes the batch size as KerasTuner's guides do: in ``fit``."""

    def build(self, hp):
        return build_model(hp)

    def fit(self, hp, model, *args, **kwargs):
        size = hp.Choice("batch", [10, 25])
        return model.fit(*args, batch_size=size, **kwargs)

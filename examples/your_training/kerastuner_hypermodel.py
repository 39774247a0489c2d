"""A HyperModel for KerasTuner whose fit takes the batch size from hp.

Run: python examples/your_training/kerastuner_hypermodel.py [DIRECTORY]
"""

import sys

import keras
import keras_tuner
import numpy as np

import tuning


class Regression(keras_tuner.HyperModel):
    """A dense net; its fit centres the inputs and chooses the batch size."""

    def build(self, hp):
        model = keras.Sequential(
            [
                keras.Input((8,)),
                keras.layers.Dense(hp.Int("units", 8, 64, default=16), "relu"),
                keras.layers.Dense(1),
            ]
        )
        rate = hp.Choice("learning_rate", [1e-3, 1e-2, 1e-1])
        model.compile(keras.optimizers.Adam(rate), loss="mse")
        return model

    def fit(self, hp, model, x, y, **kwargs):
        if hp.Boolean("centre", default=True):
            x = x - x.mean(axis=0)
        size = hp.Choice("batch_size", [16, 64])
        return model.fit(x, y, batch_size=size, **kwargs)


def load_data():
    random = np.random.default_rng(0)
    x = random.normal(size=(640, 8)).astype("float32")
    y = np.sin(x.sum(axis=1, keepdims=True))
    return (x[:512], y[:512]), (x[512:], y[512:])


def make_tuner(directory, **changes):
    return tuning.RobustnessTuner(
        Regression(),
        objective="val_loss",
        batch_size="batch_size",
        # Only fit defines this name, so build does not tell its values.
        batch_sizes=changes.pop("batch_sizes", [16, 64]),
        directory=directory,
        project_name="regression",
        **changes,
    )


def main():
    (x, y), validation = load_data()
    tuner = make_tuner(sys.argv[1] if len(sys.argv) > 1 else "sweeps")
    tuner.search(x, y, epochs=5, validation_data=validation)
    print(tuner.recommend())
    print(f"report: {tuner.report()}")


if __name__ == "__main__":
    main()

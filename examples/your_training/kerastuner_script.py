"""A script for KerasTuner, of which one line has changed.

Run: python examples/your_training/kerastuner_script.py [DIRECTORY]
"""

import sys

import keras
from sklearn.datasets import load_digits

import tuning


def build_model(hp):
    model = keras.Sequential([keras.layers.Flatten()])
    for number in range(hp.Int("layers", 1, 3)):
        units = hp.Int(f"units_{number}", 32, 256, step=32, default=64)
        activation = hp.Choice("activation", ["relu", "tanh"])
        model.add(keras.layers.Dense(units, activation=activation))
    if hp.Boolean("dropout"):
        model.add(keras.layers.Dropout(0.25))
    model.add(keras.layers.Dense(10, activation="softmax"))
    rate = hp.Float("lr", 1e-4, 1e-1, sampling="log")
    model.compile(
        keras.optimizers.Adam(rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def load_data():
    images, labels = load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8).astype("float32") / 16
    return (images[:1400], labels[:1400]), (images[1400:], labels[1400:])


def make_tuner(directory, **changes):
    # Was: keras_tuner.RandomSearch(build_model, objective="val_accuracy",
    #          max_trials=10, executions_per_trial=2, directory=directory)
    return tuning.RobustnessTuner(
        build_model,
        objective="val_accuracy",
        learning_rate="lr",
        hyperparameters={"dropout": True},
        checkpoints=True,
        directory=directory,
        project_name="digits",
        **changes,
    )


def main():
    (x, y), validation = load_data()
    tuner = make_tuner(sys.argv[1] if len(sys.argv) > 1 else "sweeps")
    tuner.search_space_summary()
    tuner.search(x, y, epochs=3, validation_data=validation)
    tuner.results_summary(3)
    (model,) = tuner.get_best_models()
    model.summary()
    print(tuner.recommend())
    print(f"report: {tuner.report()}")


if __name__ == "__main__":
    main()

"""A model with two outputs: two losses with weights, sample weights, class weights.

Run: python examples/your_training/two_outputs.py [DIRECTORY]
"""

import sys

import keras
from sklearn.datasets import load_digits

import tuning

IMAGES, DIGITS = load_digits(return_X_y=True)
IMAGES = (IMAGES / 16).astype("float32")


def data():
    targets = {"digit": DIGITS, "is_even": (DIGITS % 2 == 0).astype("float32")}
    return {
        "x": IMAGES[:1400],
        "y": {name: values[:1400] for name, values in targets.items()},
        "validation_data": (
            IMAGES[1400:],
            {name: values[1400:] for name, values in targets.items()},
        ),
    }


def build_model():
    image = keras.Input((64,))
    hidden = keras.layers.Dense(32, activation="relu")(image)
    outputs = {
        "digit": keras.layers.Dense(10, activation="softmax", name="digit")(hidden),
        "is_even": keras.layers.Dense(1, activation="sigmoid", name="is_even")(hidden),
    }
    model = keras.Model(image, outputs)
    model.compile(
        "adam",
        loss={
            "digit": "sparse_categorical_crossentropy",
            "is_even": "binary_crossentropy",
        },
        loss_weights={"digit": 1.0, "is_even": 0.5},
        metrics={"digit": ["accuracy"], "is_even": ["accuracy"]},
    )
    return model


training = tuning.FitWorkload(
    name="two-outputs",
    build_model=build_model,
    data=data,
    epochs=5,
    learning_rates=(1e-3, 1e-2, 1e-1),
    description="Which digit it is, and whether it is even.",
)

if __name__ == "__main__":
    directory = sys.argv[1] if len(sys.argv) > 1 else "sweeps/two-outputs"
    tuning.run_sweep(
        training, directory, optimizers=["keras.Adam", "keras_adam.Adam.robust"]
    )
    print(f"report: {tuning.write_report(directory)}")

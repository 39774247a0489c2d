"""A table with numbers and texts, read by tf.data and preprocessed inside the model.

Run: python examples/your_training/structured_data.py [DIRECTORY]
"""

import sys

import keras
import numpy as np
import tensorflow as tf

import tuning

COLOURS = np.array(["red", "green", "blue"])
RANDOM = np.random.default_rng(0)
COLUMNS = {
    "length": RANDOM.normal(5.0, 2.0, 600).astype("float32"),
    "width": RANDOM.normal(1.0, 0.5, 600).astype("float32"),
    "colour": RANDOM.choice(COLOURS, 600),
}
LABELS = (
    (COLUMNS["length"] * COLUMNS["width"] > 5) ^ (COLUMNS["colour"] == "red")
).astype("float32")


def data():
    rows = tf.data.Dataset.from_tensor_slices((COLUMNS, LABELS))
    return rows.take(480).shuffle(480).batch(32), rows.skip(480).batch(120)


def build_model():
    inputs = {
        "length": keras.Input((1,), name="length"),
        "width": keras.Input((1,), name="width"),
        "colour": keras.Input((1,), name="colour", dtype="string"),
    }
    numbers = keras.layers.Concatenate()([inputs["length"], inputs["width"]])
    scale = keras.layers.Normalization(mean=[5.0, 1.0], variance=[4.0, 0.25])
    lookup = keras.layers.StringLookup(vocabulary=COLOURS, output_mode="one_hot")
    features = keras.layers.Concatenate()([scale(numbers), lookup(inputs["colour"])])
    hidden = keras.layers.Dense(16, activation="relu")(features)
    outputs = keras.layers.Dense(1, activation="sigmoid")(hidden)
    model = keras.Model(inputs, outputs)
    model.compile("adam", loss="binary_crossentropy", metrics=["accuracy"])
    return model


training = tuning.FitWorkload(
    name="structured-data",
    build_model=build_model,
    data=data,
    epochs=5,
    learning_rates=(1e-3, 1e-2, 1e-1),
    callbacks=lambda: [keras.callbacks.EarlyStopping(patience=2)],
    description="Two numbers and a text per row, in a tf.data pipeline.",
)

if __name__ == "__main__":
    directory = sys.argv[1] if len(sys.argv) > 1 else "sweeps/structured-data"
    tuning.run_sweep(
        training, directory, optimizers=["keras.Adam", "keras_adam.Adam.robust"]
    )
    print(f"report: {tuning.write_report(directory)}")

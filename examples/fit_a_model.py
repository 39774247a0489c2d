"""Train a Keras model with keras_adam.Adam: one line differs from what you know.

Run: python examples/fit_a_model.py
"""

import keras
from sklearn.datasets import load_digits

import keras_adam


def main():
    x, y = load_digits(return_X_y=True)
    x = x.astype("float32") / 16
    model = keras.Sequential(
        [
            keras.layers.Input((64,)),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(10),
        ]
    )
    model.compile(
        optimizer=keras_adam.Adam(learning_rate=3e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(x, y, batch_size=64, epochs=10, validation_split=0.2, verbose=2)
    print(f"state of the optimizer: {model.optimizer.state_bytes:,} bytes")


if __name__ == "__main__":
    main()

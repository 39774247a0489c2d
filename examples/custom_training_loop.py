"""Use keras_adam.Adam in a loop of your own, and keep going past bad batches.

Every tenth batch is spoilt on purpose: with skip_nonfinite=True such a step leaves
weights and moments alone and is counted.

Run: python examples/custom_training_loop.py
"""

import keras
import numpy as np
import tensorflow as tf

import keras_adam


def main():
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1024, 8)).astype("float32")
    y = np.sin(x.sum(axis=1, keepdims=True))
    model = keras.Sequential(
        [
            keras.layers.Input((8,)),
            keras.layers.Dense(32, activation="tanh"),
            keras.layers.Dense(1),
        ]
    )
    optimizer = keras_adam.Adam(1e-2, global_clipnorm=1.0, skip_nonfinite=True)
    optimizer.build(model.trainable_variables)

    @tf.function
    def step(batch, targets):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(batch, training=True) - targets) ** 2)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    for epoch in range(5):
        losses = []
        for number, start in enumerate(range(0, len(x), 32)):
            batch = x[start : start + 32].copy()
            if number % 10 == 9:
                batch[0, 0] = np.nan
            losses.append(float(step(batch, y[start : start + 32])))
        print(f"epoch {epoch + 1}: loss {np.nanmean(losses):.4f}")
    print(f"steps taken: {int(optimizer.iterations.numpy())}")
    print(f"steps skipped: {optimizer.skipped_steps}")


if __name__ == "__main__":
    main()

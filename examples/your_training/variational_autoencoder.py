"""A model with a train_step of its own: a variational autoencoder.

Run: python examples/your_training/variational_autoencoder.py [DIRECTORY]
"""

import sys

import keras
import tensorflow as tf
from keras import ops
from sklearn.datasets import load_digits

import tuning

IMAGES = (load_digits().data / 16).astype("float32")
LATENT = 2


class VariationalAutoencoder(keras.Model):
    """Source: D. P. Kingma and M. Welling, arXiv:1312.6114."""

    def __init__(self):
        super().__init__()
        self.encoder = keras.Sequential(
            [keras.layers.Dense(32, activation="relu"), keras.layers.Dense(2 * LATENT)]
        )
        self.decoder = keras.Sequential(
            [
                keras.layers.Dense(32, activation="relu"),
                keras.layers.Dense(64, activation="sigmoid"),
            ]
        )
        self.random = keras.random.SeedGenerator()
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.divergence = keras.metrics.Mean(name="divergence")

    def losses_of(self, images):
        mean, log_variance = ops.split(self.encoder(images), 2, axis=-1)
        noise = keras.random.normal(ops.shape(mean), seed=self.random)
        decoded = self.decoder(mean + noise * ops.exp(log_variance / 2))
        squares = ops.sum(ops.square(images - decoded), axis=-1)
        divergence = -0.5 * ops.sum(
            1 + log_variance - ops.square(mean) - ops.exp(log_variance), axis=-1
        )
        return ops.mean(squares + divergence), ops.mean(divergence)

    def logs_after(self, loss, divergence):
        self.loss_tracker.update_state(loss)
        self.divergence.update_state(divergence)
        return {m.name: m.result() for m in (self.loss_tracker, self.divergence)}

    def train_step(self, images):
        with tf.GradientTape() as tape:
            loss, divergence = self.losses_of(images)
        weights = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, weights), weights)
        return self.logs_after(loss, divergence)

    def test_step(self, images):
        return self.logs_after(*self.losses_of(images))


def build_model():
    model = VariationalAutoencoder()
    model.losses_of(IMAGES[:1])  # makes the weights
    model.built = True
    model.compile("adam")
    return model


def data(batch_size):
    images = tf.data.Dataset.from_tensor_slices(IMAGES)
    train = images.take(1400).shuffle(1400).batch(batch_size)
    return train, images.skip(1400).batch(397)


training = tuning.FitWorkload(
    name="variational-autoencoder",
    build_model=build_model,
    data=data,
    epochs=5,
    learning_rates=(1e-3, 1e-2, 1e-1),
    description="Handwritten digits through two numbers and back.",
)

if __name__ == "__main__":
    directory = sys.argv[1] if len(sys.argv) > 1 else "sweeps/autoencoder"
    tuning.run_sweep(
        training, directory, optimizers=["keras.Adam", "keras_adam.Adam.robust"]
    )
    print(f"report: {tuning.write_report(directory)}")

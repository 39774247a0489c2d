"""A generative adversarial network: a loop of its own with two optimizers.

Run: python examples/your_training/two_optimizers.py [DIRECTORY]
"""

import sys

import keras
import numpy as np
import tensorflow as tf
from keras import ops

import tuning


def ring(random, count):
    """Points on a circle, which the generator learns to draw."""
    angle = random.uniform(0, 2 * np.pi, count)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype("float32")


def network(inputs, outputs):
    return keras.Sequential(
        [
            keras.Input((inputs,)),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(outputs),
        ]
    )


@tuning.training(
    name="ring", epochs=4, learning_rates=(1e-3, 1e-2, 1e-1), batch_sizes=(64,)
)
def training(run):
    """Points on a circle, drawn by a generator that a discriminator judges."""
    random = np.random.default_rng(run.seed)
    generator, discriminator = network(4, 2), network(2, 1)
    # Both optimizers follow the learning rate of the run.
    optimizers = run.optimizer, run.make_optimizer(run.learning_rate / 2)

    @tf.function
    def step(points, noise):
        with tf.GradientTape(persistent=True) as tape:
            drawn = discriminator(generator(noise))
            real = discriminator(points)
            judged = ops.mean(ops.softplus(-real) + ops.softplus(drawn))
            fooled = ops.mean(ops.softplus(-drawn))
        for optimizer, loss, model in zip(
            optimizers, (fooled, judged), (generator, discriminator), strict=True
        ):
            weights = model.trainable_variables
            optimizer.apply(tape.gradient(loss, weights), weights)
        return fooled, judged

    def radius_error():
        drawn = generator(np.random.default_rng(0).normal(size=(500, 4)))
        return ops.mean(ops.abs(ops.norm(drawn, axis=1) - 1))

    run.report(0, loss=radius_error())
    for number in range(1, 50 * run.epochs + 1):
        noise = random.normal(size=(run.batch_size, 4)).astype("float32")
        fooled, judged = step(ring(random, run.batch_size), noise)
        if number % 10 == 0:
            run.report(number, loss=radius_error(), fooled=fooled, judged=judged)


if __name__ == "__main__":
    directory = sys.argv[1] if len(sys.argv) > 1 else "sweeps/ring"
    tuning.run_sweep(training, directory, optimizers=["keras.Adam", "keras_adam.Adam"])
    print(f"report: {tuning.write_report(directory)}")

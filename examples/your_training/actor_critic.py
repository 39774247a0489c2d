"""Reinforcement learning: an actor and a critic that learn to walk to the right.

Run: python examples/your_training/actor_critic.py [DIRECTORY]
"""

import sys

import keras
import numpy as np
import tensorflow as tf
from keras import ops

import tuning

PLACES, STEPS = 8, 12
"""A walk starts at the left; every step at the last place earns a point."""


@tuning.training(
    name="walk",
    epochs=40,
    learning_rates=(1e-3, 1e-2, 1e-1),
    batch_sizes=(4, 16),
    objective="reward",
)
def training(run):
    """Walks of twelve steps; the reward is the objective, and is maximised."""
    random = np.random.default_rng(run.seed)
    model = keras.Sequential(
        [
            keras.Input((PLACES,)),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(3),  # two logits, and the value of the place
        ]
    )

    @tf.function
    def learn(places, actions, returns):
        with tf.GradientTape() as tape:
            outputs = model(places)
            chances = ops.log_softmax(outputs[:, :2])
            gain = returns - outputs[:, 2]
            chosen = ops.sum(chances * ops.one_hot(actions, 2), axis=1)
            loss = ops.mean(ops.square(gain) - chosen * ops.stop_gradient(gain))
        weights = model.trainable_variables
        run.optimizer.apply(tape.gradient(loss, weights), weights)
        return loss

    for number in range(1, run.epochs + 1):
        place = np.zeros(run.batch_size, int)
        places, actions, rewards = [], [], []
        for _ in range(STEPS):
            places.append(np.eye(PLACES, dtype="float32")[place])
            logits = np.array(model(places[-1]))[:, :2]
            right = random.random(run.batch_size) < 1 / (
                1 + np.exp(logits[:, 0] - logits[:, 1])
            )
            actions.append(right.astype("int32"))
            place = np.clip(place + np.where(right, 1, -1), 0, PLACES - 1)
            rewards.append((place == PLACES - 1).astype("float32"))
        returns = np.cumsum(np.array(rewards)[::-1], axis=0)[::-1]
        loss = learn(
            np.concatenate(places),
            np.concatenate(actions),
            np.concatenate(returns).astype("float32"),
        )
        reward = np.sum(rewards) / run.batch_size
        run.report(number, loss=loss, reward=reward)


if __name__ == "__main__":
    directory = sys.argv[1] if len(sys.argv) > 1 else "sweeps/walk"
    tuning.run_sweep(training, directory, optimizers=["keras.Adam", "keras_adam.Adam"])
    print(f"report: {tuning.write_report(directory)}")

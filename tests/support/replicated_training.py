"""A custom training loop under any strategy, on the same global batches."""

import numpy as np
import tensorflow as tf

GLOBAL_BATCH = 8
BATCHES = 6


def data():
    rng = np.random.default_rng(7)
    x = rng.normal(size=(GLOBAL_BATCH * BATCHES, 3)).astype("float32")
    return x, np.sin(x.sum(axis=1, keepdims=True)).astype("float32")


def train(strategy, make_optimizer, keras):
    """Weights after six steps, each on one global batch split over the replicas."""
    x, y = data()
    with strategy.scope():
        keras.utils.set_random_seed(1)
        model = keras.Sequential(
            [keras.layers.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(1)]
        )
        optimizer = make_optimizer()
    replicas = strategy.num_replicas_in_sync
    share = GLOBAL_BATCH // replicas

    def replica_step(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum((model(x) - y) ** 2) / GLOBAL_BATCH
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)

    @tf.function
    def step(x, y):
        strategy.run(replica_step, args=(x, y))

    for batch in range(BATCHES):
        start = batch * GLOBAL_BATCH

        def part(array, context, start=start):
            first = start + context.replica_id_in_sync_group * share
            return tf.constant(array[first : first + share])

        distribute = strategy.experimental_distribute_values_from_function
        step(
            distribute(lambda context, p=part: p(x, context)),
            distribute(lambda context, p=part: p(y, context)),
        )
    optimizer.finalize_variable_values(model.trainable_variables)
    return model.get_weights()

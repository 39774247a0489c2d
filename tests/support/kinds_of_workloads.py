"""One small training in each of the three forms that a sweep takes."""

import keras
import numpy as np
import tensorflow as tf
import tiny_workload

import tuning


def build_compiled_model():
    model = tiny_workload.build_model()
    model.compile("adam", loss=tiny_workload.loss, metrics=["accuracy"])
    return model


def datasets():
    x, y, x_val, y_val = tiny_workload.load_data()
    train = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(50).batch(10)
    return train, tf.data.Dataset.from_tensor_slices((x_val, y_val)).batch(20)


BY_FIT = tuning.FitWorkload(
    name="by-fit",
    build_model=build_compiled_model,
    data=datasets,
    epochs=2,
    learning_rates=(0.01, 0.1),
    batch_sizes=(10, 25),
    callbacks=lambda: [keras.callbacks.EarlyStopping(patience=1)],
)


@tuning.training(epochs=3, learning_rates=(0.01, 0.1), batch_sizes=(10, 25))
def by_loop(run):
    """The same training step by step."""
    x, y, x_val, y_val = (
        tf.constant(part, "float32" if part.ndim > 1 else "int32")
        for part in tiny_workload.load_data()
    )
    model = tiny_workload.build_model()
    random = np.random.default_rng(run.seed)

    def loss_on(x, y):
        return tf.reduce_mean(tiny_workload.loss(y, model(x)))

    run.report(0, loss=loss_on(x, y), val_loss=loss_on(x_val, y_val))
    for step in range(1, run.epochs + 1):
        rows = random.choice(len(x), run.batch_size)
        with tf.GradientTape() as tape:
            loss = loss_on(tf.gather(x, rows), tf.gather(y, rows))
        weights = model.trainable_variables
        run.optimizer.apply(tape.gradient(loss, weights), weights)
        run.report(step, loss=loss, val_loss=loss_on(x_val, y_val))


KINDS = {
    "arrays": tiny_workload.WORKLOAD,
    "fit": BY_FIT,
    "loop": by_loop,
}

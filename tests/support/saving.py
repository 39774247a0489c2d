"""A trained model saved in each format, and loaded under another optimizer."""

import keras


def through_keras_file(model, optimizer, path, remake):
    """What the README advises to do with a model saved under another optimizer."""
    del remake  # The file has the model as well.
    model.save(path / "model.keras")
    loaded = keras.models.load_model(path / "model.keras")
    loaded.compile(optimizer, loss=loaded.loss)
    if isinstance(optimizer, keras.optimizers.Adam):
        # Keras's does not wait for being built, it skips the state.
        optimizer.build(loaded.trainable_variables)
    loaded.load_weights(path / "model.keras")
    return loaded


def through_weights_file(model, optimizer, path, remake):
    model.save_weights(path / "model.weights.h5")
    loaded = remake(optimizer)
    loaded.optimizer.build(loaded.trainable_variables)
    loaded.load_weights(path / "model.weights.h5")
    return loaded


def through_checkpoint(model, optimizer, path, remake):
    import tensorflow as tf

    saved = tf.train.Checkpoint(model=model, optimizer=model.optimizer)
    prefix = saved.save(path / "checkpoint")
    loaded = remake(optimizer)
    loaded.optimizer.build(loaded.trainable_variables)
    restored = tf.train.Checkpoint(model=loaded, optimizer=loaded.optimizer)
    restored.restore(prefix).expect_partial()
    return loaded


FORMATS = {
    "keras file": through_keras_file,
    "weights file": through_weights_file,
    "checkpoint": through_checkpoint,
}

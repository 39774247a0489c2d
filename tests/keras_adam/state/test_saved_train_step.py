"""A train step in a SavedModel goes on where the optimizer stood."""

import keras
import numpy as np
import pytest

import keras_adam

pytestmark = pytest.mark.tensorflow_only

OPTIMIZERS = {
    "plain": (keras_adam.Adam, {}),
    "robust": (keras_adam.Adam.robust, {}),
    "never compiled": (keras_adam.Adam, {"jit_compile": False}),
    "skipping, averages": (
        keras_adam.Adam,
        {"skip_nonfinite": True, "use_ema": True, "amsgrad": True},
    ),
    "accumulation": (keras_adam.Adam, {"gradient_accumulation_steps": 2}),
    "8bit": (keras_adam.Adam, {"moment_storage": "8bit"}),
    "catch up": (keras_adam.Adam, {"sparse_updates": "catch_up"}),
}


def module(optimizer):
    import tensorflow as tf

    class Training(tf.Module):
        def __init__(self):
            super().__init__()
            self.model = keras.Sequential(
                [
                    keras.layers.Input((4,), dtype="int32"),
                    keras.layers.Embedding(17_000, 4),
                    keras.layers.Flatten(),
                    keras.layers.Dense(5),
                    keras.layers.Dense(1),
                ]
            )
            self.optimizer = optimizer
            self.optimizer.build(self.model.trainable_variables)

        @tf.function(
            input_signature=[
                tf.TensorSpec((None, 4), "int32"),
                tf.TensorSpec((None, 1)),
            ]
        )
        def train(self, x, y):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((self.model(x, training=True) - y) ** 2)
            weights = self.model.trainable_variables
            self.optimizer.apply(tape.gradient(loss, weights), weights)
            return {"loss": loss}

    return Training()


@pytest.mark.parametrize(("make", "options"), OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_saved_step_goes_on_to_the_same_losses(make, options, tmp_path):
    import tensorflow as tf

    rng = np.random.default_rng(0)
    # Other rows each time, of which some come back: what is kept of a row counts.
    batches = [
        (
            tf.constant(rng.integers(0, 20, (8, 4)), "int32"),
            tf.constant(rng.normal(size=(8, 1)), "float32"),
        )
        for _ in range(8)
    ]
    training = module(make(0.05, **options))
    for x, y in batches[:4]:
        training.train(x, y)
    signature = training.train.get_concrete_function()
    tf.saved_model.save(training, tmp_path, signatures={"train": signature})
    loaded = tf.saved_model.load(tmp_path).signatures["train"]
    expected = [float(training.train(x, y)["loss"]) for x, y in batches[4:]]
    losses = [float(loaded(x=x, y=y)["loss"]) for x, y in batches[4:]]
    np.testing.assert_allclose(losses, expected, rtol=1e-6)
    assert len(set(losses)) == 4


@pytest.mark.slow
def test_a_train_step_is_converted_for_tflite(tmp_path):
    import tensorflow as tf

    training = module(keras_adam.Adam())
    signature = training.train.get_concrete_function()
    tf.saved_model.save(training, tmp_path, signatures={"train": signature})
    converter = tf.lite.TFLiteConverter.from_saved_model(
        str(tmp_path), signature_keys=["train"]
    )
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.TFLITE_BUILTINS,
        tf.lite.OpsSet.SELECT_TF_OPS,
    ]
    converter.experimental_enable_resource_variables = True
    assert len(converter.convert()) > 1000


def test_a_saved_model_with_its_optimizer_is_saved_for_inference(tmp_path):
    import tensorflow as tf

    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
    model.compile(keras_adam.Adam(), "mse")
    x, y = np.ones((8, 3), "float32"), np.zeros((8, 1), "float32")
    model.fit(x, y, verbose=0)
    model.export(tmp_path / "export", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "export")
    np.testing.assert_allclose(loaded.serve(x), model(x), rtol=1e-6)

"""Training where TensorFlow traces gradients of unknown size.

The number of examples is no multiple of the batch size and sequences have any length:
the gradient of a layer on sequences then has unknown sizes while a graph is traced,
and in eager execution it has none. Both must train alike.
"""

import keras
import numpy as np
import pytest

import keras_adam

pytestmark = pytest.mark.tensorflow_only

WORDS, WIDTH = 1100, 64

OPTIONS = {
    "plain": {},
    "robust": keras_adam.Adam.robust().get_config() | {"name": "robust"},
    "spike guard": {"spike_guard": 5},
    "8bit": {"moment_storage": "8bit"},
    "8bit and spike guard": {"moment_storage": "8bit", "spike_guard": 5},
    "bfloat16": {"moment_storage": "bfloat16", "amsgrad": True},
    "lazy": {"sparse_updates": "lazy", "global_clipnorm": 0.1},
    "catch up": {"sparse_updates": "catch_up", "skip_nonfinite": True},
    "catch up, adapted": {"sparse_updates": "catch_up", "rate_adaptation": 0.2},
    "clipnorm and averages": {"clipnorm": 0.1, "use_ema": True},
    "accumulation": {"gradient_accumulation_steps": 2},
    "loss scale": {"loss_scale_factor": 8.0, "sparse_updates": "lazy"},
}


class TiedLogits(keras.layers.Layer):
    """Scores of words by the embedding itself, whose gradient is rows and dense."""

    def __init__(self, embedding, **options):
        super().__init__(**options)
        self.embedding = embedding

    def call(self, features):
        return self.embedding(features, reverse=True)


def model_of_many_layers():
    """Layers whose gradients have unknown sizes; large kernels, small ones, a table."""
    layers = keras.layers
    ids = keras.Input((None,), dtype="int32")
    table = layers.ReversibleEmbedding(WORDS, WIDTH)
    x = table(ids)
    x = x + layers.Embedding(WORDS, WIDTH)(ids)
    wide = layers.Dense(1024, activation="relu")(x)
    x = x + layers.Dense(WIDTH)(wide)
    x = x + layers.EinsumDense("bsd,dhe->bshe", (None, 16, WIDTH))(x)[:, :, 0]
    x = x + layers.MultiHeadAttention(2, 8)(x, x)
    x = x + layers.GRU(WIDTH, return_sequences=True)(x)
    x = x + layers.Conv1D(WIDTH, 3, padding="same")(x)
    x = layers.LayerNormalization()(x)
    return keras.Model(ids, TiedLogits(table)(x))


@pytest.fixture(scope="module")
def batches():
    """Three batches: 4, 4 and 3 sequences of 6, 6 and 5 words."""
    import tensorflow as tf

    rng = np.random.default_rng(4)
    sequences = [rng.integers(0, WORDS, size=5 + (i < 8)) for i in range(11)]
    data = tf.data.Dataset.from_generator(
        lambda: iter(sequences), output_signature=tf.TensorSpec((None,), "int32")
    )
    # No drop_remainder: neither size of a batch is known to the graph.
    data = data.padded_batch(4).map(lambda words: (words, words))
    return data.apply(tf.data.experimental.assert_cardinality(3))


@pytest.fixture(scope="module")
def start():
    keras.utils.set_random_seed(5)
    return model_of_many_layers().get_weights()


def trained(optimizer, batches, start, *, run_eagerly):
    model = model_of_many_layers()
    model.set_weights(start)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, run_eagerly=run_eagerly)
    model.fit(batches, epochs=2, shuffle=False, verbose=0)
    return model.get_weights()


@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_batches_and_sequences_of_any_size_are_trained(options, batches, start):
    in_graph, eager = (
        trained(
            keras_adam.Adam.from_config(options), batches, start, run_eagerly=eagerly
        )
        for eagerly in (False, True)
    )
    for one, other in zip(in_graph, eager, strict=True):
        # An entry whose gradient is rounding alone goes either way.
        assert np.mean(np.abs(one - other) > 1e-4) < 1e-3


@pytest.mark.parametrize("jit_compile", [True, "auto", False])
def test_the_last_batch_may_be_smaller(jit_compile):
    """As reported: 40 examples in batches of 16."""
    words = np.random.default_rng(0).integers(0, 50, (40, 20))
    model = keras.Sequential(
        [
            keras.Input((20,), dtype="int32"),
            keras.layers.Embedding(50, 64),
            keras.layers.Dense(1024),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras_adam.Adam.robust(jit_compile=jit_compile, moment_storage="8bit")
    model.compile(optimizer, loss)
    history = model.fit(words, words, batch_size=16, epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert int(model.optimizer.iterations) == 9


def test_a_loop_of_ones_own_may_trace_unknown_sizes():
    import tensorflow as tf

    weight = keras.Variable(np.ones((70_000, 2), "float32"))
    small = keras.Variable(np.ones((3,), "float32"))
    optimizer = keras_adam.Adam.robust()

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, None)),
            tf.TensorSpec(None),
            tf.TensorSpec((None,), "int64"),
        ]
    )
    def step(values, gradient, ids):
        rows = tf.IndexedSlices(values, ids, tf.shape(weight.value, "int64"))
        optimizer.apply([rows, gradient], [weight, small])

    optimizer.build([weight, small])
    for count in (4, 2):
        step(tf.ones((count, 2)), tf.ones((3,)), tf.range(count, dtype="int64"))
    moved = weight.numpy()[:5, 0]
    assert np.all(moved[:4] < 1)
    assert moved[4] == 1
    with pytest.raises(tf.errors.InvalidArgumentError):
        step(tf.ones((2, 2)), tf.ones((4,)), tf.range(2, dtype="int64"))

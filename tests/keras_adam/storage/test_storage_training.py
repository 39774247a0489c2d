"""Optimizers that keep their moments in fewer bytes: trained, saved, combined."""

import logging
import re

import keras
import numpy as np
import pytest
import tolerances
from keras import ops
from saving import FORMATS, through_checkpoint
from training import modes, quick_parameters, to_numpy, train

import keras_adam
from keras_adam.storage import STORAGES

LOSSY = ["bfloat16", "8bit"]
LARGE, ODD, SMALL = (256, 256), (301, 223), (20, 30)
SHAPES = (LARGE, ODD, SMALL)
"""Two weights that a storage concerns, one of which fills no whole block, and one that
it does not."""

NEAR = {"bfloat16": 0.03, "8bit": 0.1}
"""Distance from the weights of float32 Adam, as a share of how far those have moved."""


def make_weights(shapes=SHAPES):
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape).astype("float32") for shape in shapes]


def make_gradients(steps, shapes=SHAPES):
    """Noise about a mean, over four decades of sizes."""
    rng = np.random.default_rng(1)
    means = [rng.normal(size=shape) for shape in shapes]
    sizes = [10.0 ** rng.uniform(-4, 0, size=shape) for shape in shapes]
    return [
        [
            ((mean + rng.normal(size=mean.shape)) * size).astype("float32")
            for mean, size in zip(means, sizes, strict=True)
        ]
        for _ in range(steps)
    ]


def distance(weights, exact, start):
    """How far from the exact ones, as a share of how far those went."""
    return [
        np.linalg.norm(a - b) / np.linalg.norm(b - c)
        for a, b, c in zip(weights, exact, start, strict=True)
    ]


OPTIONS = {
    "defaults": {},
    "weight decay": {"weight_decay": 0.1},
    "clipnorm": {"clipnorm": 0.5},
    "global clipnorm": {"global_clipnorm": 0.5},
    "moving average": {"use_ema": True, "ema_momentum": 0.9},
    "accumulation": {"gradient_accumulation_steps": 2},
    "skipping non-finite steps": {"skip_nonfinite": True},
    "a loss scale": {"loss_scale_factor": 8.0},
    "other betas": {"beta_1": 0.8, "beta_2": 0.99},
}


@pytest.mark.parametrize("options", quick_parameters(OPTIONS))
@pytest.mark.parametrize("storage", LOSSY)
def test_weights_end_near_those_of_float32(storage, options):
    start, gradients = make_weights(), make_gradients(30)
    exact = train(keras_adam.Adam(0.01, **options), start, gradients)
    stored = train(
        keras_adam.Adam(0.01, moment_storage=storage, **options), start, gradients
    )
    large, odd, small = distance(stored, exact, start)
    assert 0 < large < NEAR[storage]
    assert 0 < odd < NEAR[storage]
    assert small < 1e-5  # kept as it is


@pytest.mark.parametrize("storage", LOSSY)
def test_every_way_of_running_a_step_gives_the_same_weights(storage):
    start, gradients = make_weights(), make_gradients(10)
    results = [
        train(keras_adam.Adam(0.01, moment_storage=storage), start, gradients, mode)
        for mode in modes()
    ]
    for other in results[1:]:
        # Where rounding differs in the last bit, chance may fall out otherwise: that
        # is one entry in thousands.
        for one, two in zip(results[0], other, strict=True):
            assert np.mean(np.abs(one - two) > 1e-5) < 2e-3


def test_bfloat16_goes_with_amsgrad():
    start, gradients = make_weights(), make_gradients(30)
    exact = train(keras_adam.Adam(0.01, amsgrad=True), start, gradients)
    stored = train(
        keras_adam.Adam(0.01, amsgrad=True, moment_storage="bfloat16"), start, gradients
    )
    assert max(distance(stored, exact, start)) < NEAR["bfloat16"]


@pytest.mark.parametrize("storage", LOSSY)
def test_low_precision_weights_keep_their_remainders(storage):
    start = make_weights([LARGE])
    gradients = make_gradients(30, [LARGE])
    exact = train(keras_adam.Adam(0.01), start, gradients, dtype="bfloat16")
    optimizer = keras_adam.Adam(0.01, moment_storage=storage)
    stored = train(optimizer, start, gradients, dtype="bfloat16")
    assert np.mean(np.abs(np.float32(stored[0]) - np.float32(exact[0]))) < 0.01
    assert optimizer._rounding_errors[0] is not None


def test_double_precision_weights_keep_double_precision_moments():
    if keras.backend.backend() == "jax":
        pytest.skip("float64 needs jax_enable_x64")
    variable = keras.Variable(np.ones(LARGE), dtype="float64")
    optimizer = keras_adam.Adam(moment_storage="8bit")
    optimizer.build([variable])
    assert optimizer.variables[-1].dtype == "float64"


@pytest.mark.parametrize(
    ("storage", "per_parameter"),
    [("float32", 8), ("bfloat16", 4), ("8bit", 2 + 8 / 128)],
)
def test_the_state_takes_the_documented_bytes(storage, per_parameter):
    optimizer = keras_adam.Adam(moment_storage=storage)
    optimizer.build([keras.Variable(np.ones(LARGE, "float32"))])
    assert optimizer.state_bytes == per_parameter * np.prod(LARGE)


@pytest.mark.parametrize("storage", LOSSY)
def test_small_weights_stay_float32(storage):
    optimizer = keras_adam.Adam(moment_storage=storage)
    optimizer.build([keras.Variable(np.ones((255, 257), "float32"))])
    assert optimizer.state_bytes == 8 * 255 * 257


def test_the_option_is_saved_in_the_configuration():
    optimizer = keras_adam.Adam(moment_storage="8bit")
    copy = keras_adam.Adam.from_config(optimizer.get_config())
    assert copy.moment_storage == "8bit"


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"moment_storage": "4bit"}, f"one of {list(STORAGES)}"),
        ({"moment_storage": "8bit", "amsgrad": True}, "amsgrad"),
        (
            {"moment_storage": "8bit", "sparse_updates": "lazy"},
            'Use moment_storage="bfloat16"',
        ),
    ],
)
def test_what_does_not_go_together_is_refused(options, advice):
    with pytest.raises(ValueError, match=re.escape(advice)):
        keras_adam.Adam(**options)


def test_another_rule_is_refused():
    class Own(keras_adam.Adam):
        def update_step(self, gradient, variable, learning_rate):
            """Something else."""

    Own()
    with pytest.raises(ValueError, match="overrides update_step"):
        Own(moment_storage="bfloat16")


# Saving


def make_model(optimizer):
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.layers.Input((8,)),
            keras.layers.Dense(256, activation="tanh"),
            keras.layers.Dense(256, activation="tanh"),
            keras.layers.Dense(1),
        ]
    )
    model.compile(optimizer, "mse")
    return model


def fit(model, batches, seed):
    rng = np.random.default_rng(seed)
    for _ in range(batches):
        x = rng.normal(size=(16, 8)).astype("float32")
        model.train_on_batch(x, np.sin(x.sum(axis=1, keepdims=True)))


def second_moment(optimizer):
    """Of the large weight, in float32."""
    state = optimizer._state.weights[2]
    moments, storage = state.read_moments(), state.storage
    return ops.convert_to_numpy(storage.restore(moments.second, LARGE))


@pytest.mark.parametrize("through", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("storage", LOSSY)
def test_a_resumed_run_is_the_same_to_the_last_bit(storage, through, tmp_path):
    if through is through_checkpoint and keras.backend.backend() != "tensorflow":
        pytest.skip("tf.train.Checkpoint holds TensorFlow variables")
    model = make_model(keras_adam.Adam(0.01, moment_storage=storage))
    fit(model, 5, seed=1)
    resumed = through(
        model, keras_adam.Adam(0.01, moment_storage=storage), tmp_path, make_model
    )
    for one in (model, resumed):
        fit(one, 5, seed=2)
    for one, other in zip(model.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def adam(storage):
    if storage == "Keras":
        return keras.optimizers.Adam(0.01)
    return keras_adam.Adam(0.01, moment_storage=storage)


@pytest.mark.parametrize("through", ["keras file", "weights file"])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Keras", "8bit"),
        ("Keras", "bfloat16"),
        ("float32", "8bit"),
        ("float32", "bfloat16"),
        ("8bit", "float32"),
        ("bfloat16", "float32"),
        ("8bit", "bfloat16"),
        ("bfloat16", "8bit"),
    ],
)
def test_a_state_is_converted_to_another_storage(
    before, after, through, tmp_path, caplog
):
    model = make_model(adam(before))
    fit(model, 20, seed=1)
    with caplog.at_level(logging.INFO, "keras_adam"):
        loaded = FORMATS[through](model, adam(after), tmp_path, make_model)
        # A state that was loaded before the optimizer was built waits until then.
        loaded.optimizer.build(loaded.trainable_variables)
    saved = "float32" if before == "Keras" else before
    assert f"moment_storage={saved!r} and is converted to {after!r}" in caplog.text
    assert int(loaded.optimizer.iterations) == 20
    if before == "Keras":
        expected = ops.convert_to_numpy(model.optimizer._velocities[2].value)
    else:
        expected = second_moment(model.optimizer)
    # Two storages at most, each rounding to the nearest.
    np.testing.assert_allclose(second_moment(loaded.optimizer), expected, rtol=0.07)
    fit(model, 5, seed=2)
    fit(loaded, 5, seed=2)
    for one, other in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=0.02)


def test_a_converted_state_goes_back_to_keras(tmp_path):
    model = make_model(adam("8bit"))
    fit(model, 5, seed=1)
    ours = FORMATS["weights file"](model, adam("float32"), tmp_path, make_model)
    theirs = FORMATS["weights file"](ours, adam("Keras"), tmp_path, make_model)
    for one, other in zip(
        ours.optimizer.variables, theirs.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(
            ops.convert_to_numpy(one.value), ops.convert_to_numpy(other.value)
        )


@pytest.mark.parametrize("storage", LOSSY)
def test_a_state_of_another_model_is_refused(storage, tmp_path):
    model = make_model(adam("float32"))
    fit(model, 1, seed=1)
    store = {}
    model.optimizer.save_own_variables(store)
    other = adam(storage)
    other.build([keras.Variable(np.ones((512, 512), "float32"), name="other")])
    before = to_numpy(other.variables)
    with pytest.raises(ValueError, match="does not fit"):
        other.load_own_variables(store)
    for one, two in zip(before, to_numpy(other.variables), strict=True):
        np.testing.assert_array_equal(one, two)


# On TensorFlow alone


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("storage", LOSSY)
def test_two_replicas_train_as_one_device_does(two_replicas, storage):
    start, gradients = make_weights([LARGE]), make_gradients(5, [LARGE])
    expected = train(keras_adam.Adam(0.01, moment_storage=storage), start, gradients)
    with two_replicas.scope():
        variable = keras.Variable(start[0])
        optimizer = keras_adam.Adam(0.01, moment_storage=storage)
    import tensorflow as tf

    @tf.function
    def step(gradient):
        two_replicas.run(
            lambda: optimizer.apply([gradient / 2], [variable])  # summed to the whole
        )

    for (gradient,) in gradients:
        step(tf.constant(gradient))
    copies = two_replicas.experimental_local_results(variable.value)
    for copy in copies:
        difference = np.abs(copy.numpy() - expected[0])
        assert np.mean(difference > tolerances.REPLICAS) < 1e-3
    np.testing.assert_array_equal(copies[0].numpy(), copies[1].numpy())


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("way", ["lazy", "catch_up"])
def test_rows_of_bfloat16_moments_are_stepped_alone(way):
    import tensorflow as tf

    rows, width = 3000, 32
    start = make_weights([(rows, width)])[0]
    tables = []
    for storage in ("float32", "bfloat16"):
        table = keras.Variable(start)
        optimizer = keras_adam.Adam(0.01, sparse_updates=way, moment_storage=storage)
        optimizer.build([table])
        rng = np.random.default_rng(4)
        for _ in range(15):
            ids = rng.integers(0, rows // 2, size=100)
            values = tf.constant(rng.normal(size=(100, width)), tf.float32)
            slices = tf.IndexedSlices(values, tf.constant(ids), (rows, width))
            optimizer.apply([slices], [table])
        tables.append(table.numpy())
        assert np.all(optimizer._velocities[0].numpy()[rows // 2 :] == 0)
    exact, stored = tables
    np.testing.assert_array_equal(stored[rows // 2 :], start[rows // 2 :])
    moved = np.linalg.norm(exact - start)
    assert 0 < np.linalg.norm(stored - exact) < NEAR["bfloat16"] * moved


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("options", [{}, {"global_clipnorm": 0.5}], ids=str)
def test_a_table_by_rows_goes_with_a_dense_weight(options):
    import tensorflow as tf

    start = make_weights([(3000, 32), LARGE, SMALL])
    results = []
    for storage in ("float32", "bfloat16"):
        weights = [keras.Variable(one) for one in start]
        optimizer = keras_adam.Adam(
            0.01, sparse_updates="lazy", moment_storage=storage, **options
        )
        optimizer.build(weights)
        rng = np.random.default_rng(4)
        for dense in make_gradients(15, [LARGE, SMALL]):
            ids = tf.constant(rng.integers(0, 1500, size=100))
            values = tf.constant(rng.normal(size=(100, 32)), tf.float32)
            rows = tf.IndexedSlices(values, ids, start[0].shape)
            optimizer.apply([rows, *map(tf.constant, dense)], weights)
        results.append(to_numpy(weights))
    assert max(distance(results[1], results[0], start)) < NEAR["bfloat16"]
    assert all(d > 0 for d in distance(results[1], results[0], start)[:2])


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("storage", ["float32", *LOSSY])
def test_moments_are_written_in_place(storage):
    """XLA keeps no second set of codes, and no random bits, of a weight's size."""
    import tensorflow as tf

    weight = keras.Variable(np.ones((512, 512), "float32"))
    optimizer = keras_adam.Adam(moment_storage=storage)
    optimizer.build([weight])

    @tf.function(jit_compile=True)
    def step(gradient):
        optimizer.apply([gradient], [weight])

    describe = step.experimental_get_compiler_ir(tf.ones((512, 512)))
    program = describe(stage="optimized_hlo")
    size = r"\w+\[(512,512|2048,128)\]\S*"
    assert not re.findall(rf"= {size} (copy|constant)\(", program)
    # First moment, second moment, weight: each is computed once.
    assert len(re.findall(rf"= {size} fusion\(", program)) == 3


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("storage", LOSSY)
def test_a_step_is_traced_once(storage):
    optimizer = keras_adam.Adam(moment_storage=storage)
    train(optimizer, make_weights(), make_gradients(5))
    assert optimizer.trace_count == 1

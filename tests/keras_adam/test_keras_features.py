"""Ours in the place of keras.optimizers.Adam, beside every feature that meets it."""

import logging

import keras
import numpy as np
import pytest
import tolerances
from keras import ops

import keras_adam

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"


def make_model(*extra_layers, seed=3):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.layers.Input((4,)),
            keras.layers.Dense(6, activation="tanh", name="first"),
            *extra_layers,
            keras.layers.Dense(1, name="last"),
        ]
    )


def data(count=32):
    rng = np.random.default_rng(5)
    x = rng.normal(size=(count, 4)).astype("float32")
    return x, np.sin(x.sum(axis=1, keepdims=True))


def fit(model, epochs=3, **options):
    x, y = data()
    history = model.fit(
        x, y, batch_size=8, epochs=epochs, shuffle=False, verbose=0, **options
    )
    return history.history["loss"]


def compare_with_keras(make_optimizer, tolerance=tolerances.KERAS_TRAJECTORY, **how):
    """Fit two equal models, and hold losses and weights beside each other."""
    trained = []
    for adam in (keras_adam.Adam, keras.optimizers.Adam):
        model = make_model()
        model.compile(make_optimizer(adam), "mse")
        options = {key: make() for key, make in how.items()}
        trained.append((fit(model, **options), model.get_weights()))
    (losses, weights), (keras_losses, keras_weights) = trained
    np.testing.assert_allclose(losses, keras_losses, rtol=1e-5)
    for one, other in zip(weights, keras_weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def schedule():
    return keras.optimizers.schedules.CosineDecay(0.05, 8, warmup_target=0.1)


@pytest.mark.parametrize(
    "rate",
    [schedule, lambda: lambda: 0.03, lambda: 0.03],
    ids=["schedule", "callable", "number"],
)
def test_every_kind_of_rate(rate):
    compare_with_keras(lambda adam: adam(rate()))


@pytest.mark.parametrize(
    "callbacks",
    [
        lambda: [
            keras.callbacks.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1))
        ],
        lambda: [keras.callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=1e9)],
    ],
    ids=["LearningRateScheduler", "ReduceLROnPlateau"],
)
def test_callbacks_that_set_the_rate(callbacks):
    compare_with_keras(lambda adam: adam(0.05), callbacks=callbacks)


def test_swapping_in_the_average():
    def swap():
        return [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)]

    compare_with_keras(
        lambda adam: adam(0.05, use_ema=True, ema_momentum=0.8), callbacks=swap
    )


def test_several_optimizers():
    def both(adam):
        return keras.optimizers.MultiOptimizer(
            keras.optimizers.OptimizerMap(adam(0.01), {"first/.*": adam(0.1)})
        )

    compare_with_keras(both)


def test_several_steps_per_execution_and_a_second_fit():
    if keras.backend.backend() == "torch":
        pytest.skip("Keras runs one step an execution on torch")
    model, twin = make_model(), make_model()
    model.compile(keras_adam.Adam(0.02), "mse", steps_per_execution=2)
    twin.compile(keras_adam.Adam(0.02), "mse")
    fit(model, epochs=2)
    fit(model, epochs=2)
    fit(twin, epochs=4)
    for one, other in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_clone_starts_from_zero():
    model = make_model()
    model.compile(keras_adam.Adam(0.02, amsgrad=True), "mse")
    fit(model)
    clone = keras_adam.Adam.from_config(model.optimizer.get_config())
    assert clone.get_config() == model.optimizer.get_config()
    assert int(ops.convert_to_numpy(clone.iterations)) == 0


@pytest.fixture
def policy(request):
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy(request.param)
    yield request.param
    keras.mixed_precision.set_dtype_policy(before)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"], indirect=True)
def test_mixed_precision(policy):
    losses = []
    for adam in (keras_adam.Adam, keras.optimizers.Adam):
        model = make_model()
        model.compile(adam(0.02), "mse")
        losses.append(fit(model, epochs=5))
    if policy == "mixed_float16":
        assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    # Same arithmetic in float32; activations are rounded to three digits or less.
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-2)
    assert losses[0][-1] < losses[0][0]


def test_a_loss_scale_optimizer_skips_what_overflows():
    if keras.backend.backend() == "jax":
        pytest.skip("Keras's LossScaleOptimizer.apply leaks tracers on JAX")
    inner = keras_adam.Adam(0.1)
    optimizer = keras.optimizers.LossScaleOptimizer(inner, initial_scale=8.0)
    variable = keras.Variable(np.ones(2, "float32"))
    optimizer.build([variable])
    optimizer.apply([ops.convert_to_tensor(np.array([np.inf, 1], "float32"))])
    np.testing.assert_array_equal(variable.numpy(), 1)
    assert int(ops.convert_to_numpy(inner.iterations)) == 0
    optimizer.apply([ops.convert_to_tensor(np.array([4.0, -4.0], "float32"))])
    np.testing.assert_allclose(variable.numpy(), [0.9, 1.1], rtol=1e-5)


def test_a_layer_frozen_later_keeps_its_weights():
    if keras.backend.backend() == "jax":
        pytest.skip("Keras's stateless_apply wants all weights of the build on JAX")
    model = make_model()
    model.compile(keras_adam.Adam(0.05), "mse")
    fit(model)
    optimizer = model.optimizer
    model.get_layer("first").trainable = False
    frozen = model.get_layer("first").get_weights()
    free = model.get_layer("last").get_weights()
    model.compile(optimizer, "mse")
    fit(model)
    for one, other in zip(frozen, model.get_layer("first").get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.allclose(free[0], model.get_layer("last").get_weights()[0])


@pytest.mark.parametrize("frequency", [None, 2])
def test_a_layer_frozen_later_keeps_its_weights_beside_an_average(frequency):
    if keras.backend.backend() == "jax":
        pytest.skip("Keras's stateless_apply wants all weights of the build on JAX")
    model = make_model()
    optimizer = keras_adam.Adam(
        0.05, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=frequency
    )
    model.compile(optimizer, "mse")
    fit(model)
    model.get_layer("first").trainable = False
    frozen = model.get_layer("first").get_weights()
    model.compile(optimizer, "mse")
    fit(model)
    for one, other in zip(frozen, model.get_layer("first").get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    average = optimizer._model_variables_moving_average[2]
    np.testing.assert_allclose(
        model.get_layer("last").get_weights()[0], ops.convert_to_numpy(average)
    )


def test_a_layer_unfrozen_later_needs_a_new_optimizer():
    def unfrozen_after_training():
        model = make_model()
        model.get_layer("first").trainable = False
        model.compile(keras_adam.Adam(0.05), "mse")
        fit(model)
        model.get_layer("first").trainable = True
        return model

    model = unfrozen_after_training()
    model.compile(model.optimizer, "mse")
    with pytest.raises(ValueError, match=r"Unknown variable|was built with 2"):
        fit(model)
    model = unfrozen_after_training()
    model.compile(keras_adam.Adam(0.05), "mse")
    before = model.get_layer("first").get_weights()[0]
    fit(model)
    assert not np.allclose(before, model.get_layer("first").get_weights()[0])


def test_a_constraint_is_applied_after_the_step():
    keras.utils.set_random_seed(1)
    layer = keras.layers.Dense(3, kernel_constraint=keras.constraints.NonNeg())
    model = keras.Sequential([keras.layers.Input((4,)), layer])
    model.compile(keras_adam.Adam(0.5), "mse")
    x, y = data()
    model.fit(x, np.repeat(y, 3, axis=1), verbose=0)
    assert layer.get_weights()[0].min() == 0


def test_a_custom_training_loop():
    if not ON_TENSORFLOW:
        pytest.skip("a GradientTape is TensorFlow's")
    import tensorflow as tf

    x, y = data()
    model, twin = make_model(), make_model()
    optimizer = keras_adam.Adam(0.02)
    for start in range(0, 32, 8):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(
                (model(x[start : start + 8]) - y[start : start + 8]) ** 2
            )
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(
            zip(gradients, model.trainable_variables, strict=True)
        )
    twin.compile(keras.optimizers.Adam(0.02), "mse")
    fit(twin, epochs=1)
    for one, other in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_keras_distribution_with_two_devices():
    if keras.backend.backend() != "jax":
        pytest.skip("keras.distribution is JAX's")
    devices = keras.distribution.list_devices("cpu")
    assert len(devices) == 2, "conftest.py asks XLA for two"
    x, y = data()
    weights = []
    for distribution in (keras.distribution.DataParallel(devices=devices), None):
        keras.distribution.set_distribution(distribution)
        try:
            model = make_model()
            model.compile(keras_adam.Adam(0.05, global_clipnorm=0.5), "mse")
            model.fit(x, y, batch_size=8, shuffle=False, verbose=0)
            weights.append(model.get_weights())
        finally:
            keras.distribution.set_distribution(None)
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, atol=tolerances.REPLICAS)


def test_lazy_rows_are_dense_where_gradients_are_and_that_is_said(caplog):
    with caplog.at_level(logging.WARNING, logger="keras_adam"):
        keras_adam.Adam(sparse_updates="dense")
        assert not caplog.records
        keras_adam.Adam(sparse_updates="lazy")
    told = [record.getMessage() for record in caplog.records]
    if ON_TENSORFLOW:
        assert not told
        return
    assert len(told) == 1
    assert (
        f"on the {keras.backend.backend()} backend every gradient is dense" in (told[0])
    )
    tables = []
    for kind in ("lazy", "dense"):
        keras.utils.set_random_seed(3)
        model = keras.Sequential(
            [keras.layers.Embedding(9, 3), keras.layers.GlobalAveragePooling1D()]
        )
        model.compile(keras_adam.Adam(0.05, sparse_updates=kind), "mse")
        ids = np.array([[0, 1], [2, 3], [4, 4], [5, 6]])
        model.fit(ids, np.ones((4, 3)), batch_size=1, epochs=3, verbose=0)
        tables.append(model.get_weights()[0])
    np.testing.assert_array_equal(*tables)


@pytest.mark.parametrize("frequency", [None, 2])
def test_a_second_fit_goes_on_after_averages_overwrote_the_weights(frequency):
    """On JAX a weight and its average were one buffer, given away in the next step."""
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)])
    options = {"use_ema": True, "ema_overwrite_frequency": frequency}
    model.compile(keras_adam.Adam(0.1, **options), "mse")
    x, y = np.ones((5, 3), "float32"), np.zeros((5, 2), "float32")
    losses = [
        model.fit(x, y, batch_size=2, verbose=0).history["loss"][0] for _ in range(3)
    ]
    assert losses[2] < losses[0]
    assert int(model.optimizer.iterations) == 9


def test_a_weight_that_is_frozen_later_is_not_overwritten_by_its_average():
    first, second = (keras.Variable(np.ones(3, "float32")) for _ in range(2))
    optimizer = keras_adam.Adam(0.1, use_ema=True, ema_overwrite_frequency=1)
    optimizer.build([first, second])
    gradients = [np.ones(3, "float32"), None]
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        optimizer.apply(gradients, [first, second])
    second.trainable = False
    second.assign([5, 5, 5])
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        optimizer.apply(gradients, [first, second])
    np.testing.assert_array_equal(second.numpy(), 5)

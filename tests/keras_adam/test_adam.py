"""The optimizer as a user meets it: trajectories, fit, saving, arguments."""

import itertools

import keras
import numpy as np
import pytest
import reference
import tolerances
import training

import keras_adam

STEPS = 50

# Keras advances its average on every micro-batch and starts it from the first one;
# see test_keras_defects.py.
DIFFERS_FROM_KERAS = {"use_ema", "gradient_accumulation_steps"}


def pairs_of_options():
    """Every two options together, if Keras's arguments allow it."""
    for (first, a), (second, b) in itertools.combinations(training.OPTIONS.items(), 2):
        is_clipping = [key for key in {**a, **b} if "clip" in key]
        if len(is_clipping) < 2 and not set(a) & set(b):
            yield pytest.param({**a, **b}, id=f"{first} and {second}")


def assert_near(ours, theirs, tolerance):
    for mine, one in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, one, rtol=tolerance, atol=tolerance)


def oracle_tolerance(options):
    """float32 rounds beta_2; what that costs is relative to the step's size."""
    rate = options.get("learning_rate", 1e-3)
    return tolerances.ORACLE_TRAJECTORY * max(1, rate / 1e-3)


@pytest.fixture(scope="module")
def problem():
    return training.make_weights(), training.make_gradients(STEPS)


@pytest.fixture(scope="module")
def trained_by_keras(problem):
    """Keras's weights by options; its steps are slow, and each is used thrice."""
    known = {}

    def train(options):
        if str(options) not in known:
            optimizer = keras.optimizers.Adam(**options)
            known[str(options)] = training.train(optimizer, *problem)
        return known[str(options)]

    return train


@pytest.mark.parametrize("mode", training.modes())
@pytest.mark.parametrize("options", training.OPTIONS.values(), ids=training.OPTIONS)
def test_trains_like_keras(problem, trained_by_keras, mode, options):
    if "weight_decay" in options and keras.backend.backend() == "torch":
        pytest.skip("Keras rounds 1 - rate·decay to float32 on torch: 3e-6 in 50 steps")
    ours = training.train(keras_adam.Adam(**options), *problem, mode=mode)
    assert_near(ours, trained_by_keras(options), tolerances.KERAS_TRAJECTORY)


@pytest.mark.parametrize("mode", training.modes())
@pytest.mark.parametrize("options", training.OPTIONS.values(), ids=training.OPTIONS)
def test_trains_like_the_paper(problem, mode, options):
    ours = training.train(keras_adam.Adam(**options), *problem, mode=mode)
    expected = reference.train(*problem, **options)
    assert_near(ours, expected, oracle_tolerance(options))


# Which options can be combined is the same for every backend, and so is the rule.
@pytest.mark.tensorflow_only
@pytest.mark.parametrize("options", list(pairs_of_options()))
def test_pairs_of_options_train_like_keras_and_the_paper(problem, options):
    weights, gradients = problem
    short = gradients[:20]
    ours = training.train(keras_adam.Adam(**options), weights, short)
    expected = reference.train(weights, short, **options)
    assert_near(ours, expected, oracle_tolerance(options))
    if set(options) >= DIFFERS_FROM_KERAS:
        return
    theirs = training.train(keras.optimizers.Adam(**options), weights, short)
    assert_near(ours, theirs, tolerances.KERAS_TRAJECTORY)


def test_float64_weights_are_updated_in_float64(problem):
    if keras.backend.backend() == "jax":
        pytest.skip("JAX has float64 only with jax_enable_x64")
    weights, gradients = problem
    ours = training.train(keras_adam.Adam(), weights, gradients, dtype="float64")
    keras_weights = training.train(
        keras.optimizers.Adam(), weights, gradients, dtype="float64"
    )
    assert_near(ours, keras_weights, 1e-12)


def make_model():
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.layers.Input((6,)),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(1),
        ]
    )


def make_data():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(64, 6)).astype("float32")
    return x, np.sum(x, axis=1, keepdims=True)


def fit(model, epochs=2):
    x, y = make_data()
    history = model.fit(x, y, batch_size=16, epochs=epochs, shuffle=False, verbose=0)
    return history.history["loss"]


@pytest.mark.parametrize(
    "how",
    [{}, {"jit_compile": True}, {"run_eagerly": True}, {"steps_per_execution": 2}],
    ids=["default", "whole step in XLA", "eagerly", "two steps an execution"],
)
def test_fits_like_keras(how):
    if how and "run_eagerly" not in how and keras.backend.backend() == "torch":
        pytest.skip("Keras runs one uncompiled step an execution on torch")
    losses = []
    for optimizer in (keras_adam.Adam(0.01), keras.optimizers.Adam(0.01)):
        model = make_model()
        model.compile(optimizer, "mse", **how)
        losses.append(fit(model, epochs=5))
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_a_saved_model_trains_on_as_if_it_had_not_stopped(tmp_path):
    model = make_model()
    model.compile(keras_adam.Adam(0.01, jit_compile=False, skip_nonfinite=True), "mse")
    fit(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.optimizer, keras_adam.Adam)
    assert loaded.optimizer.get_config() == model.optimizer.get_config()
    np.testing.assert_allclose(fit(loaded), fit(model), rtol=1e-6)


def test_configuration_describes_the_optimizer():
    optimizer = keras_adam.Adam(
        0.5, 0.8, 0.95, 1e-3, True, weight_decay=0.1, clipnorm=1.0, jit_compile=False
    )
    twin = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert isinstance(twin, keras_adam.Adam)
    assert twin.get_config() == optimizer.get_config()


def test_state_bytes_are_two_float32_moments_per_parameter():
    optimizer = keras_adam.Adam()
    with pytest.raises(ValueError, match="before it is built"):
        _ = optimizer.state_bytes
    optimizer.build([keras.Variable(np.zeros((10, 7), "float32"))])
    assert optimizer.state_bytes == 70 * 8


def test_keras_takes_every_argument_that_keras_takes():
    import inspect

    keras_arguments = inspect.signature(keras.optimizers.Adam.__init__).parameters
    ours = inspect.signature(keras_adam.Adam.__init__).parameters
    shared = [name for name in ours if name in keras_arguments]
    assert shared == list(keras_arguments)
    for name in set(keras_arguments) - {"self", "kwargs"}:
        assert ours[name].default == keras_arguments[name].default


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        ({"beta_1": 1.0}, ValueError, "beta_1 must be at least 0 and below 1"),
        ({"beta_2": -0.1}, ValueError, "received -0.1"),
        ({"beta_2": "0.9"}, ValueError, "beta_2 must be a number"),
        ({"epsilon": 0.0}, ValueError, "epsilon must be positive"),
        ({"epsilon": float("nan")}, ValueError, "epsilon must be positive"),
        ({"learning_rate": -1e-3}, ValueError, "received -0.001"),
        ({"learning_rate": float("inf")}, ValueError, "must be finite"),
        ({"learning_rate": "0.1"}, TypeError, "received '0.1' of type str"),
        ({"learning_rate": True}, TypeError, "received True"),
        ({"jit_compile": "yes"}, ValueError, "one of ['auto', True, False]"),
        ({"jit_compile": 1}, ValueError, "received 1"),
        ({"skip_nonfinite": None}, ValueError, "skip_nonfinite must be one of"),
        ({"momentum": 0.9}, ValueError, "momentum"),
        ({"clipnorm": -1.0}, ValueError, "clipnorm must be None or finite and at"),
        ({"global_clipnorm": float("nan")}, ValueError, "received nan"),
        ({"clipvalue": "a"}, ValueError, "clipvalue must be a number"),
        ({"weight_decay": -0.1}, ValueError, "received -0.1"),
        ({"weight_decay": True}, ValueError, "received True"),
        ({"loss_scale_factor": 0.0}, ValueError, "loss_scale_factor must be positive"),
        ({"gradient_accumulation_steps": 2.5}, ValueError, "integer >= 2"),
        ({"ema_overwrite_frequency": -3}, ValueError, "integer >= 1"),
        ({"amsgrad": "no"}, ValueError, "amsgrad must be one of"),
        ({"use_ema": "yes"}, ValueError, "use_ema must be one of"),
    ],
    ids=str,
)
def test_bad_arguments_are_named(arguments, error, told):
    with pytest.raises(error) as caught:
        keras_adam.Adam(**arguments)
    assert told in str(caught.value)


@pytest.mark.parametrize("rate", [1, np.float32(0.5), np.int64(2), np.array(0.25)])
def test_numbers_of_any_type_are_rates(rate):
    assert float(keras_adam.Adam(rate).learning_rate.numpy()) == float(rate)


def test_bad_gradients_are_named():
    optimizer = keras_adam.Adam()
    weight = keras.Variable(np.zeros((2, 3), "float32"), name="kernel")
    optimizer.build([weight])
    with pytest.raises(ValueError, match=r"'kernel' has the shape \(3, 2\)"):
        optimizer.apply([np.zeros((3, 2), "float32")], [weight])
    with pytest.raises(ValueError, match="2 gradients for 1 variables"):
        optimizer.apply([np.zeros((2, 3), "float32")] * 2, [weight])
    with pytest.raises(ValueError, match="No gradients provided"):
        optimizer.apply([None], [weight])
    with pytest.raises(ValueError, match="Unknown variable"):
        optimizer.apply(
            [np.zeros((2, 3), "float32")], [keras.Variable(np.zeros((2, 3)))]
        )
    assert int(optimizer.iterations.numpy()) == 0


@pytest.mark.parametrize(
    ("rate", "error"),
    [
        (-1.0, ValueError),
        (float("nan"), ValueError),
        (True, TypeError),
        ("1", TypeError),
    ],
)
def test_a_bad_rate_is_refused_when_set(rate, error):
    optimizer = keras_adam.Adam(0.5)
    with pytest.raises(error, match="learning_rate must be"):
        optimizer.learning_rate = rate
    assert float(optimizer.learning_rate.numpy()) == 0.5
    optimizer.learning_rate = 2
    assert float(optimizer.learning_rate.numpy()) == 2


def test_a_number_does_not_replace_a_callable():
    optimizer = keras_adam.Adam(lambda: 0.5)
    with pytest.raises(TypeError, match="cannot be replaced by a number"):
        optimizer.learning_rate = 0.1


def test_no_gradients_are_no_step():
    optimizer = keras_adam.Adam()
    optimizer.build([keras.Variable(np.zeros(2, "float32"))])
    optimizer.apply([])
    assert int(optimizer.iterations.numpy()) == 0


def test_weights_without_entries_are_taken():
    weight = keras.Variable(np.zeros((0, 3), "float32"))
    optimizer = keras_adam.Adam(gradient_accumulation_steps=2, clipnorm=1.0)
    optimizer.build([weight])
    for _ in range(2):
        optimizer.apply([np.zeros((0, 3), "float32")], [weight])
    assert weight.shape == (0, 3)


def test_a_subclass_may_bring_its_own_rule():
    class SignDescent(keras_adam.Adam):
        def update_step(self, gradient, variable, learning_rate):
            sign = keras.ops.sign(gradient)
            self.assign_sub(variable, learning_rate * sign)

    weight = keras.Variable(np.zeros(2, "float32"))
    SignDescent(0.5).apply([np.array([3.0, -0.1], "float32")], [weight])
    np.testing.assert_allclose(weight.numpy(), [-0.5, 0.5])

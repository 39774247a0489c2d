"""Saved state: to and from Keras's Adam, in every format, and what is refused."""

import copy
import os
import pickle
import subprocess
import sys

import keras
import numpy as np
import pytest
import tolerances
from saving import FORMATS, through_checkpoint

import keras_adam

OPTIONS = {
    "defaults": {},
    "amsgrad": {"amsgrad": True},
    "average": {"use_ema": True, "ema_momentum": 0.9},
    "accumulation": {"gradient_accumulation_steps": 2},
    "average and amsgrad": {"use_ema": True, "amsgrad": True},
    "schedule": {
        "learning_rate": keras.optimizers.schedules.ExponentialDecay(0.05, 10, 0.9)
    },
}

BATCHES = 20


def make_model(optimizer=None, units=5):
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.layers.Input((4,)),
            keras.layers.Dense(units, activation="tanh"),
            keras.layers.Dense(1),
        ]
    )
    if optimizer is not None:
        model.compile(optimizer, "mse")
    return model


def train(model, batches=BATCHES, seed=5):
    """That many steps on a fixed stream, without what `fit` does at its end."""
    rng = np.random.default_rng(seed)
    for _ in range(batches):
        x = rng.normal(size=(8, 4)).astype("float32")
        model.train_on_batch(x, np.sin(x.sum(axis=1, keepdims=True)))


def through_weights_file_before_building(model, optimizer, path):
    model.save_weights(path / "model.weights.h5")
    loaded = make_model(optimizer)
    loaded.load_weights(path / "model.weights.h5")
    return loaded


DIRECTIONS = {
    "from Keras to ours": (keras.optimizers.Adam, keras_adam.Adam),
    "from ours to Keras": (keras_adam.Adam, keras.optimizers.Adam),
    "from ours to ours": (keras_adam.Adam, keras_adam.Adam),
}


def assert_same_weights(one, other):
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=tolerances.FULL_AND_SAVED)


@pytest.mark.parametrize("direction", DIRECTIONS.values(), ids=DIRECTIONS)
@pytest.mark.parametrize("through", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_training_goes_on_as_if_it_had_not_been_saved(
    options, through, direction, tmp_path
):
    if through is through_checkpoint and keras.backend.backend() != "tensorflow":
        pytest.skip("tf.train.Checkpoint holds TensorFlow variables")
    before, after = direction
    options = {"learning_rate": 0.01, **options}
    model = make_model(before(**options))
    train(model)
    loaded = through(model, after(**options), tmp_path, make_model)
    assert_same_weights(loaded, model)
    assert int(loaded.optimizer._iterations.numpy()) == BATCHES
    train(model, seed=6)
    train(loaded, seed=6)
    assert_same_weights(loaded, model)


def test_a_state_loaded_before_building_waits_for_it(tmp_path):
    model = make_model(keras_adam.Adam(0.01))
    train(model)
    loaded = through_weights_file_before_building(model, keras_adam.Adam(0.5), tmp_path)
    train(model, seed=6)
    train(loaded, seed=6)
    assert_same_weights(loaded, model)


def test_a_model_saved_before_its_first_step_can_be_loaded(tmp_path):
    make_model(keras_adam.Adam(0.25)).save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert float(loaded.optimizer.learning_rate.numpy()) == 0.25
    train(loaded, 2)


@pytest.mark.parametrize(
    "other",
    [
        {"amsgrad": True},
        {"use_ema": True},
        {"gradient_accumulation_steps": 2},
        pytest.param(OPTIONS["schedule"], id="schedule"),
    ],
    ids=str,
)
def test_other_options_are_refused_and_nothing_is_changed(other, tmp_path):
    model = make_model(keras_adam.Adam())
    train(model, 3)
    model.save_weights(tmp_path / "model.weights.h5")
    loaded = make_model(keras_adam.Adam(**other))
    train(loaded, 2)
    before = [v.numpy() for v in loaded.optimizer.variables]
    with pytest.raises(ValueError, match="does not fit: it has 10 variables"):
        loaded.load_weights(tmp_path / "model.weights.h5")
    for variable, value in zip(loaded.optimizer.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_other_shapes_are_refused_and_nothing_is_changed():
    saved, optimizer = keras_adam.Adam(), keras_adam.Adam()
    saved.build([keras.Variable(np.zeros((2, 3)))])
    optimizer.build([keras.Variable(np.zeros((3, 2)))])
    saved.iterations.assign(7)
    store = {}
    saved.save_own_variables(store)
    with pytest.raises(ValueError, match=r"shape \(2, 3\).*\(3, 2\)"):
        optimizer.load_own_variables(store)
    assert int(optimizer.iterations.numpy()) == 0


def stored(optimizer):
    store = {}
    optimizer.save_own_variables(store)
    return store


def built(*, steps=3, dtype="float32", **options):
    """An optimizer after some steps on two weights of one shape."""
    optimizer = keras_adam.Adam(0.1, **options)
    weights = [keras.Variable(np.ones(3), dtype=dtype) for _ in range(2)]
    optimizer.build(weights)
    gradient = keras.ops.convert_to_tensor(np.array([1, -2, 3]), dtype=dtype)
    for _ in range(steps):
        optimizer.apply([gradient] * 2, weights)
    return optimizer


@pytest.mark.parametrize(
    ("saved", "loaded", "told"),
    [
        ({"use_ema": True}, {"amsgrad": True}, "second moment"),
        ({"dtype": "bfloat16"}, {"amsgrad": True, "dtype": "bfloat16"}, "second"),
    ],
    ids=str,
)
def test_files_of_the_same_shapes_are_told_apart(saved, loaded, told):
    store, optimizer = stored(built(**saved)), built(steps=0, **loaded)
    with pytest.raises(ValueError, match=told):
        optimizer.load_own_variables(store)
    assert int(optimizer._iterations.numpy()) == 0


@pytest.mark.parametrize(
    ("saved", "loaded", "told"),
    [
        ({"use_ema": True}, {"gradient_accumulation_steps": 3}, "left over"),
        ({"gradient_accumulation_steps": 3}, {"use_ema": True}, "averages"),
    ],
    ids=str,
)
def test_what_is_unusual_but_possible_is_loaded_with_one_warning(
    saved, loaded, told, caplog
):
    store, optimizer = stored(built(**saved)), built(steps=0, **loaded)
    optimizer.load_own_variables(store)
    assert int(optimizer._iterations.numpy()) == 3
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert told in record.getMessage()


@pytest.mark.parametrize(
    "options",
    [
        {"use_ema": True},
        {"gradient_accumulation_steps": 3},
        {"amsgrad": True},
        {"amsgrad": True, "dtype": "bfloat16"},
        {"use_ema": True, "gradient_accumulation_steps": 2},
    ],
    ids=str,
)
@pytest.mark.parametrize("steps", [0, 2])
def test_a_file_with_another_step_count_is_loaded(options, steps):
    saved, loaded = built(steps=steps, **options), built(steps=0, **options)
    saved._iterations.assign(1000)
    loaded.load_own_variables(stored(saved))
    assert int(loaded._iterations.numpy()) == 1000
    for one, other in zip(loaded.variables, saved.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_a_model_whose_averages_are_still_zero_can_be_loaded(tmp_path):
    model = make_model(keras_adam.Adam(use_ema=True))
    model.optimizer.build(model.trainable_variables)
    model.optimizer.iterations.assign(1000)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert int(loaded.optimizer.iterations.numpy()) == 1000


def test_largest_second_moments_that_start_late_are_loaded(caplog):
    """As a tf.train.Checkpoint without them, or bfloat16 rounding, leaves them."""
    optimizer = built(amsgrad=True)
    for largest in optimizer._velocity_hats:
        largest.assign(largest * 0.5)
    loaded = built(steps=0, amsgrad=True)
    loaded.load_own_variables(stored(optimizer))
    assert "below the second moment" in caplog.text
    np.testing.assert_array_equal(
        loaded._velocity_hats[0].numpy(), optimizer._velocity_hats[0].numpy()
    )


def test_what_was_switched_off_before_saving_is_not_in_the_file():
    optimizer = built(rate_cap=0.05, rate_adaptation=0.2, spike_guard=5)
    optimizer.rate_cap = optimizer.rate_adaptation = optimizer.spike_guard = None
    store = stored(optimizer)
    loaded = keras_adam.Adam.from_config(optimizer.get_config())
    loaded.build([keras.Variable(np.ones(3, "float32")) for _ in range(2)])
    loaded.load_own_variables(store)
    assert int(loaded.iterations.numpy()) == 3


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_a_file_of_the_same_options_is_never_refused(options, steps):
    options = {key: value for key, value in options.items() if key != "learning_rate"}
    optimizer = built(steps=0, **options)
    optimizer.load_own_variables(stored(built(steps=steps, **options)))
    assert int(optimizer._iterations.numpy()) == steps


def test_a_rate_set_after_loading_stays(tmp_path):
    model = make_model(keras_adam.Adam(0.01))
    train(model)
    loaded = through_weights_file_before_building(model, keras_adam.Adam(0.5), tmp_path)
    assert int(loaded.optimizer.iterations.numpy()) == BATCHES
    assert float(loaded.optimizer.learning_rate.numpy()) == pytest.approx(0.01)
    loaded.optimizer.learning_rate = 1e-5
    train(loaded, 1)
    assert float(loaded.optimizer.learning_rate.numpy()) == pytest.approx(1e-5)


def test_a_waiting_state_is_saved_and_copied():
    store = stored(built())
    waiting = keras_adam.Adam()
    waiting.load_own_variables(store)
    again = stored(copy.deepcopy(waiting))
    assert set(again) == set(store)
    for key, array in store.items():
        np.testing.assert_array_equal(again[key], array)


def test_a_refused_state_can_be_replaced_by_the_right_one():
    optimizer = keras_adam.Adam(0.1)
    optimizer.load_own_variables(stored(built(amsgrad=True)))
    weights = [keras.Variable(np.ones(3)) for _ in range(2)]
    gradients = [np.ones(3, "float32")] * 2
    for _ in range(2):
        with pytest.raises(ValueError, match="does not fit"):
            optimizer.apply(gradients, weights)
    optimizer.load_own_variables(stored(built()))
    optimizer.apply(gradients, weights)
    assert int(optimizer.iterations.numpy()) == 4


def test_a_file_from_before_the_first_step_resets_the_moments():
    optimizer = built()
    optimizer.load_own_variables(stored(keras_adam.Adam(0.5)))
    assert int(optimizer.iterations.numpy()) == 0
    assert not any(np.any(v.numpy()) for v in optimizer.variables[2:])


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))],
    ids=["deepcopy", "pickle"],
)
def test_a_copy_of_a_built_optimizer_has_its_state(copied):
    model = make_model(keras_adam.Adam(0.01))
    train(model)
    twin = make_model()
    twin.set_weights(model.get_weights())
    twin.compile(copied(model.optimizer), "mse")
    train(model, seed=6)
    train(twin, seed=6)
    assert_same_weights(twin, model)


def test_low_precision_remainders_are_saved(tmp_path):
    weight = keras.Variable(np.ones(4), dtype="bfloat16")
    twin = keras.Variable(np.ones(4), dtype="bfloat16")
    gradient = keras.ops.ones((4,), dtype="bfloat16")
    optimizer, loaded = keras_adam.Adam(1e-4), keras_adam.Adam(1e-4)
    optimizer.build([weight])
    loaded.build([twin])
    for _ in range(3):
        optimizer.apply([gradient], [weight])
    store = {}
    optimizer.save_own_variables(store)
    loaded.load_own_variables(store)
    twin.assign(weight)
    for _ in range(30):
        optimizer.apply([gradient], [weight])
        loaded.apply([gradient], [twin])
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(twin), keras.ops.convert_to_numpy(weight)
    )
    assert float(weight.numpy()[0]) == pytest.approx(1 - 33e-4, abs=0.004)


def test_an_interrupted_save_keeps_the_previous_file(tmp_path):
    path = tmp_path / "model.keras"
    model = make_model(keras_adam.Adam(0.01))
    train(model, 2)
    assert keras_adam.save_atomically(model, path) == path
    good = path.read_bytes()
    script = f"""
import os, keras, keras_adam
model = keras.models.load_model({str(path)!r})
class Killed(keras.layers.Layer):
    def save_own_variables(self, store):
        os.kill(os.getpid(), 9)
model.add(Killed())
keras_adam.save_atomically(model, {str(path)!r})
"""
    result = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        check=False,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert result.returncode == -9, result.stderr[-2000:]
    assert path.read_bytes() == good
    assert_same_weights(keras.models.load_model(path), model)


def test_weights_alone_are_saved_atomically(tmp_path):
    model = make_model(keras_adam.Adam(0.01))
    train(model, 2)
    keras_adam.save_atomically(model, tmp_path / "model.weights.h5")
    assert [p.name for p in tmp_path.iterdir()] == ["model.weights.h5"]
    loaded = make_model(keras_adam.Adam(0.01))
    loaded.load_weights(tmp_path / "model.weights.h5")
    assert_same_weights(loaded, model)
    with pytest.raises(FileExistsError, match="overwrite=False"):
        keras_adam.save_atomically(
            model, tmp_path / "model.weights.h5", overwrite=False
        )
    with pytest.raises(ValueError, match=r"must end in one of"):
        keras_adam.save_atomically(model, tmp_path / "model.h5")

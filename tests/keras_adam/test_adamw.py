"""AdamW in the place of keras.optimizers.AdamW."""

import inspect
import pickle

import keras
import numpy as np
import pytest
import reference
import tolerances
import training
from saving import FORMATS, through_checkpoint

import keras_adam

DECAYS = {"the default": {}, "a large decay": {"weight_decay": 0.3}}
OPTIONS = DECAYS | {
    name: options
    for name, options in training.OPTIONS.items()
    if name not in ("defaults", "weight decay")
}


@pytest.fixture(scope="module")
def problem():
    return training.make_weights(), training.make_gradients(50)


@pytest.mark.parametrize("options", training.quick_parameters(OPTIONS))
def test_trains_like_keras_and_the_paper(problem, options):
    if keras.backend.backend() == "torch":
        pytest.skip("Keras rounds 1 - rate·decay to float32 on torch: 3e-6 in 50 steps")
    ours = training.train(keras_adam.AdamW(**options), *problem)
    theirs = training.train(keras.optimizers.AdamW(**options), *problem)
    for one, other in zip(ours, theirs, strict=True):
        tolerance = tolerances.KERAS_TRAJECTORY
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)
    expected = reference.train(*problem, **({"weight_decay": 0.004} | options))
    rate = options.get("learning_rate", 1e-3)
    tolerance = tolerances.ORACLE_TRAJECTORY * max(1, rate / 1e-3)
    for one, other in zip(ours, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def test_one_step_by_hand():
    weight = keras.Variable(np.full(2, 2.0, "float32"))
    keras_adam.AdamW(0.1, 0.5).apply([np.array([3.0, -3.0], "float32")], [weight])
    # Of 2 a twentieth decays; the first step is the rate, against the gradient.
    np.testing.assert_allclose(weight.numpy(), [1.9 - 0.1, 1.9 + 0.1], rtol=1e-6)


def test_takes_what_keras_takes_in_the_same_places():
    theirs = inspect.signature(keras.optimizers.AdamW.__init__).parameters
    ours = inspect.signature(keras_adam.AdamW.__init__).parameters
    assert list(ours)[:-1] == list(theirs)[:-1]
    for name in list(theirs)[:-1]:
        assert ours[name].default == theirs[name].default
        assert ours[name].kind == theirs[name].kind
    optimizer = keras_adam.AdamW(0.5, 0.25, 0.8, 0.95, 1e-3, True, 1.0)
    given = keras.optimizers.AdamW(0.5, 0.25, 0.8, 0.95, 1e-3, True, 1.0).get_config()
    config = optimizer.get_config()
    assert {name: config[name] for name in given} == given | {"name": config["name"]}
    with pytest.warns(UserWarning, match="`decay` is no longer supported"):
        keras_adam.AdamW(decay=0.1)


def test_every_option_of_adam_is_passed_on():
    optimizer = keras_adam.AdamW(
        moment_storage="bfloat16", sparse_updates="lazy", skip_nonfinite=True
    )
    assert optimizer.moment_storage == "bfloat16"
    assert optimizer.skip_nonfinite is True
    with pytest.raises(ValueError, match="not recognized"):
        keras_adam.AdamW(nothing=3)
    with pytest.raises(ValueError, match="beta_1 must be a number"):
        keras_adam.AdamW(beta_1="0.9")


def test_a_decay_of_none_is_refused_as_keras_refuses_it():
    for adamw in (keras_adam.AdamW, keras.optimizers.AdamW):
        with pytest.raises(ValueError, match=r"weight_decay.*None"):
            adamw(weight_decay=None)
        assert adamw(weight_decay=0).weight_decay == 0
    optimizer = keras_adam.AdamW()
    with pytest.raises(ValueError, match=r"weight_decay.*None"):
        optimizer.weight_decay = None
    assert optimizer.weight_decay == 0.004
    optimizer.weight_decay = np.float32(0.5)
    assert type(optimizer.weight_decay) is float


def test_the_robust_one_decays_too():
    optimizer = keras_adam.AdamW.robust(0.5)
    assert type(optimizer) is keras_adam.AdamW
    assert optimizer.weight_decay == 0.004
    for name, value in keras_adam.adam.ROBUST.items():
        assert getattr(optimizer, name) == value
    assert keras_adam.AdamW.robust(weight_decay=0.1).weight_decay == 0.1


@pytest.mark.parametrize(
    "again",
    [
        lambda o: keras.optimizers.deserialize(keras.optimizers.serialize(o)),
        lambda o: type(o).from_config(o.get_config()),
        lambda o: keras.optimizers.get(keras.optimizers.serialize(o)),
        lambda o: pickle.loads(pickle.dumps(o)),
    ],
    ids=["deserialize", "from_config", "get", "pickle"],
)
def test_a_configuration_comes_back_whole(again):
    optimizer = keras_adam.AdamW.robust(0.5, weight_decay=0.1, beta_1=0.8)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    copy = again(optimizer)
    assert type(copy) is keras_adam.AdamW
    assert copy.get_config() == optimizer.get_config()


def test_its_name_in_files_is_its_own():
    name = keras.saving.get_registered_name(keras_adam.AdamW)
    assert name == "keras_adam>AdamW"
    # Keras's own is still found by its short name.
    assert type(keras.optimizers.get("adamw")) is keras.optimizers.AdamW


def make_model(optimizer=None):
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.layers.Input((4,)),
            keras.layers.Dense(5, activation="tanh"),
            keras.layers.Dense(1),
        ]
    )
    if optimizer is not None:
        model.compile(optimizer, "mse")
    return model


def train(model, seed):
    rng = np.random.default_rng(seed)
    for _ in range(10):
        x = rng.normal(size=(8, 4)).astype("float32")
        model.train_on_batch(x, np.sin(x.sum(axis=1, keepdims=True)))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (keras.optimizers.AdamW, keras_adam.AdamW),
        (keras_adam.AdamW, keras.optimizers.AdamW),
        (keras_adam.AdamW, keras_adam.AdamW),
    ],
    ids=["from Keras to ours", "from ours to Keras", "from ours to ours"],
)
@pytest.mark.parametrize("through", FORMATS.values(), ids=FORMATS)
def test_training_goes_on_as_if_it_had_not_been_saved(through, before, after, tmp_path):
    if through is through_checkpoint and keras.backend.backend() != "tensorflow":
        pytest.skip("tf.train.Checkpoint holds TensorFlow variables")
    model = make_model(before(0.01, 0.1))
    train(model, seed=5)
    loaded = through(model, after(0.01, 0.1), tmp_path, make_model)
    train(model, seed=6)
    train(loaded, seed=6)
    for one, other in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=tolerances.FULL_AND_SAVED)


def test_a_saved_model_is_loaded_with_its_optimizer(tmp_path):
    model = make_model(keras_adam.AdamW.robust(0.01))
    train(model, seed=5)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded.optimizer) is keras_adam.AdamW
    assert loaded.optimizer.get_config() == model.optimizer.get_config()
    train(model, seed=6)
    train(loaded, seed=6)
    for one, other in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_telemetry_reads_it():
    from keras_adam.telemetry.readable_optimizer import ReadableOptimizer

    model = make_model(keras_adam.AdamW(0.01, beta_1=0.8))
    train(model, seed=5)
    readable = ReadableOptimizer(model.optimizer, model.trainable_variables)
    assert (readable.first_decay, readable.second_decay) == (0.8, 0.999)
    assert readable.entries(0, 1).first.shape == (20,)


def test_the_batch_size_can_be_changed():
    model = make_model(keras_adam.AdamW(0.01))
    keras_adam.change_batch_size(model, 32, 8)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.02)
    scaled = keras_adam.scale_for_batch_size(keras_adam.AdamW().get_config(), 32, 8)
    assert keras_adam.AdamW.from_config(scaled).weight_decay == 0.004

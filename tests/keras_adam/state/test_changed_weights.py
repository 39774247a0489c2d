"""Layers frozen, unfrozen or replaced between saving and training, beside Keras."""

import logging
from functools import partial

import keras
import numpy as np
import pytest
from keras import ops

import keras_adam

# Compiling takes the most time, and makes no difference here.
BOTH = [partial(keras_adam.Adam, jit_compile=False), keras.optimizers.Adam]

# What Keras warns of when it skips an optimizer's state, or a layer's weights.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Skipping variable loading:UserWarning"),
    pytest.mark.filterwarnings("ignore:A total of:UserWarning"),
]


def make_model(optimizer, units=1, frozen=(), run_eagerly=True):
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.layers.Input((4,)),
            keras.layers.Dense(6, activation="tanh", name="first"),
            keras.layers.Dense(6, activation="tanh", name="second"),
            keras.layers.Dense(units, name="head"),
        ]
    )
    for name in frozen:
        model.get_layer(name).trainable = False
    model.compile(optimizer, "mse", run_eagerly=run_eagerly)
    return model


def fit(model):
    rng = np.random.default_rng(5)
    x = rng.normal(size=(32, 4)).astype("float32")
    y = np.repeat(np.sin(x.sum(axis=1, keepdims=True)), model.output_shape[-1], axis=1)
    options = {"batch_size": 8, "epochs": 1, "shuffle": False, "verbose": 0}
    return model.fit(x, y, **options).history["loss"]


def saved(path, optimizer, **options):
    model = make_model(optimizer, **options)
    fit(model)
    model.save_weights(path / "model.weights.h5")
    return path / "model.weights.h5"


def warnings_of(caplog):
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.WARNING and record.name.startswith("keras_adam")
    ]


CHANGES = {
    "unfrozen": ({"frozen": ["first"]}, {}),
    "frozen": ({}, {"frozen": ["first"]}),
    "the other end frozen": ({}, {"frozen": ["head"]}),
    "another one frozen": ({"frozen": ["first"]}, {"frozen": ["head"]}),
    "another head": ({}, {"units": 3}),
    "another head, others frozen": ({}, {"units": 3, "frozen": ["first", "second"]}),
    "another head, others unfrozen": ({"frozen": ["first"]}, {"units": 3}),
}
CASES = {name: (*change, {}) for name, change in CHANGES.items()} | {
    f"another head, {option}": ({}, {"units": 3}, {option: value})
    for option, value in (
        ("amsgrad", True),
        ("use_ema", True),
        ("gradient_accumulation_steps", 2),
    )
}


@pytest.mark.parametrize(("before", "after", "options"), CASES.values(), ids=CASES)
def test_before_the_first_step_the_state_is_given_up_as_keras_does(
    before, after, options, tmp_path, caplog
):
    losses, states = [], []
    for adam in BOTH:
        path = saved(tmp_path, adam(0.02, **options), **before)
        model = make_model(adam(0.01, **options), **after)
        model.load_weights(path, skip_mismatch=True)
        losses.append(fit(model))
        optimizer = model.optimizer
        states.append((int(optimizer._iterations), float(optimizer.learning_rate)))
    if "use_ema" not in options:  # Keras's average starts elsewhere.
        np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    assert states[0] == states[1]
    (told,) = warnings_of(caplog)
    for weight in model.trainable_variables:
        assert weight.path.split("/", 1)[1] in told
    fit(model)
    assert len(warnings_of(caplog)) == 1


@pytest.mark.parametrize("change", ["unfrozen", "frozen"])
def test_without_skip_mismatch_training_goes_on_too(change, tmp_path, caplog):
    before, after = CHANGES[change]
    losses = []
    for adam in BOTH:
        path = saved(tmp_path, adam(0.02), **before)
        model = make_model(adam(0.01), **after)
        model.load_weights(path)
        losses.append(fit(model))
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    assert len(warnings_of(caplog)) == 1


def test_what_was_set_after_loading_stays(tmp_path):
    path = saved(tmp_path, BOTH[0](0.02))
    model = make_model(BOTH[0](0.01), units=3)
    model.load_weights(path, skip_mismatch=True)
    assert int(model.optimizer.iterations) == 4
    model.optimizer.learning_rate = 0.25
    model.optimizer.iterations.assign(100)
    fit(model)
    assert float(model.optimizer.learning_rate) == 0.25
    assert int(model.optimizer.iterations) == 104


def test_a_state_that_fits_is_loaded_with_skip_mismatch_as_well(tmp_path, caplog):
    path = saved(tmp_path, BOTH[0](0.02))
    model = make_model(BOTH[0](0.01))
    model.load_weights(path, skip_mismatch=True)
    fit(model)
    assert int(model.optimizer.iterations) == 8
    assert not warnings_of(caplog)


def test_other_options_of_the_same_weights_are_still_refused(tmp_path):
    path = saved(tmp_path, BOTH[0](0.02, amsgrad=True))
    model = make_model(BOTH[0](0.01))
    model.load_weights(path)
    with pytest.raises(ValueError, match="does not fit"):
        fit(model)


def test_a_built_optimizer_refuses_and_with_skip_mismatch_keeps_what_it_has(tmp_path):
    path = saved(tmp_path, BOTH[0](0.02))
    model = make_model(BOTH[0](0.01), frozen=["first"])
    fit(model)
    before = [ops.convert_to_numpy(v) for v in model.optimizer.variables]
    with pytest.raises(ValueError, match="other layers frozen"):
        model.load_weights(path)
    model.load_weights(path, skip_mismatch=True)
    for one, other in zip(before, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one, ops.convert_to_numpy(other))
    fit(model)


@pytest.mark.parametrize("adam", BOTH)
def test_a_layer_unfrozen_without_compiling_is_not_trained(adam):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the train step that was traced is TensorFlow's")
    model = make_model(adam(0.01), frozen=["first"], run_eagerly=False)
    fit(model)
    model.get_layer("first").trainable = True
    before = model.get_layer("first").get_weights()[0]
    fit(model)
    np.testing.assert_array_equal(before, model.get_layer("first").get_weights()[0])
    model.compile(model.optimizer, "mse")
    with pytest.raises(ValueError, match="Unknown variable"):
        fit(model)


def test_a_state_of_low_precision_weights_or_with_controls_is_told_apart():
    for options, dtype in ((keras_adam.adam.ROBUST, "float32"), ({}, "bfloat16")):
        stored, optimizer = {}, keras_adam.Adam(0.1, **options)
        weights = [keras.Variable(np.ones(s), dtype=dtype) for s in ((2, 3), (3,))]
        optimizer.apply([ops.ones(w.shape, dtype) for w in weights], weights)
        optimizer.save_own_variables(stored)
        fitting, other = keras_adam.Adam(0.1), keras_adam.Adam(0.1, **options)
        fitting.load_own_variables(stored)
        other.load_own_variables(stored)
        if options:  # The same weights without these options.
            with pytest.raises(ValueError, match="does not fit"):
                fitting.build(weights)
        else:
            fitting.build(weights)
            assert int(fitting.iterations) == 1
        other.build(weights[1:])
        assert int(other.iterations) == 0


def test_weights_that_their_gradients_overwrite_do_not_make_it_another_state():
    """As the scales of float8 layers: they have an accumulator and no moments."""

    def make_weights():
        weights = [keras.Variable(np.ones(3, "float32")) for _ in range(2)]
        weights[0].overwrite_with_gradient = True
        return weights

    saved, loaded = (
        keras_adam.Adam(0.1, gradient_accumulation_steps=2, use_ema=True)
        for _ in range(2)
    )
    saved.build(make_weights())
    saved._iterations.assign(3)
    store = {}
    saved.save_own_variables(store)
    loaded.load_own_variables(store)
    loaded.build(make_weights())
    assert int(loaded._iterations) == 3

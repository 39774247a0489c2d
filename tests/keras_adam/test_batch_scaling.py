"""Hyperparameters carried over to another batch size."""

import math

import keras
import numpy as np
import pytest

import keras_adam
from keras_adam import change_batch_size, scale_for_batch_size
from keras_adam.batch_size import LARGEST_SHARE, ScaledSchedule
from keras_adam.options import Options


def config(**options):
    return keras_adam.Adam(0.01, **options).get_config()


def test_four_times_the_batch_by_hand():
    scaled = scale_for_batch_size(config(rate_cap=0.003), 256, 64)
    assert scaled["learning_rate"] == pytest.approx(0.02)
    assert scaled["beta_1"] == pytest.approx(0.6)
    assert scaled["beta_2"] == pytest.approx(0.996)
    assert scaled["epsilon"] == pytest.approx(5e-8)
    assert scaled["rate_cap"] == pytest.approx(0.006)


def test_a_sixteenth_of_the_batch_keeps_beta_1():
    scaled = scale_for_batch_size(config(), 4, 64)
    assert scaled["learning_rate"] == pytest.approx(0.0025)
    assert scaled["beta_1"] == pytest.approx(0.9)
    assert scaled["beta_2"] == pytest.approx(1 - 0.001 / 16)
    assert scaled["epsilon"] == pytest.approx(4e-7)


@pytest.mark.parametrize("batch_size", [4, 256])
def test_where_the_rate_is_adapted_beta_1_stays(batch_size):
    before = keras_adam.Adam.robust(0.01).get_config()
    scaled = scale_for_batch_size(before, batch_size, 64)
    root = math.sqrt(batch_size / 64)
    assert scaled["beta_1"] == pytest.approx(0.9)
    assert scaled["beta_2"] == pytest.approx(1 - 0.001 * batch_size / 64)
    assert scaled["learning_rate"] == pytest.approx(0.01 * root)
    assert scaled["rate_cap"] == pytest.approx(before["rate_cap"] * root)


def test_the_same_batch_changes_nothing():
    before = config(weight_decay=0.1, amsgrad=True)
    after = scale_for_batch_size(before, 64, 64)
    assert after.keys() == before.keys()
    for name, value in before.items():
        assert after[name] == (
            pytest.approx(value) if isinstance(value, float) else value
        )


def test_moments_keep_some_memory_however_large_the_batch():
    scaled = scale_for_batch_size(config(), 65536, 4)
    assert scaled["beta_1"] == pytest.approx(1 - LARGEST_SHARE)
    assert scaled["beta_2"] == pytest.approx(1 - LARGEST_SHARE)


def test_a_configuration_of_keras_is_scaled_as_well():
    scaled = scale_for_batch_size(keras.optimizers.Adam(0.01).get_config(), 16, 64)
    assert keras.optimizers.Adam.from_config(scaled).get_config()[
        "learning_rate"
    ] == pytest.approx(0.005)


def test_a_schedule_is_scaled_and_survives_a_file():
    schedule = keras.optimizers.schedules.CosineDecay(0.01, 100)
    scaled = scale_for_batch_size(keras_adam.Adam(schedule).get_config(), 256, 64)
    optimizer = keras_adam.Adam.from_config(scaled)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    for step in (0, 30, 100):
        rate = float(schedule(step))
        assert float(again._learning_rate(step)) == pytest.approx(2 * rate)


@pytest.mark.parametrize("bad", [0, -1, 2.5, True, "64"])
def test_what_is_no_batch_size_is_refused(bad):
    with pytest.raises(ValueError, match="must be an integer >= 1"):
        scale_for_batch_size(config(), bad, 64)
    with pytest.raises(ValueError, match="must be an integer >= 1"):
        scale_for_batch_size(config(), 64, bad)


def test_another_optimizer_is_refused():
    with pytest.raises(ValueError, match="lacks"):
        scale_for_batch_size(keras.optimizers.SGD(0.1).get_config(), 64, 32)


def model_of(optimizer):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)])
    model.compile(optimizer, "mse")
    return model


def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(128, 4)).astype("float32")
    return x, x[:, :3] ** 2


@pytest.mark.parametrize("make", [keras_adam.Adam, keras.optimizers.Adam])
def test_a_batch_that_changes_during_training_changes_the_steps(make):
    x, y = data()

    def fit(model, batch_size):
        model.fit(x, y, batch_size=batch_size, shuffle=False, verbose=0)

    changed = model_of(make(0.01))
    for batch_size, previous in ((8, 8), (16, 8), (64, 16)):
        if batch_size != previous:
            change_batch_size(changed, batch_size, previous)
        fit(changed, batch_size)
    # By hand: a new optimizer for each stage, with the state of the one before.
    by_hand, state, weights = None, None, model_of(make(0.01)).get_weights()
    for batch_size in (8, 16, 64):
        scaled = scale_for_batch_size(make(0.01).get_config(), batch_size, 8)
        by_hand = model_of(make.from_config(scaled))
        by_hand.set_weights(weights)
        by_hand.optimizer.build(by_hand.trainable_variables)
        if state is not None:
            for variable, value in zip(by_hand.optimizer.variables, state, strict=True):
                if "learning_rate" not in variable.path:
                    variable.assign(value)
        fit(by_hand, batch_size)
        weights = by_hand.get_weights()
        state = [keras.ops.convert_to_numpy(v) for v in by_hand.optimizer.variables]
    for one, other in zip(changed.get_weights(), weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_an_adapted_rate_goes_along_with_the_batch():
    x, y = data()
    model = model_of(keras_adam.Adam.robust(1.0))
    model.fit(x, y, batch_size=8, verbose=0)
    before = model.optimizer.rate_multiplier * float(model.optimizer.learning_rate)
    cap = model.optimizer.rate_cap
    change_batch_size(model, 32, 8)
    optimizer = model.optimizer
    after = optimizer.rate_multiplier * float(optimizer.learning_rate)
    assert after == pytest.approx(2 * before)
    assert optimizer.rate_cap == pytest.approx(2 * cap)
    assert optimizer.beta_1 == pytest.approx(0.9)
    # The step itself takes the scaled learning rate for no rise of a schedule.
    control = optimizer._controls.learning_rate
    in_step = control.controlled(optimizer.learning_rate, Options.of(optimizer))
    assert float(in_step) == pytest.approx(after)


@pytest.mark.parametrize("make", [keras_adam.Adam, keras_adam.Adam.robust])
def test_a_batch_that_shrinks_and_grows_again_is_where_it_was(make):
    model = model_of(make(0.01))
    before = model.optimizer.get_config()
    for batch_size, previous in ((16, 64), (256, 16), (64, 256)):
        change_batch_size(model, batch_size, previous, reference_batch_size=64)
        expected = scale_for_batch_size(before, batch_size, 64)
        for name in ("learning_rate", "beta_1", "beta_2", "epsilon"):
            got = model.optimizer.get_config()[name]
            assert got == pytest.approx(expected[name]), (batch_size, name)


def test_the_optimizer_within_a_loss_scale_is_scaled():
    x, y = data()
    inner = keras_adam.Adam.robust(0.01)
    model = model_of(keras.optimizers.LossScaleOptimizer(inner))
    model.fit(x, y, batch_size=16, verbose=0)
    change_batch_size(model, 64, 16)
    assert float(inner.learning_rate) == pytest.approx(0.02)
    assert inner.beta_2 == pytest.approx(0.996)
    model.fit(x, y, batch_size=64, verbose=0)


def test_a_model_without_an_optimizer_is_refused():
    with pytest.raises(ValueError, match="compile"):
        change_batch_size(keras.Sequential([keras.layers.Dense(3)]), 32, 8)


def test_a_running_schedule_is_refused():
    schedule = keras.optimizers.schedules.CosineDecay(0.01, 100)
    model = model_of(keras_adam.Adam(schedule))
    with pytest.raises(ValueError, match="cannot scale a schedule"):
        change_batch_size(model, 32, 8)
    with pytest.raises(TypeError, match="schedule or a callable"):
        model.optimizer.scale_rate(2.0)


@pytest.mark.tensorflow_only
def test_betas_that_catch_up_are_changed_in_an_order_that_is_allowed():
    """β₁² must be below β₂, which 0.9 beside 0.1 is not."""
    model = model_of(keras_adam.Adam(0.01, sparse_updates="catch_up"))
    change_batch_size(model, 4096, 4, reference_batch_size=4)
    assert model.optimizer.beta_1 == pytest.approx(1 - LARGEST_SHARE)
    assert model.optimizer.beta_2 == pytest.approx(1 - LARGEST_SHARE)
    model.optimizer.beta_2 = 0.9
    change_batch_size(model, 4, 64, reference_batch_size=4)
    assert model.optimizer.beta_1 > 0.9
    assert model.optimizer.beta_1**2 < model.optimizer.beta_2


@pytest.mark.tensorflow_only
@pytest.mark.parametrize(
    ("options", "batch_size"),
    [
        ({"sparse_updates": "catch_up", "beta_1": 0.5, "beta_2": 0.9}, 4 * 9),
        ({"beta_2": 0.999999}, 1),
    ],
)
def test_a_change_that_the_optimizer_refuses_changes_nothing(options, batch_size):
    model = model_of(keras_adam.Adam(0.01, **options))
    before = model.optimizer.get_config()
    previous = 4 if batch_size > 4 else 4096
    with pytest.raises(ValueError, match=r"beta_2"):
        change_batch_size(model, batch_size, previous, reference_batch_size=10**6)
    assert model.optimizer.get_config() == before


@pytest.mark.parametrize(
    "changes",
    [
        {"beta_1": "0.9"},
        {"beta_2": None},
        {"epsilon": float("nan")},
        {"rate_cap": "small"},
        {"learning_rate": float("inf")},
        {"learning_rate": True},
    ],
    ids=str,
)
def test_a_configuration_that_holds_no_numbers_is_refused_by_name(changes):
    with pytest.raises(ValueError, match=next(iter(changes))):
        scale_for_batch_size(config() | changes, 64, 32)


def test_a_schedule_is_scaled_by_a_positive_factor_only():
    schedule = keras.optimizers.schedules.CosineDecay(0.01, 100)
    for factor in (0, -1.0, float("nan"), "2", None):
        with pytest.raises(ValueError, match="factor must be"):
            ScaledSchedule(schedule, factor)
    with pytest.raises(TypeError, match="schedule must be a LearningRateSchedule"):
        ScaledSchedule(0.1, 2.0)

"""An Adam whose rate is controlled: its steps, what it goes with, what is saved."""

import keras
import numpy as np
import pytest
import tolerances
from keras import ops
from saving import FORMATS
from training import make_gradients, make_weights, modes, train

import keras_adam
from keras_adam.adam import ROBUST
from keras_adam.rule import learning_rate as rate_control
from keras_adam.state import packing

needs_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="needs TensorFlow"
)


class Reference:
    """The rule in NumPy float64, from moments as they were before the step."""

    def __init__(self, cap, gain, limit=None, softness=0.0):
        self.cap, self.gain, self.limit = cap, gain, limit
        self.softness = softness
        self.log_multiplier = self.peak = 0.0

    def rate(self, scheduled):
        if scheduled > self.peak:
            if self.cap is not None:
                soft_cap = self.cap * (scheduled / self.cap) ** self.softness
                allowed = np.log(soft_cap / scheduled)
                if self.peak > 0:
                    kept = self.log_multiplier + np.log(self.peak / scheduled)
                    allowed = max(allowed, kept)
                self.log_multiplier = min(self.log_multiplier, allowed)
            self.peak = scheduled
        return scheduled * np.exp(self.log_multiplier)

    def see(self, gradients, first, second, scheduled, step):
        if self.gain is None or step == 1:
            return
        products = [
            g * m / (np.sqrt(v) + 1e-12)
            for g, m, v in zip(gradients, first, second, strict=True)
        ]
        total = sum(np.sum(np.abs(p)) for p in products)
        if not total > 0:
            return
        agreement = sum(np.sum(p) for p in products) / total
        direction = np.tanh(agreement / rate_control.SATURATION) + rate_control.BIAS
        speed = self.gain / (1 + step / rate_control.HORIZON) ** 2
        before = self.log_multiplier
        self.log_multiplier += speed * scheduled / self.peak * direction
        if self.limit is not None:
            self.log_multiplier = min(self.log_multiplier, np.log(self.limit))
        if self.cap is not None:
            highest = np.log(self.cap * rate_control.REACH / self.peak)
            self.log_multiplier = min(self.log_multiplier, max(before, highest))


def train_reference(weights, gradients, rate_of_step, control, decay=0.0, every=1):
    """Adam in float64 under a reference control; ``every`` so many gradients a step."""
    w = [np.float64(x) for x in weights]
    m, v = ([np.zeros_like(x) for x in w] for _ in range(2))
    for t in range(1, len(gradients) // every + 1):
        group = gradients[(t - 1) * every : t * every]
        means = [np.mean(np.float64(one), axis=0) for one in zip(*group, strict=True)]
        scheduled = rate_of_step(t - 1)
        rate = control.rate(scheduled)
        old = [x.copy() for x in m]
        for i, g in enumerate(means):
            w[i] = w[i] - w[i] * decay * rate
            m[i] = 0.9 * m[i] + 0.1 * g
            v[i] = 0.999 * v[i] + 0.001 * g**2
            corrected = rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
            w[i] = w[i] - corrected * m[i] / (np.sqrt(v[i]) + 1e-7)
        control.see(means, old, v, scheduled, t)
    return w


SCHEDULES = {
    "a small rate": lambda step: 1e-4,
    "a rate far above the cap": lambda step: 2.0,
    "warm-up from zero, then decay": lambda step: (
        0.05 * min(step / 8, 1.0) * (1 - step / 40)
    ),
}


class Followed(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule given by a list."""

    def __init__(self, values):
        self.values = [float(value) for value in values]

    def __call__(self, step):
        return ops.take(ops.convert_to_tensor(self.values), ops.cast(step, "int32"))

    def get_config(self):
        return {"values": self.values}


CONTROLS = {
    "a cap": {"rate_cap": 0.003},
    "adaptation": {"rate_adaptation": 0.3},
    "a soft cap": {"rate_cap": 0.003, "rate_cap_softness": 0.4},
    "both": {"rate_cap": 0.003, "rate_adaptation": 0.3},
    "both, softly": {
        "rate_cap": 0.003,
        "rate_cap_softness": 0.25,
        "rate_adaptation": 0.3,
    },
    "limited growth": {
        "rate_cap": 0.003,
        "rate_adaptation": 0.5,
        "rate_growth_limit": 1.5,
    },
}


def drifting_gradients(steps, seed=1):
    """Noise about means, so that gradients agree more or less."""
    means = make_gradients(1, seed)[0]
    return [
        [
            (mean + 0.7 * noise).astype("float32")
            for mean, noise in zip(means, one, strict=True)
        ]
        for one in make_gradients(steps, seed)
    ]


@pytest.mark.parametrize("mode", modes())
@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("options", CONTROLS.values(), ids=CONTROLS)
def test_the_steps_are_those_of_the_reference(options, schedule, mode):
    weights, gradients = make_weights(), drifting_gradients(40)
    rates = [schedule(step) for step in range(40)]
    optimizer = keras_adam.Adam(Followed(rates), **options)
    got = train(optimizer, weights, gradients, mode)
    control = Reference(
        options.get("rate_cap"),
        options.get("rate_adaptation"),
        options.get("rate_growth_limit"),
        options.get("rate_cap_softness", 0.0),
    )
    expected = train_reference(weights, gradients, schedule, control)
    assert optimizer.rate_multiplier == pytest.approx(
        np.exp(control.log_multiplier), rel=1e-3
    )
    for one, right in zip(got, expected, strict=True):
        np.testing.assert_allclose(one, right, rtol=1e-3, atol=1e-4)


# See `training.quick_parameters`.
@pytest.mark.tensorflow_only
def test_weight_decay_and_accumulation_follow_the_controlled_rate():
    weights, gradients = make_weights(), drifting_gradients(60)
    options = {"rate_cap": 0.003, "rate_adaptation": 0.3}
    optimizer = keras_adam.Adam(
        0.5, weight_decay=0.1, gradient_accumulation_steps=3, **options
    )
    got = train(optimizer, weights, gradients)
    control = Reference(0.003, 0.3)
    expected = train_reference(
        weights, gradients, lambda step: 0.5, control, decay=0.1, every=3
    )
    for one, right in zip(got, expected, strict=True):
        np.testing.assert_allclose(one, right, rtol=1e-3, atol=1e-4)


FEATURES = {
    "amsgrad": {"amsgrad": True},
    "clipvalue": {"clipvalue": 0.3},
    "clipnorm": {"clipnorm": 0.5},
    "global clipnorm": {"global_clipnorm": 0.5},
    "a loss scale": {"loss_scale_factor": 8.0},
    "moving average": {"use_ema": True},
    "skipping non-finite steps": {"skip_nonfinite": True},
}


@pytest.mark.parametrize("options", FEATURES.values(), ids=FEATURES)
def test_every_mode_steps_alike_with(options):
    weights, gradients = make_weights(), drifting_gradients(20)
    ended = [
        train(keras_adam.Adam.robust(0.1, **options), weights, gradients, mode)
        for mode in modes()
    ]
    for other in ended[1:]:
        for one, right in zip(other, ended[0], strict=True):
            np.testing.assert_allclose(one, right, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("storage", ["bfloat16", "8bit"])
def test_the_multiplier_hardly_depends_on_the_storage(storage):
    shapes = ((256, 256), (300, 300), (20, 30))
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=shape).astype("float32") for shape in shapes]
    means = [rng.normal(size=shape) for shape in shapes]
    gradients = [
        [(mean + rng.normal(size=mean.shape)).astype("float32") for mean in means]
        for _ in range(12)
    ]
    found = {}
    for name in ("float32", storage):
        optimizer = keras_adam.Adam.robust(1e-4, moment_storage=name)
        train(optimizer, weights, gradients)
        found[name] = optimizer.rate_multiplier
    assert found["float32"] > 1.5
    # The first moment of a step before is known to three bits of mantissa in 8 bits.
    assert found[storage] == pytest.approx(found["float32"], rel=0.05)


@pytest.mark.parametrize("packs", [True, False], ids=["packed", "on their own"])
def test_each_entry_counts_alike_however_large_its_tensor(packs, monkeypatch):
    if not packs:
        monkeypatch.setattr(packing, "SMALL", 0)
    # The large weight's gradients agree, those of the small ones turn at every step:
    # four fifths of the entries say that the rate was too small.
    shapes = ((400, 400), (200, 100), (200, 100))
    rng = np.random.default_rng(0)
    gradients = [
        [
            np.float32(np.abs(rng.normal(size=s)) * (1 if i == 0 else (-1) ** step))
            for i, s in enumerate(shapes)
        ]
        for step in range(12)
    ]
    optimizer = keras_adam.Adam(1e-3, rate_adaptation=0.1)
    train(optimizer, [np.zeros(s, "float32") for s in shapes], gradients)
    control = Reference(None, 0.1)
    zeros = [np.zeros(s, "float32") for s in shapes]
    train_reference(zeros, gradients, lambda step: 1e-3, control)
    expected = np.exp(control.log_multiplier)
    assert optimizer.rate_multiplier == pytest.approx(expected, rel=0.02)


@needs_tensorflow
def test_rows_say_what_the_dense_gradient_says():
    import tensorflow as tf

    rng = np.random.default_rng(0)
    table = rng.normal(size=(6, 4)).astype("float32")
    found = []
    for by_rows in (False, True):
        optimizer = keras_adam.Adam.robust(
            1e-3, sparse_updates="lazy" if by_rows else "dense"
        )
        variable = keras.Variable(table)
        optimizer.build([variable])
        noise = np.random.default_rng(1)
        for _ in range(15):
            # All rows, one of them twice.
            values = noise.normal(size=(7, 4)).astype("float32") + 1
            gradient = tf.IndexedSlices(
                tf.constant(values), tf.constant([0, 1, 2, 3, 4, 5, 2]), (6, 4)
            )
            optimizer.apply([gradient], [variable])
        found.append((optimizer.rate_multiplier, variable.numpy()))
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-3)
    assert found[0][0] != 1
    np.testing.assert_allclose(found[1][1], found[0][1], atol=1e-4)


@needs_tensorflow
@pytest.mark.parametrize(
    "options",
    [{"global_clipnorm": 0.01}, {"clipvalue": 0.001}, {"clipnorm": 0.01}],
    ids=["global clipnorm", "clipvalue", "clipnorm"],
)
def test_rows_are_clipped_before_they_say_something(options):
    import tensorflow as tf

    found = []
    for by_rows in (False, True):
        optimizer = keras_adam.Adam.robust(
            1e-3, sparse_updates="lazy" if by_rows else "dense", **options
        )
        table, other = (keras.Variable(np.ones((6, 4), "float32")) for _ in range(2))
        optimizer.build([table, other])
        noise = np.random.default_rng(1)
        for step in range(15):
            # The table's agree, the other weight's turn at every step.
            values = noise.normal(size=(6, 4)).astype("float32") + 1
            turning = values * (-5) ** (step % 2)
            rows = tf.IndexedSlices(tf.constant(values), tf.range(6), (6, 4))
            optimizer.apply([rows, tf.constant(turning)], [table, other])
        found.append(optimizer.rate_multiplier)
    assert found[1] == pytest.approx(found[0], rel=1e-3)
    assert found[0] != 1


@needs_tensorflow
def test_rows_that_catch_up_follow_the_controlled_rate():
    import tensorflow as tf

    shape = (8192, 8)
    rng = np.random.default_rng(0)
    start = rng.normal(size=shape).astype("float32")
    ended = {}
    for rate in (2.0, 200.0):
        # Both are far above a hard cap, so that both are stepped at the same rate.
        optimizer = keras_adam.Adam.robust(
            rate, rate_cap_softness=0, sparse_updates="catch_up"
        )
        table = keras.Variable(start)
        optimizer.build([table])
        noise = np.random.default_rng(1)
        for _ in range(12):
            ids = noise.choice(shape[0], 500, replace=False)
            values = noise.normal(1.0, 1.0, size=(500, 8)).astype("float32")
            rows = tf.IndexedSlices(tf.constant(values), tf.constant(ids), shape)
            optimizer.apply([rows], [table])
        optimizer.finalize_variable_values([table])
        ended[rate] = table.numpy()
    np.testing.assert_allclose(ended[2.0], ended[200.0], atol=1e-5)
    assert 0.001 < np.abs(ended[2.0] - start).max() < 0.5


def test_replicas_find_the_rate_that_one_device_finds(two_replicas):
    import replicated_training
    import tensorflow as tf

    made = []

    def make():
        made.append(keras_adam.Adam.robust(0.01, jit_compile="auto"))
        return made[-1]

    single = tf.distribute.get_strategy()
    alone = replicated_training.train(single, make, keras)
    together = replicated_training.train(two_replicas, make, keras)
    assert made[1].rate_multiplier == pytest.approx(made[0].rate_multiplier, rel=1e-4)
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one, other, atol=10 * tolerances.REPLICAS)


@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_weights_of_another_dtype_find_the_rate_of_float32(dtype):
    if keras.backend.backend() == "jax" and dtype == "float64":
        pytest.skip("JAX has no float64 unless it is told to")
    weights, gradients = make_weights(), drifting_gradients(30)
    # What bfloat16 holds exactly, so that both see the same numbers.
    coarse = [[np.float32(g).astype("float16") for g in one] for one in gradients]
    found = []
    for kind in ("float32", dtype):
        optimizer = keras_adam.Adam.robust(0.5)
        train(optimizer, weights, coarse, dtype=kind)
        found.append(optimizer.rate_multiplier)
    # Gradients arrive rounded to eight bits of mantissa.
    assert found[1] == pytest.approx(found[0], rel=0.02)


@pytest.mark.skipif(
    keras.backend.backend() == "jax",
    reason="Keras's LossScaleOptimizer.apply() runs on JAX inside a train step alone",
)
def test_a_loss_scale_that_changes_does_not_concern_the_rate():
    found = []
    for scaled in (False, True):
        inner = keras_adam.Adam.robust(0.1)
        optimizer = (
            keras.optimizers.LossScaleOptimizer(inner, initial_scale=64.0)
            if scaled
            else inner
        )
        variables = [keras.Variable(w) for w in make_weights()]
        optimizer.build(variables)
        for gradients in drifting_gradients(15):
            scale = 64.0 if scaled else 1.0
            optimizer.apply(
                [ops.convert_to_tensor(np.float32(g * scale)) for g in gradients],
                variables,
            )
        found.append(inner.rate_multiplier)
    assert found[1] == pytest.approx(found[0], rel=1e-4)


def test_a_step_left_out_leaves_the_rate():
    optimizer = keras_adam.Adam.robust(0.1, skip_nonfinite=True)
    weights, gradients = make_weights(), drifting_gradients(5)
    train(optimizer, weights, gradients)
    before = optimizer.rate_multiplier
    variables = optimizer._trainable_variables
    spoilt = [np.full_like(g, np.nan) for g in gradients[0]]
    optimizer.apply([ops.convert_to_tensor(g) for g in spoilt], variables)
    assert optimizer.rate_multiplier == before
    assert optimizer.skipped_steps == 1


def test_a_gradient_that_is_not_finite_leaves_a_finite_rate():
    optimizer = keras_adam.Adam.robust(0.1)
    weights, gradients = make_weights(), drifting_gradients(5)
    gradients[3][1][0] = np.inf
    train(optimizer, weights, gradients)
    assert np.isfinite(optimizer.rate_multiplier)


# ---- saved and restored


def small_model(optimizer):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.layers.Input((6,)), keras.layers.Dense(5, "relu"), keras.layers.Dense(2)]
    )
    model.compile(optimizer, "mse")
    return model


def small_data():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(64, 6)).astype("float32")
    return x, x[:, :2] ** 2


@needs_tensorflow
@pytest.mark.parametrize("through", FORMATS.values(), ids=FORMATS)
def test_resuming_from_a_file_is_exact(through, tmp_path):
    x, y = small_data()

    def fit(model, epochs):
        model.fit(x, y, batch_size=16, epochs=epochs, shuffle=False, verbose=0)

    whole = small_model(keras_adam.Adam.robust(1.0, spike_guard=4.0))
    fit(whole, 6)
    first = small_model(keras_adam.Adam.robust(1.0, spike_guard=4.0))
    fit(first, 3)
    again = through(
        first, keras_adam.Adam.robust(1.0, spike_guard=4.0), tmp_path, small_model
    )
    fit(again, 3)
    assert again.optimizer.rate_multiplier == pytest.approx(
        whole.optimizer.rate_multiplier, rel=1e-5
    )
    for one, other in zip(again.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=tolerances.FULL_AND_SAVED)


def test_control_starts_anew_from_a_file_of_keras(tmp_path, caplog):
    x, y = small_data()
    model = small_model(keras.optimizers.Adam(0.01))
    model.fit(x, y, verbose=0)
    model.save_weights(tmp_path / "w.weights.h5")
    ours = small_model(keras_adam.Adam.robust(2.0))
    ours.optimizer.build(ours.trainable_variables)
    with caplog.at_level("INFO", "keras_adam"):
        ours.load_weights(tmp_path / "w.weights.h5")
    assert "The rate is capped anew" in caplog.text
    assert ours.optimizer.rate_multiplier == 1
    ours.fit(x, y, verbose=0)
    # The file's rate of 0.01 is above the cap.
    assert ours.optimizer.rate_multiplier < 1


def test_a_configuration_comes_back_whole():
    options = {
        "rate_cap": 0.01,
        "rate_cap_softness": 0.25,
        "rate_adaptation": 0.2,
        "rate_growth_limit": 4.0,
    }
    optimizer = keras_adam.Adam(0.1, **options, spike_guard=5)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    for name, value in (options | {"spike_guard": 5.0}).items():
        assert getattr(again, name) == value


def test_what_is_switched_off_later_leaves_a_configuration_that_can_be_read():
    optimizer = keras_adam.Adam.robust(0.5)
    optimizer.rate_cap = optimizer.rate_adaptation = None
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert (again.rate_cap, again.rate_cap_softness) == (None, 0)
    assert (again.rate_adaptation, again.rate_growth_limit) == (None, None)


def test_robust_sets_what_is_not_given():
    optimizer = keras_adam.Adam.robust(0.5, rate_cap=0.01, weight_decay=0.1)
    assert optimizer.rate_cap == 0.01
    assert optimizer.rate_adaptation == ROBUST["rate_adaptation"]
    assert optimizer.weight_decay == 0.1


def test_without_control_the_multiplier_is_one_and_nothing_is_kept():
    optimizer = keras_adam.Adam(0.1)
    train(optimizer, make_weights(), make_gradients(2))
    assert optimizer.rate_multiplier == 1
    paths = [variable.path for variable in optimizer.variables]
    assert not any("log_rate" in path for path in paths)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"rate_cap": 0}, "rate_cap must be positive"),
        ({"rate_cap": 0.01, "rate_cap_softness": 1}, "at least 0 and below 1"),
        ({"rate_cap_softness": 0.2}, "softens rate_cap, which is off"),
        ({"rate_adaptation": "fast"}, "rate_adaptation must be a number"),
        ({"rate_adaptation": 0.1, "beta_1": 0.0}, "beta_1=0"),
        (
            {"rate_adaptation": 0.1, "rate_growth_limit": 0.5},
            "forbid the given",
        ),
        ({"rate_growth_limit": 10.0}, "which is off"),
        ({"spike_guard": -1}, "spike_guard must be positive"),
    ],
    ids=[
        "no cap",
        "no bound",
        "softness of nothing",
        "a word",
        "no memory",
        "a limit below one",
        "a limit of nothing",
        "a negative guard",
    ],
)
def test_what_makes_no_sense_is_refused(options, says):
    with pytest.raises(ValueError, match=says):
        keras_adam.Adam(**options)


def test_another_rule_is_refused():
    class Mine(keras_adam.Adam):
        def update_step(self, gradient, variable, learning_rate):
            self.assign_sub(variable, learning_rate * gradient)

    for options in ({"rate_adaptation": 0.3}, {"rate_cap": 0.01}):
        with pytest.raises(ValueError, match="overrides update_step"):
            Mine(**options)


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("rate_cap", 0.01, "Adam.robust"),
        ("rate_adaptation", 0.2, "Adam.robust"),
        ("spike_guard", 5.0, "built without it"),
    ],
)
def test_what_has_no_state_cannot_be_switched_on(option, value, says):
    optimizer = keras_adam.Adam(0.1)
    variable = keras.Variable(np.ones(3, "float32"))
    optimizer.apply([ops.ones((3,))], [variable])
    before = ops.convert_to_numpy(variable.value)
    setattr(optimizer, option, value)
    with pytest.raises(ValueError, match=says):
        optimizer.apply([ops.ones((3,))], [variable])
    np.testing.assert_array_equal(ops.convert_to_numpy(variable.value), before)


def test_options_of_the_robust_adam_can_be_taken_back_one_by_one():
    assert keras_adam.Adam.robust(spike_guard=None).spike_guard is None
    assert keras_adam.Adam.robust(rate_growth_limit=None).rate_growth_limit is None
    # Without adaptation there is no growth to limit.
    capped = keras_adam.Adam.robust(rate_adaptation=None)
    assert (capped.rate_growth_limit, capped.rate_cap) == (None, 0.002)
    with pytest.raises(ValueError, match="which is off"):
        keras_adam.Adam.robust(rate_adaptation=None, rate_growth_limit=10)
    # Nor without a cap anything to soften.
    uncapped = keras_adam.Adam.robust(rate_cap=None)
    assert (uncapped.rate_cap, uncapped.rate_cap_softness) == (None, 0)
    assert keras_adam.Adam.robust(rate_cap_softness=0).rate_cap_softness == 0


def test_a_limit_may_be_a_numpy_scalar():
    optimizer = keras_adam.Adam.robust(0.1, rate_growth_limit=np.float32(4))
    assert type(optimizer.get_config()["rate_growth_limit"]) is float


def test_one_weight_is_stepped_by_hand_at_the_controlled_rate():
    optimizer = keras_adam.Adam(2.0, rate_cap=0.003)
    variable = keras.Variable(np.ones(3, "float32"))
    optimizer.build([variable])
    optimizer.update_step(ops.ones((3,)), variable, 2.0)
    np.testing.assert_allclose(ops.convert_to_numpy(variable.value), 0.997, rtol=1e-5)


# ---- what it is for


@pytest.mark.parametrize("rate", [1e-5, 3e-2, 3.0])
def test_any_rate_trains(rate):
    x = np.random.default_rng(0).normal(size=(256, 6)).astype("float32")
    y = np.tanh(x[:, :2] + x[:, 2:4])
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.layers.Input((6,)),
            keras.layers.Dense(32, "tanh"),
            keras.layers.Dense(2),
        ]
    )
    model.compile(keras_adam.Adam.robust(rate), "mse")
    model.fit(x, y, batch_size=16, epochs=12, verbose=0)
    # Predicting the mean of y costs 0.5.
    assert model.evaluate(x, y, verbose=0) < 0.1


@pytest.mark.parametrize(
    ("learning_rate", "told"),
    [
        (5.0, "5 is 2500 times rate_cap=0.002"),
        (keras.optimizers.schedules.CosineDecay(8.0, 100), "8 is 4000 times"),
        (1.0, ""),
        (0.001, ""),
    ],
    ids=["number", "schedule", "high", "usual"],
)
def test_a_learning_rate_far_above_the_cap_is_told_once(learning_rate, told, caplog):
    weights = [keras.Variable(np.full(3, 100.0, "float32"))]
    optimizer = keras_adam.Adam.robust(learning_rate)
    with caplog.at_level("WARNING"):
        for _ in range(2):
            optimizer.apply([np.ones(3, "float32")], weights)
    messages = [r.message for r in caplog.records if "rate_cap" in r.message]
    assert len(messages) == bool(told)
    assert told in "".join(messages)
    if told == "5 is 2500 times rate_cap=0.002":
        # The learning rate that is named is the one of the first step.
        assert "learning rate of 0.0065" in messages[0]
        assert round(0.002 * 2500**0.15, 4) == 0.0065


def test_a_learning_rate_far_above_the_cap_is_told_when_it_is_set(caplog):
    weights = [keras.Variable(np.ones(3, "float32"))]
    optimizer = keras_adam.Adam.robust()
    optimizer.build(weights)
    with caplog.at_level("WARNING"):
        optimizer.learning_rate = 10.0
        optimizer.learning_rate = 20.0
    assert sum("rate_cap" in r.message for r in caplog.records) == 1

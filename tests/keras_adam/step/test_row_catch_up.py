"""Rows that catch up: near dense Adam where lazy rows are far from it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_adam
from keras_adam.rule import adam as update_rule
from keras_adam.rule import missed_steps

pytestmark = pytest.mark.tensorflow_only

# The smallest table that is not packed with others: 65,536 entries.
ROWS, WIDTH = 16_384, 4
USED = 12
RATE = 0.01

OPTIONS = {
    "defaults": {},
    "weight decay": {"weight_decay": 0.1},
    "amsgrad": {"amsgrad": True},
    "global clipnorm": {"global_clipnorm": 0.5},
    "skipping non-finite steps": {"skip_nonfinite": True},
    "without momentum": {"beta_1": 0.0},
}


def gradients(steps=150, spoil=None):
    """Three of twelve rows in each step, some ids repeated; a dense one beside them."""
    rng = np.random.default_rng(0)
    means = rng.normal(size=(USED, WIDTH))
    for step in range(steps):
        ids = rng.choice(USED, size=3)
        values = means[ids] + rng.normal(size=(3, WIDTH))
        if step == spoil:
            values[0] = np.nan
        yield (
            tf.IndexedSlices(
                tf.constant(values, "float32"),
                tf.constant(ids, "int32"),
                tf.constant([ROWS, WIDTH]),
            ),
            tf.constant(rng.normal(size=(WIDTH,)), "float32"),
        )


def made(kind, dtype="float32", **options):
    table = keras.Variable(np.ones((ROWS, WIDTH)), dtype=dtype)
    bias = keras.Variable(np.ones(WIDTH, "float32"))
    optimizer = keras_adam.Adam(RATE, sparse_updates=kind, **options)
    optimizer.build([table, bias])
    return optimizer, [table, bias]


def train(kind, mode="graph", dtype="float32", spoil=None, **options):
    """The used rows and the bias, with everything due taken."""
    optimizer, variables = made(kind, dtype, **options)

    def step(*received):
        optimizer.apply(received, variables)

    if mode != "eager":
        step = tf.function(step, jit_compile=mode == "XLA", reduce_retracing=True)
    for received in gradients(spoil=spoil):
        step(*received)
    optimizer.finalize_variable_values(variables)
    return [keras.ops.convert_to_numpy(v)[:USED].astype("float64") for v in variables]


@pytest.mark.parametrize("mode", ["eager", "graph", "XLA"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_rows_end_near_those_of_dense_adam(options, mode):
    spoil = 3 if options.get("skip_nonfinite") else None
    dense = train("dense", spoil=spoil, **options)
    caught_up = train("catch_up", mode, spoil=spoil, **options)
    lazy = train("lazy", spoil=spoil, **options)

    def distance(rows):
        return np.sqrt(np.mean(np.square(rows[0] - dense[0])))

    moved = np.sqrt(np.mean(np.square(dense[0] - 1)))
    assert distance(caught_up) < 0.01 * moved
    assert distance(caught_up) < 0.1 * distance(lazy)
    np.testing.assert_allclose(caught_up[1], dense[1], rtol=1e-5)


def test_low_precision_rows_catch_up():
    dense, caught_up = (train(kind, dtype="bfloat16") for kind in ("dense", "catch_up"))
    np.testing.assert_allclose(caught_up[0], dense[0], rtol=2.0**-7)


@pytest.mark.parametrize("amsgrad", [False, True], ids=["v decays", "amsgrad"])
@pytest.mark.parametrize("beta_1", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("last_step", [1, 5, 1000])
def test_the_closed_form_is_the_sum_of_the_missed_steps(last_step, beta_1, amsgrad):
    beta_2, epsilon, rate = 0.999, 1e-7, 0.01
    missed = np.array([0, 1, 2, 7, 60, 3000])
    m = np.full((len(missed), 1), 0.3)
    v = np.full((len(missed), 1), 0.04)
    largest = 2 * v if amsgrad else None
    w, moments = missed_steps.catch_up(
        keras.ops.convert_to_tensor(np.ones((len(missed), 1))),
        update_rule.Moments(m, v, largest),
        keras.ops.convert_to_tensor(np.full((len(missed), 1), float(last_step))),
        keras.ops.convert_to_tensor(missed[:, None].astype("float64")),
        keras.ops.convert_to_tensor(np.float64(rate)),
        beta_1,
        beta_2,
        epsilon,
        0.1,
    )
    for row, k in enumerate(missed):
        expected, first, second = 1.0, 0.3, 0.04
        for t in range(last_step + 1, last_step + k + 1):
            expected *= 1 - rate * 0.1
            first, second = beta_1 * first, beta_2 * second
            root = np.sqrt(0.08 if amsgrad else second)
            correction = np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
            expected -= rate * correction * first / (root + epsilon)
        np.testing.assert_allclose(moments.first[row], first, rtol=1e-9, atol=1e-300)
        np.testing.assert_allclose(moments.second[row], second, rtol=1e-9)
        # Of what the row moves, a tenth in the first steps, where the bias correction
        # changes fast; of the weight's decay, what it would have been on the way.
        slack = 0.12 if last_step == 1 else 0.03
        assert abs(float(w[row, 0]) - expected) <= slack * abs(1 - expected) + 1e-12


def test_a_row_that_missed_nothing_keeps_every_bit():
    rng = np.random.default_rng(0)
    w, m, v = (rng.uniform(size=(5, 2)).astype("float32") for _ in range(3))
    after, moments = missed_steps.catch_up(
        tf.constant(w),
        update_rule.Moments(tf.constant(m), tf.constant(v)),
        tf.constant([[0.0], [1.0], [2.0], [50.0], [1e6]]),
        tf.zeros((5, 1)),
        tf.constant(0.1),
        0.9,
        0.999,
        1e-7,
        0.1,
    )
    np.testing.assert_array_equal(after, w)
    np.testing.assert_array_equal(moments.first, m)
    np.testing.assert_array_equal(moments.second, v)


def test_rows_without_a_gradient_stay_as_they_are():
    optimizer, variables = made("catch_up", weight_decay=0.1)
    for received in gradients(5):
        optimizer.apply(received, variables)
    optimizer.finalize_variable_values(variables)
    np.testing.assert_array_equal(variables[0].numpy()[USED:], 1)
    assert not np.any(optimizer._last_steps[0].numpy()[USED:])


def test_catching_up_twice_changes_nothing():
    optimizer, variables = made("catch_up", weight_decay=0.1)
    for received in gradients(20):
        optimizer.apply(received, variables)
    optimizer.finalize_variable_values(variables)
    before = [v.numpy() for v in [*variables, *optimizer.variables]]
    optimizer.finalize_variable_values(variables)
    after = [v.numpy() for v in [*variables, *optimizer.variables]]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_dense_gradient_brings_every_row_up_to_date():
    optimizer, variables = made("catch_up")
    bias = tf.ones(WIDTH)
    optimizer.apply([tf.ones((ROWS, WIDTH)), bias], variables)
    rows = tf.IndexedSlices(tf.ones((1, WIDTH)), tf.constant([3]))
    optimizer.apply([rows, bias], variables)
    last_steps = optimizer._last_steps[0].numpy()
    assert last_steps[3] == 2
    assert set(np.delete(last_steps, 3)) == {1}


def test_a_small_table_is_dense():
    table = keras.Variable(np.ones((9, WIDTH), "float32"))
    optimizer = keras_adam.Adam(RATE, sparse_updates="catch_up")
    optimizer.build([table])
    for ids in ([1], [2], [2]):
        rows = tf.IndexedSlices(tf.ones((1, WIDTH)), tf.constant(ids), [9, WIDTH])
        optimizer.apply([rows], [table])
    assert optimizer._last_steps == [None]
    # Row 1 went on by its momentum in two more steps.
    assert np.all(table.numpy()[1] < 1 - 1.5 * RATE)


def model_and_words(kind):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.layers.Input((5,)),
            keras.layers.Embedding(ROWS, WIDTH),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(2),
        ]
    )
    model.compile(keras_adam.Adam(RATE, sparse_updates=kind), "mse")
    words = np.random.default_rng(0).integers(0, 40, size=(64, 5))
    return model, words, np.ones((64, 2), "float32")


@pytest.mark.parametrize("jit_compile", [False, True], ids=["default", "XLA"])
def test_fit_ends_with_every_row_up_to_date(jit_compile):
    model, x, y = model_and_words("catch_up")
    model.jit_compile = jit_compile
    model.fit(x, y, batch_size=8, epochs=2, verbose=0)
    last_steps = model.optimizer._last_steps[0].numpy()
    assert set(last_steps) == {0, 16}
    assert last_steps.astype(bool).sum() <= 40


def test_after_fit_keras_loads_the_file(tmp_path):
    model, x, y = model_and_words("catch_up")
    model.fit(x, y, batch_size=8, epochs=2, verbose=0)
    path = tmp_path / "model.weights.h5"
    model.save_weights(path)
    other, _, _ = model_and_words("dense")
    other.compile(keras.optimizers.Adam(RATE), "mse")
    other.optimizer.build(other.trainable_variables)
    other.load_weights(path)
    loaded, saved = other.optimizer.variables, model.optimizer.variables
    assert len(saved) == len(loaded) + 1
    # Keras's come first; what only ours has comes last.
    for one, ours in zip(loaded, saved, strict=False):
        np.testing.assert_array_equal(one.numpy(), ours.numpy())


def test_kerass_file_has_no_row_behind(tmp_path):
    other, x, y = model_and_words("dense")
    other.compile(keras.optimizers.Adam(RATE), "mse")
    other.fit(x, y, batch_size=8, epochs=2, verbose=0)
    path = tmp_path / "model.weights.h5"
    other.save_weights(path)
    model, _, _ = model_and_words("catch_up")
    model.optimizer.build(model.trainable_variables)
    model.load_weights(path)
    last_steps = model.optimizer._last_steps[0].numpy()
    assert set(last_steps) == {0, 16}
    np.testing.assert_array_equal(last_steps != 0, np.isin(np.arange(ROWS), x))


def test_training_resumes_to_the_bit_where_rows_were_behind(tmp_path):
    received = list(gradients(40))
    whole, whole_variables = made("catch_up")
    for one in received:
        whole.apply(one, whole_variables)

    first, first_variables = made("catch_up")
    for one in received[:20]:
        first.apply(one, first_variables)
    store = {}
    first.save_own_variables(store)
    second, second_variables = made("catch_up")
    for variable, saved in zip(second_variables, first_variables, strict=True):
        variable.assign(saved.value)
    second.load_own_variables(store)
    for one in received[20:]:
        second.apply(one, second_variables)
    for one, other in zip(
        [*whole_variables, *whole.variables],
        [*second_variables, *second.variables],
        strict=True,
    ):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_a_file_with_rows_behind_is_refused_by_other_options():
    optimizer, variables = made("catch_up")
    for received in gradients(5):
        optimizer.apply(received, variables)
    store = {}
    optimizer.save_own_variables(store)
    dense, _ = made("dense")
    with pytest.raises(ValueError, match="sparse_updates"):
        dense.load_own_variables(store)


def test_betas_whose_steps_do_not_fade_are_refused():
    with pytest.raises(ValueError, match=r"beta_1=0.95 and beta_2=0.9"):
        keras_adam.Adam(beta_1=0.95, beta_2=0.9, sparse_updates="catch_up")


def final_rows(kind, jump):
    """Rows 0 and 1 after ten steps; row 1 misses four, and the count is set in them."""
    optimizer, variables = made(kind)
    both = tf.IndexedSlices(tf.ones((2, WIDTH)), tf.constant([0, 1]), (ROWS, WIDTH))
    one = tf.IndexedSlices(tf.ones((1, WIDTH)), tf.constant([0]), (ROWS, WIDTH))
    for rows in (both,) * 5 + (one,) * 3:
        optimizer.apply([rows, None], variables)
    before = optimizer.read_moments(variables[0])
    if jump is not None:
        optimizer.iterations.assign(jump)
        for old, new in zip(before, optimizer.read_moments(variables[0]), strict=True):
            if old is not None:
                np.testing.assert_array_equal(old, new)
    optimizer.apply([one, None], variables)
    optimizer.apply([both, None], variables)
    optimizer.finalize_variable_values(variables)
    return variables[0].numpy()[:3, 0], optimizer, variables


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
@pytest.mark.parametrize("jump", [0, 3, 1000, 10**6])
def test_no_row_moves_because_the_step_count_is_set(jump):
    """Warm restarts set the count back, continued trainings set it forward."""
    rows, optimizer, variables = final_rows("catch_up", jump)
    dense, dense_optimizer, dense_variables = final_rows("dense", jump)
    assert rows[2] == 1
    assert rows[0] == dense[0]
    # Ten steps at a learning rate of 0.01, whatever the bias correction says.
    assert abs(rows[1] - dense[1]) < 0.05
    for mine, theirs in zip(
        optimizer.read_moments(variables[0])[:2],
        dense_optimizer.read_moments(dense_variables[0])[:2],
        strict=True,
    ):
        np.testing.assert_allclose(mine[:2], theirs[:2], rtol=1e-4)


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
@pytest.mark.parametrize("jump", [None, 0, 2, 1000])
def test_a_file_written_after_the_count_was_set_goes_on_alike(jump):
    optimizer, variables = made("catch_up")
    both = tf.IndexedSlices(tf.ones((2, WIDTH)), tf.constant([0, 1]), (ROWS, WIDTH))
    one = tf.IndexedSlices(tf.ones((1, WIDTH)), tf.constant([0]), (ROWS, WIDTH))
    for rows in (both,) * 5 + (one,) * 3:
        optimizer.apply([rows, None], variables)
    if jump is not None:
        optimizer.iterations.assign(jump)
    optimizer.apply([one, None], variables)
    store = {}
    optimizer.save_own_variables(store)
    loaded, others = made("catch_up")
    loaded.load_own_variables(store)
    others[0].assign(variables[0])
    for made_by, weights in ((optimizer, variables), (loaded, others)):
        made_by.apply([both, None], weights)
        made_by.finalize_variable_values(weights)
    mine, theirs = variables[0].numpy()[:3], others[0].numpy()[:3]
    if jump is None:
        np.testing.assert_array_equal(mine, theirs)
    # Files count by the step count: missed steps before its first have no place in
    # them, and the bias correction is that of the count. A step is 0.01 to 0.032.
    np.testing.assert_allclose(mine, theirs, atol=4 * 0.032)


def test_a_last_step_beyond_the_count_means_that_nothing_was_missed():
    optimizer, variables = made("catch_up")
    rows = tf.IndexedSlices(tf.ones((1, WIDTH)), tf.constant([0]), (ROWS, WIDTH))
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        optimizer.apply([rows, None], variables)
    optimizer._last_steps[0].assign(np.full(ROWS, 500, "int32"))
    before = variables[0].numpy()
    optimizer.finalize_variable_values(variables)
    np.testing.assert_array_equal(variables[0].numpy(), before)


def test_a_checkpoint_of_tensorflow_has_the_steps_that_were_taken(tmp_path):
    optimizer, variables = made("catch_up")
    rows = tf.IndexedSlices(tf.ones((1, WIDTH)), tf.constant([0]), (ROWS, WIDTH))
    dense = tf.ones(WIDTH)
    for _ in range(3):
        optimizer.apply([rows, dense], variables)
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        optimizer.apply([None, dense], variables)
    path = tf.train.Checkpoint(optimizer=optimizer).save(tmp_path / "checkpoint")
    loaded, others = made("catch_up")
    tf.train.Checkpoint(optimizer=loaded).restore(path).assert_consumed()
    others[0].assign(variables[0])
    optimizer.finalize_variable_values(variables)
    loaded.finalize_variable_values(others)
    np.testing.assert_array_equal(others[0].numpy()[0], variables[0].numpy()[0])

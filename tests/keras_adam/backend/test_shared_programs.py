"""Optimizers of one structure share compiled programs, and no others do."""

import gc
import threading
import weakref

import keras
import numpy as np
import pytest
from training import OPTIONS, SHAPES, make_gradients, make_weights, to_numpy

import keras_adam
from keras_adam.backend import xla_programs as shared_programs

pytestmark = pytest.mark.tensorflow_only

MORE_OPTIONS = OPTIONS | {
    "robust": keras_adam.Adam.robust().get_config() | {"name": None},
    "skipping": {"skip_nonfinite": True},
    "spike guard": {"spike_guard": 5.0},
    "rate cap": {"rate_cap": 0.0005},
}
CATCH_UP = {"sparse_updates": "catch_up", "skip_nonfinite": True}
LARGE = ((1100, 1000), (1100, 1000), (70_000,), (3,))
STORED = {
    "large": {},
    "large, 8bit": {"moment_storage": "8bit", "spike_guard": 5.0},
    "large, catch up": {"sparse_updates": "catch_up"},
    "large, catch up, skipping": CATCH_UP,
    "large, averages": {"use_ema": True, "ema_overwrite_frequency": 2},
    "large, bfloat16": {"moment_storage": "bfloat16", "rate_adaptation": 0.2},
}


@pytest.fixture(autouse=True)
def _no_programs(monkeypatch):
    monkeypatch.setattr(shared_programs, "_shared", type(shared_programs._shared)())


def variables(seed, shapes):
    return [keras.Variable(weight) for weight in make_weights(seed, shapes)]


def train(options, seed, shapes, steps=4):
    import tensorflow as tf

    weights = variables(seed, shapes)
    optimizer = keras_adam.Adam(**options)
    optimizer.build(weights)
    for gradients in make_gradients(steps, seed + 50, shapes):
        optimizer.apply([tf.constant(g) for g in gradients], weights)
    return to_numpy(weights), to_numpy(optimizer.variables)


def traces():
    return [program.trace_count for program in shared_programs._shared.values()]


@pytest.mark.parametrize(
    ("options", "shapes"),
    [
        *((options, SHAPES) for options in MORE_OPTIONS.values()),
        *((options, LARGE) for options in STORED.values()),
    ],
    ids=[*MORE_OPTIONS, *STORED],
)
def test_a_second_optimizer_of_the_same_structure_compiles_nothing(options, shapes):
    first, _ = train(options, 0, shapes)
    before = traces()
    second, state = train(options, 1, shapes)
    assert before
    assert traces() == before
    assert all(program.is_shareable for program in shared_programs._shared.values())
    # It has read and assigned its own variables, and those of nobody else.
    shared_programs._shared.clear()
    alone, state_alone = train(options, 1, shapes)
    for one, other in zip([*second, *state], [*alone, *state_alone], strict=True):
        np.testing.assert_array_equal(one, other)
    again, _ = train(options, 0, shapes)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_no_option_is_shared_across():
    """Every setting trains as if it were alone, with all others before it."""
    alone = {}
    for name, options in MORE_OPTIONS.items():
        shared_programs._shared.clear()
        alone[name] = train(options, 2, ((5, 3), (3,)))
    for name, options in MORE_OPTIONS.items():
        weights, state = train(options, 2, ((5, 3), (3,)))
        expected = [*alone[name][0], *alone[name][1]]
        for one, other in zip([*weights, *state], expected, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=name)


def test_weights_that_decay_do_not_share_with_others():
    import tensorflow as tf

    ends = []
    for excluded in ([], ["kernel"]):
        weight = keras.Variable(np.ones(3, "float32"), name="kernel")
        optimizer = keras_adam.Adam(0.1, weight_decay=0.5)
        optimizer.exclude_from_weight_decay(var_names=excluded)
        optimizer.apply([tf.ones(3)], [weight])
        ends.append(float(weight.numpy()[0]))
    np.testing.assert_allclose(ends, [0.85, 0.9], rtol=1e-5)


def test_a_subclass_has_programs_of_its_own():
    import tensorflow as tf

    class Halved(keras_adam.Adam):
        def update_step(self, gradient, variable, learning_rate):
            super().update_step(gradient, variable, learning_rate / 2)

    ends = []
    for made in (keras_adam.Adam, Halved, keras_adam.Adam):
        weight = keras.Variable(np.ones(3, "float32"))
        made(0.1).apply([tf.ones(3)], [weight])
        ends.append(float(weight.numpy()[0]))
    np.testing.assert_allclose(ends, [0.9, 0.95, 0.9], rtol=1e-5)


@pytest.mark.parametrize("options", [{}, {"skip_nonfinite": True}, {"clipnorm": 1.0}])
def test_a_dropped_optimizer_is_freed(options):
    import tensorflow as tf

    weights = variables(0, ((5, 3), (3,)))
    optimizer = keras_adam.Adam(**options)
    optimizer.apply([tf.ones((5, 3)), tf.ones((3,))], weights)
    dropped = [weakref.ref(one) for one in (optimizer, *optimizer.stored_variables)]
    del optimizer, weights
    gc.collect()
    assert [one() for one in dropped if one() is not None] == []


def test_programs_are_kept_up_to_a_number(monkeypatch):
    monkeypatch.setattr(shared_programs, "MOST_SHARED", 2)
    for size in range(1, 5):
        train({}, 0, ((size,),))
    assert len(shared_programs._shared) == 2


def test_two_optimizers_in_two_threads_train_as_one_after_the_other():
    shapes = ((5, 3), (3,))
    alone = [train({}, seed, shapes, steps=30)[0] for seed in range(4)]
    shared_programs._shared.clear()
    together = [None] * 4

    def work(seed):
        together[seed] = train({}, seed, shapes, steps=30)[0]

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(together, alone, strict=True):
        for mine, theirs in zip(one, other, strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_a_program_that_captures_a_variable_is_shared_with_nobody():
    import tensorflow as tf

    captured = tf.Variable(1.0)
    first = shared_programs.shared_program("key")
    assert float(first(lambda x: x + captured, [], [tf.constant(1.0)])) == 2
    assert not first.is_shareable
    assert shared_programs.shared_program("key") is not first


def test_a_program_that_captures_a_tensor_of_a_graph_is_shared_with_nobody():
    import tensorflow as tf

    first = shared_programs.shared_program("key")

    @tf.function
    def step(x):
        outside = x + 1
        return first(lambda y: y + outside, [], [x])

    assert float(step(tf.constant(1.0))) == 3
    assert shared_programs.shared_program("key") is not first


def test_nothing_is_kept_of_functions_that_run_eagerly():
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    try:
        train({}, 0, SHAPES)
    finally:
        tf.config.run_functions_eagerly(False)
    assert not any(traces())


def test_rows_catch_up_by_the_optimizers_own_count():
    """A table with a dense gradient notes the step in a program that is shared."""
    import tensorflow as tf

    for steps in (2, 5):
        table = keras.Variable(np.ones((256, 256), "float32"))
        optimizer = keras_adam.Adam(0.01, sparse_updates="catch_up")
        optimizer.build([table])
        for _ in range(steps):
            optimizer.apply([tf.ones((256, 256))], [table])
        before = table.numpy()
        optimizer.finalize_variable_values([table])
        np.testing.assert_array_equal(table.numpy(), before)
        assert np.all(optimizer._last_steps[0].numpy() == steps)

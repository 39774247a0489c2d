"""Tools that look for the first NaN or infinity find none in a finite training.

And a gradient that is taken through a step is finite: where nothing is infinite on the
way, nothing is multiplied by it.
"""

import functools
import logging

import keras
import numpy as np
import pytest
from training import OPTIONS

import keras_adam

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"

ALL_OPTIONS = OPTIONS | {
    "robust": keras_adam.Adam.robust().get_config() | {"name": None},
    "spike guard": {"spike_guard": 5.0},
    "skipping": {"skip_nonfinite": True},
    "8bit": {"moment_storage": "8bit", "spike_guard": 5.0},
    "bfloat16": {"moment_storage": "bfloat16", "rate_cap": 0.01},
    "lazy": {"sparse_updates": "lazy", "skip_nonfinite": True, "spike_guard": 5.0},
    "catch up": {"sparse_updates": "catch_up", "global_clipnorm": 1.0},
}


def fit(options, dtype="float32", **compile_options):
    """Losses of a net with large weights, a table, and entries without a gradient."""
    layers = [
        keras.layers.Input((4,), dtype="int32"),
        keras.layers.Embedding(4_200, 16),
        keras.layers.Flatten(),
        keras.layers.Dense(1100, activation="relu"),
        keras.layers.Dense(1),
    ]
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        model = keras.Sequential(layers)
    finally:
        keras.config.set_dtype_policy(policy)
    model.compile(keras_adam.Adam(**options), "mse", **compile_options)
    words = np.arange(40).reshape(10, 4)
    targets = np.sin(words.sum(axis=1, keepdims=True))
    return model.fit(words, targets, batch_size=4, epochs=2, verbose=0).history["loss"]


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("options", ALL_OPTIONS.values(), ids=ALL_OPTIONS)
def test_tensorflow_finds_no_nan_or_infinity(options, caplog):
    import tensorflow as tf

    tf.debugging.enable_check_numerics()
    try:
        with caplog.at_level(logging.WARNING):
            losses = fit(options)
    finally:
        tf.debugging.disable_check_numerics()
    assert np.all(np.isfinite(losses))
    told = [r.message for r in caplog.records if "debugging tool" in r.message]
    assert len(told) == 1
    assert "runs without XLA" in told[0]


@pytest.mark.tensorflow_only
def test_graphs_that_are_dumped_run_without_xla(tmp_path):
    import tensorflow as tf

    debug = tf.debugging.experimental
    debug.enable_dump_debug_info(str(tmp_path), tensor_debug_mode="FULL_HEALTH")
    try:
        losses = fit({"spike_guard": 5.0})
    finally:
        debug.disable_dump_debug_info()
    assert losses[1] < losses[0]


@pytest.mark.tensorflow_only
def test_true_says_which_tool_keeps_it_from_compiling():
    import tensorflow as tf

    weight = keras.Variable(np.ones(3, "float32"))
    tf.debugging.enable_check_numerics()
    try:
        with pytest.raises(ValueError, match=r"jit_compile=True.*check_numerics"):
            keras_adam.Adam(jit_compile=True).apply([tf.ones(3)], [weight])
    finally:
        tf.debugging.disable_check_numerics()


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("in_graph", [True, False])
def test_a_rule_that_xla_refuses_runs_without_it(in_graph, caplog, capfd):
    import tensorflow as tf

    class Printing(keras_adam.Adam):
        def update_step(self, gradient, variable, learning_rate):
            tf.print(tf.strings.as_string(gradient[0]))
            super().update_step(gradient, variable, learning_rate)

    weight = keras.Variable(np.ones(3, "float32"))
    optimizer = Printing(0.1)
    optimizer.build([weight])

    def step():
        optimizer.apply([tf.ones(3)], [weight])

    with caplog.at_level(logging.WARNING):
        run = tf.function(step) if in_graph else step
        run()
        run()
    np.testing.assert_allclose(weight.numpy(), 0.8, rtol=1e-5)
    assert capfd.readouterr().err.count("1.000000") == 2
    assert sum("XLA refuses" in r.message for r in caplog.records) == 1
    with pytest.raises(ValueError, match="jit_compile=True"):
        Printing(jit_compile=True).apply([tf.ones(3)], [weight])


@pytest.mark.tensorflow_only
@pytest.mark.parametrize(
    "options", [{}, ALL_OPTIONS["robust"]], ids=["plain", "robust"]
)
def test_functions_may_be_run_eagerly(options):
    import tensorflow as tf

    expected, found = (
        [keras.Variable(np.ones(shape, "float32")) for shape in ((1100, 1000), (3,))]
        for _ in range(2)
    )
    for weights, eagerly in ((expected, False), (found, True)):
        optimizer = keras_adam.Adam(**options)
        optimizer.build(weights)
        step = functools.partial(optimizer.apply, [w.numpy() for w in weights], weights)
        step = tf.function(step)
        tf.config.run_functions_eagerly(eagerly)
        try:
            for _ in range(3):
                step()
        finally:
            tf.config.run_functions_eagerly(False)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.fixture
def _jax_checks():
    if keras.backend.backend() != "jax":
        pytest.skip("needs the JAX backend")
    import jax

    jax.config.update("jax_debug_nans", True)
    jax.config.update("jax_debug_infs", True)
    yield
    jax.config.update("jax_debug_nans", False)
    jax.config.update("jax_debug_infs", False)


ON_JAX = {
    name: options
    for name, options in ALL_OPTIONS.items()
    if "sparse_updates" not in options
}


@pytest.mark.usefixtures("_jax_checks")
@pytest.mark.parametrize(
    ("options", "dtype"),
    [*((options, "float32") for options in ON_JAX.values()), ({}, "bfloat16")],
    ids=[*ON_JAX, "bfloat16 weights"],
)
def test_jax_finds_no_nan_or_infinity(options, dtype):
    losses = fit(options, dtype)
    assert np.all(np.isfinite(losses))


@pytest.mark.parametrize(
    "name",
    [
        "defaults",
        "amsgrad",
        "clipnorm",
        "global clipnorm",
        "moving average",
        "accumulation",
        "robust",
        "spike guard",
        "8bit",
    ],
)
@pytest.mark.parametrize("size", [0.0, 1.0], ids=["no gradient", "gradient"])
def test_a_gradient_through_steps_is_finite(name, size):
    if keras.backend.backend() != "jax":
        pytest.skip("needs the JAX backend")
    import jax
    import jax.numpy as jnp

    shapes = ((3, 2), (70_000 if name == "8bit" else 2,))
    weights = [keras.Variable(np.ones(shape, "float32")) for shape in shapes]
    optimizer = keras_adam.Adam(**ALL_OPTIONS[name])
    optimizer.build(weights)
    rng = np.random.default_rng(0)
    gradients = [
        jnp.asarray(size * rng.normal(size=w.shape), "float32") for w in weights
    ]

    def loss(gradients, values, state):
        for _ in range(3):
            values, state = optimizer.stateless_apply(state, gradients, values)
        return sum(jnp.sum(value**2) for value in values)

    through = jax.jit(jax.grad(loss, argnums=(0, 1)))(
        gradients, [w.value for w in weights], [v.value for v in optimizer.variables]
    )
    assert all(bool(jnp.all(jnp.isfinite(part))) for part in jax.tree.leaves(through))


def test_the_norm_of_many_entries_near_the_largest_number_is_finite():
    from keras_adam.rule import clipping

    largest = np.finfo("float32").max
    norm = clipping.norm_of_finite([np.full((100,), largest, "float32")])
    assert float(norm) == largest
    assert float(clipping.norm_of_finite([np.zeros(3, "float32")])) == 0

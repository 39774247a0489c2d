"""What keras.optimizers.Adam gets wrong, and ours must not.

Each check is run on both classes. On Keras's it must fail (strictly: the day Keras
mends one, the test says so, and the README's table loses a row).
"""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import training
from keras import ops

import keras_adam


def on_both(reason):
    """Run a check on ours, which passes, and on Keras's, which must not."""
    return pytest.mark.parametrize(
        "adam",
        [
            pytest.param(keras_adam.Adam, id="ours"),
            pytest.param(
                keras.optimizers.Adam,
                id="keras",
                marks=pytest.mark.xfail(strict=True, reason=reason),
            ),
        ],
    )


def in_own_process(adam, request):
    """Whether Keras's half was run elsewhere.

    Keras fails in the middle of a collective operation and leaves the runtime
    waiting for the rest of it: that process is of no more use.
    """
    if adam is keras_adam.Adam or "KERAS_ADAM_OWN_PROCESS" in os.environ:
        return False
    command = [sys.executable, "-m", "pytest", "-q", "--runxfail", "--tb=short"]
    result = subprocess.run(
        [*command, "-p", "no:cacheprovider", request.node.nodeid],
        cwd=request.config.rootpath,
        env={**os.environ, "KERAS_ADAM_OWN_PROCESS": "1", "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed" in result.stdout or "1 failed" in result.stdout, result.stdout
    assert result.returncode == 0, result.stdout[-2000:]
    return True


def skipping(adam, **options):
    """Keras's Adam has no `skip_nonfinite`; it is given all it has."""
    if adam is keras_adam.Adam:
        options["skip_nonfinite"] = True
    return adam(**options)


def weight(values, dtype="float32", name="weight"):
    return keras.Variable(np.asarray(values, "float32"), dtype=dtype, name=name)


@pytest.mark.tensorflow_only
@on_both("rows are squared before repeated ids are summed")
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "XLA"])
def test_repeated_ids_are_summed_before_they_are_squared(adam, compiled):
    import tensorflow as tf

    sparse, dense = weight(np.ones((4, 1))), weight(np.ones((4, 1)))
    rows = tf.constant([[1.0], [-0.5], [2.0]])
    ids = tf.constant([1, 1, 3])
    from_slices, from_dense = adam(0.1), adam(0.1)
    from_slices.build([sparse])
    from_dense.build([dense])

    @tf.function(jit_compile=compiled)
    def step():
        slices = tf.IndexedSlices(rows, ids, (4, 1))
        from_slices.apply([slices], [sparse])
        from_dense.apply([tf.constant([[0.0], [0.5], [0.0], [2.0]])], [dense])

    for _ in range(4):
        step()
    np.testing.assert_allclose(sparse.numpy(), dense.numpy(), atol=1e-6)


def distance_left(adam, dtype, steps, rate, scale=1.0):
    """How far weights still are from a target after some steps; 1 at the start.

    The target, the start and the input are values that bfloat16 has.
    """
    target = np.array([1.5, -2.0, 0.25, 3.0], "float32")
    variable = weight(np.full(4, 0.5), dtype)
    optimizer = adam(rate)
    optimizer.build([variable])
    for _ in range(steps):
        error = training.to_numpy([variable])[0].astype("float32") - target
        gradient = ops.convert_to_tensor(error * scale, dtype=dtype)
        optimizer.apply([gradient], [variable])
    left = training.to_numpy([variable])[0].astype("float32") - target
    return np.linalg.norm(left) / np.linalg.norm(0.5 - target)


@on_both("betas and step are cast to bfloat16, where 0.999 is 1")
@pytest.mark.parametrize("rate", [1e-3, 1e-2])
def test_bfloat16_weights_train_as_float32_weights_do(adam, rate):
    low = distance_left(adam, "bfloat16", 300, rate)
    full = distance_left(keras_adam.Adam, "float32", 300, rate)
    assert low == pytest.approx(full, rel=0.01, abs=0.002)


@on_both("the second moment of a small gradient is 0 in float16")
def test_float16_weights_with_small_gradients_train_as_float32_weights_do(adam):
    low = distance_left(adam, "float16", 300, 1e-3, scale=2.0**-13)
    full = distance_left(keras_adam.Adam, "float32", 300, 1e-3, scale=2.0**-13)
    assert low == pytest.approx(full, rel=0.01)


@on_both("a NaN enters both moments and never leaves")
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_non_finite_gradient_can_be_left_out(adam, bad):
    optimizer = skipping(adam, learning_rate=0.1, use_ema=True)
    twin = skipping(adam, learning_rate=0.1, use_ema=True)
    hit, spared = weight([1.0, 2.0]), weight([1.0, 2.0])
    good = np.array([0.5, -0.5], "float32")
    for gradient in (good, np.array([bad, 1.0], "float32"), good):
        optimizer.apply([ops.convert_to_tensor(gradient)], [hit])
    for gradient in (good, good):
        twin.apply([ops.convert_to_tensor(gradient)], [spared])
    np.testing.assert_array_equal(hit.numpy(), spared.numpy())
    for mine, other in zip(optimizer.variables[:-1], twin.variables[:-1], strict=True):
        np.testing.assert_array_equal(
            ops.convert_to_numpy(mine), ops.convert_to_numpy(other)
        )
    assert optimizer.skipped_steps == 1


@on_both("the average advances on every micro-batch")
def test_the_average_advances_once_per_update(adam):
    options = {"learning_rate": 0.1, "use_ema": True, "ema_momentum": 0.5}
    accumulating = adam(gradient_accumulation_steps=2, **options)
    plain = adam(**options)
    one, other = weight([1.0]), weight([1.0])
    for _ in range(3):
        gradient = [ops.convert_to_tensor(np.array([0.5], "float32"))]
        accumulating.apply(gradient, [one])
        accumulating.apply(gradient, [one])
        plain.apply(gradient, [other])
    np.testing.assert_allclose(
        ops.convert_to_numpy(accumulating._model_variables_moving_average[0]),
        ops.convert_to_numpy(plain._model_variables_moving_average[0]),
        rtol=1e-6,
    )


def fit_mirrored(two_replicas, make_optimizer, batches=6):
    """Weights after a `fit` on two replicas, and on one device."""
    import tensorflow as tf

    x = np.linspace(-1, 1, batches * 8 * 3).reshape(-1, 3).astype("float32")
    y = x.sum(axis=1, keepdims=True)
    weights = []
    for strategy in (two_replicas, tf.distribute.get_strategy()):
        with strategy.scope():
            keras.utils.set_random_seed(1)
            model = keras.Sequential(
                [keras.layers.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(1)]
            )
            model.compile(make_optimizer(), "mse")
        model.fit(x, y, batch_size=8, epochs=1, shuffle=False, verbose=0)
        weights.append(model.get_weights())
    return weights


@pytest.mark.tensorflow_only
@on_both("a condition asks for a cross-replica context (keras#20582)")
@pytest.mark.parametrize(
    "options",
    [
        {"gradient_accumulation_steps": 2},
        {"use_ema": True, "ema_overwrite_frequency": 2, "ema_momentum": 0.5},
    ],
    ids=["accumulation", "overwriting average"],
)
def test_two_replicas_accumulate_and_average(adam, options, request, two_replicas):
    if in_own_process(adam, request):
        return
    mirrored, single = fit_mirrored(two_replicas, lambda: adam(0.01, **options))
    for one, other in zip(mirrored, single, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@on_both("the exclusions are not part of the configuration")
def test_weight_decay_exclusions_are_saved(adam, tmp_path):
    model = keras.Sequential(
        [
            keras.layers.Input((2,)),
            keras.layers.Dense(3, name="kept"),
            keras.layers.Dense(1, name="left_out"),
        ]
    )
    optimizer = adam(0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(
        var_list=[model.get_layer("left_out").kernel], var_names=["bias"]
    )
    model.compile(optimizer, "mse")
    model.fit(np.zeros((4, 2)), np.zeros((4, 1)), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    decays = {v.path: loaded.optimizer._use_weight_decay(v) for v in loaded.weights}
    assert decays == {
        "kept/kernel": True,
        "kept/bias": False,
        "left_out/kernel": False,
        "left_out/bias": False,
    }


@on_both("the guard looks at `_built`; the attribute is `built`")
def test_weight_decay_exclusions_come_before_building(adam):
    optimizer = adam(weight_decay=0.1)
    optimizer.build([weight([1.0])])
    with pytest.raises(ValueError, match="before"):
        optimizer.exclude_from_weight_decay(var_names=["bias"])


@pytest.mark.tensorflow_only
@on_both("IndexedSlices cannot be divided by a float")
def test_a_loss_scale_goes_with_an_embedding(adam):
    model = keras.Sequential(
        [keras.layers.Embedding(5, 2), keras.layers.Flatten(), keras.layers.Dense(1)]
    )
    model.compile(adam(0.1, loss_scale_factor=4.0), "mse")
    history = model.fit(
        np.array([[0, 1], [1, 2]]), np.ones((2, 1)), epochs=20, verbose=0
    )
    assert history.history["loss"][-1] < history.history["loss"][0]


@pytest.mark.tensorflow_only
@on_both("variables are created inside the replicas' graph (keras#23085)")
def test_an_optimizer_is_built_inside_a_replica(adam, request, two_replicas):
    if in_own_process(adam, request):
        return
    import tensorflow as tf

    with two_replicas.scope():
        variable = keras.Variable([1.0, 2.0])
        optimizer = adam(0.1)

    def step():
        optimizer.apply([tf.constant([0.5, -0.5])], [variable])

    @tf.function
    def run():
        two_replicas.run(step)

    run()
    run()
    np.testing.assert_allclose(variable.numpy(), [0.8, 2.2], atol=1e-4)


@on_both("the norm is NaN, and everything is multiplied by it")
@pytest.mark.parametrize("option", ["clipnorm", "global_clipnorm"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_clipping_does_not_spread_a_non_finite_entry(adam, option, bad):
    optimizer = adam(0.1, **{option: 1.0})
    hit, other = weight([1.0, 1.0]), weight([1.0])
    optimizer.apply(
        [
            ops.convert_to_tensor(np.array([bad, 3.0], "float32")),
            ops.convert_to_tensor(np.array([4.0], "float32")),
        ],
        [hit, other],
    )
    assert not np.isfinite(hit.numpy()[0]), "what is not finite is not hidden"
    np.testing.assert_allclose(hit.numpy()[1], 0.9, rtol=1e-4)
    np.testing.assert_allclose(other.numpy(), [0.9], rtol=1e-4)


def test_exclusions_follow_paths_to_another_model_and_positions_to_a_loaded_one():
    first = [weight([1.0], name=name) for name in ("a", "b")]
    optimizer = keras_adam.Adam(0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_list=[first[1]])
    optimizer.build(first)
    config = optimizer.get_config()

    other = [weight([1.0], name=name) for name in ("x", "y", "b")]
    by_path = keras_adam.Adam.from_config(config)
    by_path.build(other)
    assert [by_path._use_weight_decay(v) for v in other] == [True, True, False]

    renamed = [weight([1.0], name=name) for name in ("p", "q")]
    by_position = keras_adam.Adam.from_config(config)
    by_position.build(renamed)
    assert [by_position._use_weight_decay(v) for v in renamed] == [True, False]

    for _ in range(2):
        lost = keras_adam.Adam.from_config(config)
        with pytest.raises(ValueError, match="left out of the weight decay"):
            lost.build([weight([1.0], name="p")])
        assert not lost.built

"""The figures of one step, where the gradient is given."""

import math

import keras
import numpy as np
import pytest
from keras import ops
from training import norms

import keras_adam
from keras_adam.telemetry import probe as telemetry_probe
from keras_adam.telemetry.probe import Probe, stride_of
from keras_adam.telemetry.readable_optimizer import ReadableOptimizer


@pytest.fixture
def every_entry(monkeypatch):
    """Look at all of a weight, for figures that are no estimates."""
    monkeypatch.setattr(telemetry_probe, "ENTRIES", 2**18)


SHAPES = ((300, 300), (7,), (40, 5))


def one_step(optimizer, gradients_per_step, shapes=SHAPES):
    """The figures of the last step, and the weights and moments it led to."""
    rng = np.random.default_rng(11)
    weights = [
        keras.Variable(rng.normal(size=shape).astype("float32"), name=f"w{i}")
        for i, shape in enumerate(shapes)
    ]
    optimizer.build(weights)
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    probe = Probe(ReadableOptimizer(optimizer, weights))
    for gradients in gradients_per_step:
        before = probe.look()
        optimizer.apply(
            [None if g is None else ops.convert_to_tensor(g) for g in gradients],
            weights,
        )
    return probe.compare(before, probe.look(), 1, int(inner.iterations)), weights


def random_gradients(steps, mean=0.0):
    rng = np.random.default_rng(12)
    return [
        [
            (mean + rng.normal(size=shape)).astype("float32") * 10.0**-i
            for i, shape in enumerate(SHAPES)
        ]
        for _ in range(steps)
    ]


OTHERS = {
    "Nadam": keras.optimizers.Nadam,
    "Lamb": keras.optimizers.Lamb,
    "Adamax": keras.optimizers.Adamax,
    "RMSprop": keras.optimizers.RMSprop,
    "Adam with amsgrad": lambda: keras.optimizers.Adam(amsgrad=True),
    "ours with amsgrad": lambda: keras_adam.Adam(amsgrad=True),
}


@pytest.mark.parametrize("make", OTHERS.values(), ids=OTHERS)
def test_gradients_of_other_optimizers_are_read(every_entry, make):
    gradients = random_gradients(5)
    figures, _ = one_step(make(), gradients)
    assert figures.gradient_norm == pytest.approx(norms(gradients[-1]), rel=1e-3)
    has_ratio = make is not OTHERS["Adamax"] and make is not OTHERS["RMSprop"]
    assert (figures.moment_ratio[0] is not None) is has_ratio


@pytest.mark.parametrize(
    "make",
    [keras.optimizers.SGD, keras.optimizers.ScheduleFreeAdamW, keras.optimizers.Lion],
)
def test_optimizers_unlike_adam_have_an_update_ratio_only(make):
    figures, _ = one_step(make(0.01), random_gradients(3))
    assert figures.gradient_norm == [None] * 3
    assert figures.moment_ratio == [None] * 3
    assert all(ratio > 0 for ratio in figures.update_ratio)


def test_the_gradient_norm_is_that_after_clipping(every_entry):
    gradients = random_gradients(3)
    figures, _ = one_step(keras_adam.Adam(global_clipnorm=0.5), gradients)
    assert np.linalg.norm(figures.gradient_norm) == pytest.approx(0.5, rel=1e-4)


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
def test_a_weight_without_a_gradient_has_none(every_entry):
    gradients = random_gradients(3)
    gradients[-1][1] = None
    figures, _ = one_step(keras_adam.Adam(), gradients)
    assert figures.gradient_norm[1] == 0
    assert figures.update_ratio[1] == 0
    assert figures.gradient_norm[0] == pytest.approx(300, rel=0.02)


# Mean, noise, what the last gradient is multiplied by, and the error that docs/ allows.
CHANGING = {
    "noise": (0.0, 1.0, 1.0, 0.01),
    "mean and noise": (1.0, 1.0, 1.0, 0.01),
    "all of one sign": (2.0, 1.0, 1.0, 0.01),
    "nearly steady": (2.0, 0.4, 1.0, 0.03),
    "steady": (2.0, 0.02, 1.0, 0.02),
    "falling noise": (0.0, 1.0, 0.1, 0.02),
    "falling mean": (1.0, 0.3, 0.3, 0.1),
}


@pytest.mark.parametrize("gradients", CHANGING.values(), ids=CHANGING)
@pytest.mark.parametrize("storage", ["bfloat16", "8bit"])
def test_gradient_norms_of_rounded_moments(every_entry, storage, gradients):
    mean, noise, last_factor, tolerance = gradients
    optimizer = keras_adam.Adam(moment_storage=storage)
    rng = np.random.default_rng(11)
    shape = (300, 300)
    weight = keras.Variable(rng.normal(size=shape).astype("float32"))
    optimizer.build([weight])
    probe = Probe(ReadableOptimizer(optimizer, [weight]))
    direction, steps = rng.normal(size=shape), 40
    for step in range(1, steps + 1):
        gradient = mean * direction + noise * rng.normal(size=shape)
        gradient = (gradient * (last_factor if step == steps else 1)).astype("float32")
        before = probe.look() if step == steps else None
        optimizer.apply([ops.convert_to_tensor(gradient)], [weight])
    figures = probe.compare(before, probe.look(), 1, steps)
    assert figures.gradient_norm == pytest.approx(norms([gradient]), rel=tolerance)


def test_large_weights_are_judged_by_a_part_of_their_entries():
    shapes = ((700, 1000),)
    rng = np.random.default_rng(5)
    # Columns of very different sizes: each must be met as often as any other.
    sizes = 10.0 ** rng.uniform(-3, 0, size=1000)
    gradients = [[(rng.normal(size=(700, 1000)) * sizes).astype("float32")]]
    figures, weights = one_step(keras_adam.Adam(), gradients, shapes)
    assert figures.gradient_norm == pytest.approx(norms(gradients[0]), rel=0.02)
    moved = 0.001 * np.sqrt(700_000)
    norm = np.linalg.norm(ops.convert_to_numpy(weights[0].value))
    assert figures.update_ratio == pytest.approx([moved / norm], rel=0.01)


@pytest.mark.parametrize(
    "size", [0, 1, 16_383, 65_536, 90_000, 4096 * 4096, 999_983, 10**8]
)
def test_enough_entries_are_looked_at_and_not_many_more(size):
    stride = stride_of(size)
    count = -(-size // stride)
    assert count >= min(size, 6_000)
    assert count < 2 * 8_192
    assert math.gcd(stride, size) == 1 or size == 0


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("rows", ["lazy", "catch_up"])
def test_rows_without_a_gradient_have_none(every_entry, rows):
    import tensorflow as tf

    shape = (5000, 16)
    optimizer = keras_adam.Adam(0.01, sparse_updates=rows)
    rng = np.random.default_rng(8)
    table = keras.Variable(rng.normal(size=shape).astype("float32"))
    optimizer.build([table])
    probe = Probe(ReadableOptimizer(optimizer, [table]))
    for step in range(1, 7):
        ids = rng.choice(shape[0], size=400, replace=False)
        values = rng.normal(size=(400, 16)).astype("float32")
        before = probe.look()
        slices = tf.IndexedSlices(tf.constant(values), tf.constant(ids), shape)
        optimizer.apply([slices], [table])
        figures = probe.compare(before, probe.look(), 1, step)
        assert figures.gradient_norm == pytest.approx(
            [np.linalg.norm(values)], rel=0.01
        )


def test_moments_can_be_read_of_every_storage():
    (gradient, *_), *_ = random_gradients(1)
    for storage, tolerance in {
        "float32": 1e-6,
        "bfloat16": 0.01,
        "8bit": 0.125,
    }.items():
        optimizer = keras_adam.Adam(moment_storage=storage)
        weights = [keras.Variable(np.ones(shape, "float32")) for shape in SHAPES]
        with pytest.raises(ValueError, match="before it is built"):
            optimizer.read_moments(weights[0])
        optimizer.build(weights)
        given = [gradient, np.ones(7, "float32"), np.ones((40, 5), "float32")]
        optimizer.apply([ops.convert_to_tensor(g) for g in given], weights)
        for weight, g in zip(weights, given, strict=True):
            first, second, largest = optimizer.read_moments(weight)
            assert largest is None
            np.testing.assert_allclose(first, 0.1 * g, rtol=tolerance, atol=1e-4)
            np.testing.assert_allclose(second, 0.001 * g**2, rtol=tolerance, atol=1e-7)


LOW = {"float16": 3e-3, "bfloat16": 3e-3, "float64": 1e-6}


@pytest.mark.parametrize("dtype", LOW)
@pytest.mark.parametrize("make", [keras_adam.Adam, keras.optimizers.Adam])
@pytest.mark.parametrize("steps", [1, 3])
def test_weights_of_any_precision_have_figures(make, dtype, steps):
    if dtype == "float64" and keras.backend.backend() == "jax":
        pytest.skip("JAX has no float64 unless asked for")
    rng = np.random.default_rng(0)
    shapes = ((40, 50), (), (3, 1, 2))
    weights = [keras.Variable(rng.normal(size=s), dtype=dtype) for s in shapes]
    optimizer = make(0.001)
    optimizer.build(weights)
    probe = Probe(ReadableOptimizer(optimizer, weights))
    for step in range(6):
        if step % steps == 0:
            before, squares = probe.look(), []
        gradients = [ops.cast(rng.normal(size=s), dtype) for s in shapes]
        optimizer.apply(gradients, weights)
        squares.append(
            [np.sum(np.square(to_float64(gradient))) for gradient in gradients]
        )
    figures = probe.compare(before, probe.look(), steps, 6)
    # By the second moment, the later steps weigh a little more.
    tolerance = LOW[dtype] if steps == 1 or dtype != "float64" else 2e-3
    if dtype == "float16" and make is keras.optimizers.Adam and steps == 3:
        tolerance = 0.02
    if dtype == "bfloat16" and make is keras.optimizers.Adam:
        tolerance = 0.05
    expected = np.sqrt(np.mean(squares, axis=0))
    assert figures.gradient_norm[0] == pytest.approx(expected[0], rel=tolerance)
    assert all(map(math.isfinite, figures.gradient_norm + figures.update_ratio))


def to_float64(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32")).astype("float64")


@pytest.mark.parametrize("make", [keras.optimizers.Adam, keras.optimizers.RMSprop])
def test_a_gradient_whose_square_underflows_has_no_norm(make):
    weight = keras.Variable(np.ones((4, 5)), dtype="float16")
    optimizer = make(0.01)
    optimizer.build([weight])
    probe = Probe(ReadableOptimizer(optimizer, [weight]))
    before = probe.look()
    steps = 2
    for _ in range(steps):
        # Its square is below what float16 holds.
        optimizer.apply([ops.full((4, 5), 1e-5, "float16")], [weight])
    figures = probe.compare(before, probe.look(), steps, steps)
    assert figures.gradient_norm == [None]


def test_without_weights_there_are_no_figures():
    optimizer = keras_adam.Adam()
    optimizer.build([keras.Variable(np.ones(2))])
    probe = Probe(ReadableOptimizer(optimizer))
    figures = probe.compare(probe.look(), probe.look(), 1, 1)
    assert list(figures) == [[]] * 3

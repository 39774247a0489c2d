"""The guard against spikes: when a gradient counts as one, and what is done then."""

import keras
import numpy as np
import pytest
from keras import ops
from training import modes

import keras_adam
from keras_adam.rule import clipping, spike_guard
from keras_adam.rule.spike_guard import NormHistory

needs_rows = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="only TensorFlow's gradients come by rows",
)


def scalar(value):
    return ops.convert_to_tensor(np.float32(value))


def history(log_mean=0.0, log_variance=0.0, count=0.0):
    return NormHistory(scalar(log_mean), scalar(log_variance), scalar(count))


def after(norms, deviations=5.0):
    found = history()
    for norm in norms:
        largest = spike_guard.largest_usual_norm(found, deviations)
        found = spike_guard.with_norm(found, scalar(norm), largest)
    return [float(part) for part in found]


def test_mean_and_variance_of_the_first_norms_are_those_of_a_sample():
    norms = np.exp(np.random.default_rng(0).normal(1.0, 0.7, size=19))
    log_mean, log_variance, count = after(norms)
    assert log_mean == pytest.approx(np.mean(np.log(norms)), rel=1e-4)
    assert log_variance == pytest.approx(np.var(np.log(norms)), rel=1e-4)
    assert count == 19


def test_the_less_is_known_the_larger_a_spike_must_be():
    limits = [
        float(spike_guard.largest_usual_norm(history(count=count), 5.0))
        for count in (0, 1, 10, 1e9)
    ]
    # No spread was seen, so the least one counts.
    least = [spike_guard.LEAST_SPREAD + more for more in (1.0, 0.1, 0.0)]
    assert limits == [
        pytest.approx(spike_guard.LARGEST),
        *(pytest.approx(np.exp(5 * spread)) for spread in least),
    ]


def test_a_spike_among_the_first_gradients_is_clipped():
    norms = [1.0, 1.2, 0.9, 1.1, 1000.0]
    found = history()
    for norm in norms[:-1]:
        largest = spike_guard.largest_usual_norm(found, 5.0)
        assert float(largest) > norm
        found = spike_guard.with_norm(found, scalar(norm), largest)
    assert float(spike_guard.largest_usual_norm(found, 5.0)) < 10


def test_a_spike_counts_as_the_largest_usual_norm():
    calm = [1.0] * 30
    log_mean, _, _ = after(calm)
    spiked, _, _ = after([*calm, 1e6])
    bound = 5 * (spike_guard.LEAST_SPREAD + 1 / 30) / 31
    assert log_mean < spiked <= log_mean + bound * 1.01


def test_norms_that_rise_for_good_are_followed():
    norms = [*[1.0] * 30, *[1000.0] * 60]
    log_mean, log_variance, _ = after(norms)
    usual = np.exp(log_mean + 5 * np.sqrt(log_variance))
    assert usual > 1000


@pytest.mark.parametrize("norm", [0.0, np.inf, np.nan])
def test_a_norm_that_says_nothing_is_left_out(norm):
    before = history(0.5, 0.2, 30.0)
    found = spike_guard.with_norm(before, scalar(norm), scalar(10.0))
    assert [float(part) for part in found] == [float(part) for part in before]


@pytest.mark.parametrize(
    ("norm", "largest", "factor"),
    [(2.0, 8.0, 1.0), (8.0, 2.0, 0.25), (3.0, np.inf, 1.0), (0.0, 1.0, 1.0)],
)
def test_the_factor_by_hand(norm, largest, factor):
    assert float(clipping.factor_within(scalar(norm), scalar(largest))) == factor


def spiky_gradients(steps=60, spikes=(40, 50)):
    rng = np.random.default_rng(0)
    gradients = rng.normal(1.0, 0.3, size=(steps, 2, 6)).astype("float32")
    for spike in spikes:
        gradients[spike] *= 1000
    return gradients


def trained(optimizer, gradients, mode="eager"):
    variables = [keras.Variable(np.zeros(6, "float32")) for _ in range(2)]
    optimizer.build(variables)

    def step(pair):
        optimizer.apply(pair, variables)

    if mode in ("graph", "XLA"):
        import tensorflow as tf

        step = tf.function(step, jit_compile=mode == "XLA")
    if mode == "stateless":
        pytest.skip("the count is read from the optimizer, not from its state")
    for pair in gradients:
        step([ops.convert_to_tensor(g) for g in pair])
    return np.stack([ops.convert_to_numpy(v.value) for v in variables])


@pytest.mark.parametrize("mode", modes())
def test_spikes_are_counted_and_hardly_felt(mode):
    calm = trained(keras_adam.Adam(0.01), spiky_gradients(spikes=()), mode)
    guarded = keras_adam.Adam(0.01, spike_guard=5.0)
    with_guard = trained(guarded, spiky_gradients(), mode)
    without = trained(keras_adam.Adam(0.01), spiky_gradients(), mode)
    assert guarded.clipped_spikes == 2
    # After a spike of a thousand the second moment all but stops plain Adam.
    assert np.abs(with_guard - calm).max() < 0.05 * np.abs(calm).max()
    assert np.abs(without - calm).max() > 0.2 * np.abs(calm).max()


def test_without_spikes_nothing_changes():
    plain = trained(keras_adam.Adam(0.01), spiky_gradients(spikes=()))
    guarded = keras_adam.Adam(0.01, spike_guard=8.0)
    np.testing.assert_array_equal(trained(guarded, spiky_gradients(spikes=())), plain)
    assert guarded.clipped_spikes == 0


def test_the_global_clipnorm_still_holds_before_norms_are_known():
    gradients = spiky_gradients(10, spikes=(3,))
    both = keras_adam.Adam(0.01, spike_guard=5.0, global_clipnorm=0.5)
    alone = keras_adam.Adam(0.01, global_clipnorm=0.5)
    np.testing.assert_allclose(
        trained(both, gradients), trained(alone, gradients), rtol=1e-6
    )


def test_a_step_left_out_is_not_remembered():
    optimizer = keras_adam.Adam(0.01, spike_guard=5.0, skip_nonfinite=True)
    trained(optimizer, spiky_gradients(30, spikes=()))
    before = [float(part) for part in optimizer._norm_history]
    spoilt = [ops.convert_to_tensor(np.full(6, np.nan, "float32"))] * 2
    optimizer.apply(spoilt, optimizer._trainable_variables)
    assert [float(part) for part in optimizer._norm_history] == before


@needs_rows
def test_rows_are_guarded_as_their_dense_gradient_is():
    import tensorflow as tf

    gradients = np.random.default_rng(0).normal(1, 0.3, size=(40, 5, 4))
    gradients[30] *= 1000
    found = []
    for sparse_updates in ("dense", "lazy"):
        optimizer = keras_adam.Adam(
            0.01, spike_guard=5.0, sparse_updates=sparse_updates
        )
        table = keras.Variable(np.zeros((5, 4), "float32"))
        optimizer.build([table])
        for values in gradients.astype("float32"):
            rows = tf.IndexedSlices(
                tf.constant(values), tf.constant([4, 2, 0, 1, 3]), (5, 4)
            )
            optimizer.apply([rows], [table])
        assert optimizer.clipped_spikes == 1
        found.append(table.numpy())
    np.testing.assert_allclose(*found, atol=1e-5)


@needs_rows
def test_rows_clipped_one_by_one_are_no_spike():
    import tensorflow as tf

    gradients = np.random.default_rng(0).normal(1, 0.3, size=(40, 5, 4))
    gradients[30] *= 1000
    found = []
    for sparse_updates in ("dense", "lazy"):
        optimizer = keras_adam.Adam(
            0.01, spike_guard=5.0, clipnorm=0.5, sparse_updates=sparse_updates
        )
        table, bias = (keras.Variable(np.zeros(s, "float32")) for s in ((5, 4), 4))
        optimizer.build([table, bias])
        for values in gradients.astype("float32"):
            rows = tf.IndexedSlices(
                tf.constant(values), tf.constant([4, 2, 0, 1, 3]), (5, 4)
            )
            optimizer.apply([rows, tf.constant(values[0])], [table, bias])
        # Each gradient's norm is 0.5 in every step.
        assert optimizer.clipped_spikes == 0
        found.append(table.numpy())
    np.testing.assert_allclose(*found, atol=1e-5)


@needs_rows
def test_rows_of_a_step_left_out_are_not_remembered():
    import tensorflow as tf

    optimizer = keras_adam.Adam(
        0.01, spike_guard=5.0, skip_nonfinite=True, sparse_updates="lazy"
    )
    table = keras.Variable(np.zeros((5, 4), "float32"))
    optimizer.build([table])

    def step(values):
        rows = tf.IndexedSlices(tf.constant(values), tf.range(5), (5, 4))
        optimizer.apply([rows], [table])

    calm = np.random.default_rng(0).normal(1, 0.3, size=(25, 5, 4)).astype("float32")
    for values in calm:
        step(values)
    before = [float(part) for part in optimizer._norm_history]
    spoilt = calm[0] * 1000
    spoilt[2, 1] = np.inf
    step(spoilt)
    assert [float(part) for part in optimizer._norm_history] == before
    assert optimizer.clipped_spikes == 0
    assert optimizer.skipped_steps == 1

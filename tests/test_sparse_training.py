"""Whole models whose embeddings are stepped by rows: trained, saved and resumed."""

import keras
import numpy as np
import pytest

import keras_adam

if keras.backend.backend() != "tensorflow":
    pytest.skip("only TensorFlow's gradients come by rows", allow_module_level=True)

import tensorflow as tf

HOW = {
    "graph": {"jit_compile": False},
    "whole step in XLA": {"jit_compile": True},
    "eagerly": {"run_eagerly": True},
}


def lazy(rate=0.01, **options):
    return keras_adam.Adam(rate, sparse_updates="lazy", **options)


def address(variable):
    """Where the memory of a variable begins, if reads of it share that memory."""
    reads = [np.asarray(variable.value.read_value()) for _ in range(2)]
    first, second = (read.__array_interface__["data"][0] for read in reads)
    return first if first == second else None


@pytest.mark.parametrize("how", HOW.values(), ids=HOW)
@pytest.mark.parametrize("skip", [False, True], ids=["always", "unless not finite"])
def test_no_step_copies_the_table(how, skip):
    model = keras.Sequential(
        [
            keras.layers.Input((2,), dtype="int32"),
            keras.layers.Embedding(20_000, 4),
            keras.layers.Flatten(),
            keras.layers.Dense(1),
        ]
    )
    model.compile(lazy(skip_nonfinite=skip), "mse", **how)
    (table, *_) = model.trainable_variables
    places = []
    for fitted in (True, False) * 2:
        ids, ones = np.array([[1, 7]] * 6), np.ones((6, 1))
        if fitted:
            model.fit(ids, ones, batch_size=2, verbose=0)
        else:
            model.train_on_batch(ids, ones)
        places.append(address(table))
    assert places == [places[0]] * 4
    assert places[0] is not None


@pytest.mark.parametrize("mode", ["eager", "graph", "XLA", "graph inside of XLA"])
def test_a_value_read_before_a_step_stays_what_it_was(mode):
    table = keras.Variable(np.ones((20_000, 4), "float32"))
    optimizer = lazy(0.1)
    optimizer.build([table])

    def step(ids):
        before = table.value.read_value()
        optimizer.apply([tf.IndexedSlices(tf.ones((2, 4)), ids)], [table])
        return before

    if mode != "eager":
        step = tf.function(step, jit_compile=mode == "XLA")
    if mode == "graph inside of XLA":
        step = tf.function(step, jit_compile=True)
    held = []
    for _ in range(3):
        held.append(table.value.read_value())
        held.append(step(tf.constant([3, 5])))
    expected = [1, 1, 0.9, 0.9, 0.8, 0.8]
    for value, entry in zip(held, expected, strict=True):
        np.testing.assert_allclose(value[3], entry, rtol=1e-5)
        np.testing.assert_array_equal(value[4], 1)

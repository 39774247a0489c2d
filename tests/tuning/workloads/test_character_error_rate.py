"""The character error rate against TensorFlow's decoder and edit distance."""

import numpy as np
import pytest

from tuning.workloads.character_error_rate import (
    CharacterErrorRate,
    edit_distance,
    most_likely_path,
)

tf = pytest.importorskip("tensorflow")


def sparse(rows):
    return tf.sparse.from_dense(np.array(rows, "int64"))


@pytest.mark.parametrize(
    ("truth", "answer", "edits"),
    [
        ([1, 2, 3], [1, 2, 3], 0),
        ([1, 2, 3], [0, 0, 0], 3),
        ([1, 2, 0], [1, 0, 2], 0),  # blanks of an answer do not count
        ([1, 2, 3], [2, 3, 0], 1),
        ([1, 2, 0], [1, 3, 0], 1),
        ([1, 2, 0], [2, 1, 0], 2),
        ([0, 0, 0], [4, 0, 4], 2),
        ([1, 1, 1], [1, 0, 1], 1),
    ],
)
def test_edits_worked_by_hand(truth, answer, edits):
    assert float(edit_distance(np.array([truth]), np.array([answer]))[0]) == edits


def test_edits_agree_with_tensorflow():
    rng = np.random.default_rng(0)
    truth = rng.integers(1, 4, (200, 5)) * (np.arange(5) < rng.integers(0, 6, (200, 1)))
    answer = rng.integers(0, 4, (200, 9))
    packed = np.zeros_like(answer)
    for row, symbols in zip(packed, answer, strict=True):
        row[: np.count_nonzero(symbols)] = symbols[symbols > 0]
    expected = tf.edit_distance(sparse(packed), sparse(truth), normalize=False)
    found = np.asarray(edit_distance(truth, answer))
    np.testing.assert_array_equal(found[: len(expected)], expected)


def test_the_rate_agrees_with_tensorflow_s_decoder():
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, (40, 12, 6)).astype("float32")
    truth = rng.integers(1, 6, (40, 4)) * (np.arange(4) < rng.integers(1, 5, (40, 1)))
    (decoded,), _ = tf.nn.ctc_greedy_decoder(
        logits.transpose(1, 0, 2), np.full(40, 12), blank_index=0
    )
    edits = tf.edit_distance(decoded, sparse(truth), normalize=False).numpy().sum()
    metric = CharacterErrorRate()
    for start in range(0, 40, 15):  # batches of different sizes
        metric.update_state(truth[start : start + 15], logits[start : start + 15])
    assert float(metric.result()) == pytest.approx(edits / (truth > 0).sum())
    compiled = CharacterErrorRate()
    tf.function(compiled.update_state, jit_compile=True)(truth, logits)
    assert float(compiled.result()) == pytest.approx(float(metric.result()))
    metric.reset_state()
    assert float(metric.result()) == 0


def test_a_symbol_that_goes_on_is_said_once():
    symbols = [2, 2, 0, 2, 1, 1]
    path = most_likely_path(np.eye(3, dtype="float32")[[symbols]])
    np.testing.assert_array_equal(path, [[2, 0, 0, 2, 1, 0]])

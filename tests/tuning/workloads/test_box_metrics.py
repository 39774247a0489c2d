"""Boxes: codes, losses and metrics of the detection workload against hand work."""

import keras
import numpy as np
import pytest
from keras import ops
from sklearn.metrics import average_precision_score

from tuning.workloads.box_metrics import (
    ANCHOR,
    AveragePrecision,
    MeanBoxIoU,
    box_loss,
    centre_loss,
    decode_boxes,
    detect,
    match,
)

NOTHING = [-1.0] * 4


def answers(pictures, grid=4):
    """Outputs of a detector that proposes exactly the given (score, box) lists."""
    y = np.zeros((len(pictures), grid, grid, 5), "float32")
    y[..., 0] = -20.0
    for picture, proposals in zip(y, pictures, strict=True):
        for score, (left, top, right, bottom) in proposals:
            x, down = grid * (left + right) / 2, grid * (top + bottom) / 2
            column, row = int(x), int(down)
            logit = lambda p: np.log(p / (1 - p))  # noqa: E731
            picture[row, column] = (
                logit(score),
                logit(x - column),
                logit(down - row),
                np.log((right - left) / ANCHOR),
                np.log((bottom - top) / ANCHOR),
            )
    return y


A = (0.10, 0.12, 0.30, 0.42)
B = (0.60, 0.55, 0.95, 0.90)
SHIFTED_A = (0.10, 0.16, 0.30, 0.46)  # IoU 0.26 / 0.34 = 0.765
FAR_FROM_B = (0.60, 0.07, 0.95, 0.42)


def test_a_code_is_decoded_to_the_box_it_was_made_for():
    y = answers([[(0.9, A), (0.8, B)]])
    scores, boxes = detect(y)
    np.testing.assert_allclose(np.asarray(scores)[0, :2], [0.9, 0.8], rtol=1e-4)
    np.testing.assert_allclose(np.asarray(boxes)[0, :2], [A, B], atol=1e-5)
    assert np.asarray(scores)[0, 2:].max() < 1e-6
    assert decode_boxes(y[..., 1:]).shape == (1, 16, 4)


def test_of_neighbouring_answers_only_the_peak_is_a_detection():
    y = answers([[(0.9, A)]])
    y[0, 0, 1, 0] = 0.5  # beside A's cell (1, 0), and less sure
    scores, _ = detect(y)
    assert (np.asarray(scores)[0] > 0.1).sum() == 1


def test_an_object_is_found_once_and_by_the_surest():
    boxes = np.array([[A, SHIFTED_A, FAR_FROM_B]], "float32")
    right = match(boxes, np.array([[A, B, NOTHING]], "float32"))
    np.testing.assert_array_equal(right, [[1, 0, 0]])


def test_mean_iou_counts_every_object():
    truth = np.array([[A, B, NOTHING], [A, NOTHING, NOTHING]], "float32")
    metric = MeanBoxIoU()
    # A exactly, B not at all; then A by 0.765 (and a surplus box that does not count).
    metric.update_state(
        truth, answers([[(0.9, A)], [(0.9, SHIFTED_A), (0.5, FAR_FROM_B)]])
    )
    expected = (1 + 0 + 0.052 / 0.068) / 3
    assert float(metric.result()) == pytest.approx(expected, abs=1e-3)


def average_precision(truth, pictures):
    metric = AveragePrecision()
    metric.update_state(np.array(truth, "float32"), answers(pictures))
    return float(metric.result())


def test_average_precision_of_perfect_detections_is_one():
    truth = [[A, B, NOTHING], [B, NOTHING, NOTHING]]
    found = average_precision(truth, [[(0.9, A), (0.8, B)], [(0.7, B)]])
    assert found == pytest.approx(1.0, abs=1e-3)


def test_average_precision_counts_what_was_missed_and_what_was_made_up():
    """Two objects in two pictures; worked by hand on the precision-recall curve."""
    truth = [[A, NOTHING, NOTHING], [B, NOTHING, NOTHING]]
    # One is found without a mistake: precision 1 up to recall 1/2.
    assert average_precision(truth, [[(0.9, A)], []]) == pytest.approx(0.5)
    # After a mistake of a higher score: precision 1/2 up to recall 1/2.
    after = average_precision(truth, [[(0.9, A)], [(0.95, A)]])
    assert after == pytest.approx(0.25)
    assert average_precision(truth, [[(0.9, B)], [(0.9, A)]]) == 0


def test_average_precision_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    scores, is_right = rng.uniform(0.02, 0.98, 400), rng.random(400) < 0.6
    truth = [[A, NOTHING, NOTHING]] * 400
    pictures = [
        [(score, A if right else B)]
        for score, right in zip(scores, is_right, strict=True)
    ]
    # Of the objects only those that are found count in scikit-learn's recall.
    expected = average_precision_score(is_right, scores) * is_right.mean()
    assert average_precision(truth, pictures) == pytest.approx(expected, abs=0.005)


def test_the_losses_fall_towards_the_right_answer():
    truth = np.array([[A, B, NOTHING]], "float32")
    right, wrong = answers([[(0.95, A), (0.95, B)]]), answers([[(0.95, FAR_FROM_B)]])
    assert float(centre_loss(truth, right)[0]) < 0.1 * float(
        centre_loss(truth, wrong)[0]
    )
    assert float(box_loss(truth, right)[0]) == pytest.approx(0.0, abs=1e-4)
    shifted = answers([[(0.95, SHIFTED_A), (0.95, B)]])
    iou, moved, diagonal = 0.052 / 0.068, 0.04**2, 0.2**2 + 0.34**2
    expected = (1 - (iou - moved / diagonal)) / 2
    assert float(box_loss(truth, shifted)[0]) == pytest.approx(expected, abs=1e-3)


@pytest.mark.tensorflow_only
def test_rows_that_fill_up_have_no_gradient_and_spoil_none():
    import tensorflow as tf

    y = tf.Variable(
        np.random.default_rng(0).normal(0, 3, (2, 4, 4, 5)), dtype="float32"
    )
    truth = np.array([[NOTHING] * 3, [A, NOTHING, NOTHING]], "float32")
    with tf.GradientTape() as tape:
        loss = ops.sum(centre_loss(truth, y) + box_loss(truth, y))
    gradient = tape.gradient(loss, y).numpy()
    assert np.isfinite(gradient).all()
    assert np.abs(gradient[0, ..., 1:]).max() == 0
    touched = np.abs(gradient[1, ..., 1:]).max(-1) > 0
    assert touched.sum() == 1
    assert touched[1, 0]  # the centre of A is (0.2, 0.27): column 0, row 1


@pytest.mark.tensorflow_only
def test_the_metrics_compile_under_xla():
    import tensorflow as tf

    truth = np.array([[A, B, NOTHING]], "float32")
    y = answers([[(0.9, A), (0.8, SHIFTED_A)]])
    for metric_class in (MeanBoxIoU, AveragePrecision):
        plain, compiled = metric_class(), metric_class()
        plain.update_state(truth, y)
        compiled.update_state(truth, y)
        compiled.reset_state()
        tf.function(compiled.update_state, jit_compile=True)(truth, y)
        assert float(compiled.result()) == pytest.approx(float(plain.result()))
    assert keras.backend.backend() == "tensorflow"

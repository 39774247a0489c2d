"""Boxes of the detection workload: their code, the losses and the metrics.

They use Keras's own functions (focal cross-entropy, complete IoU, IoU) and operations
that XLA can compile.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

ANCHOR = 0.4
"""Width and height that a code of 0 means, in fractions of the picture."""

DETECTIONS = 8
"""Most peaks per picture that count as detections."""

OVERLAP = 0.5
"""A detection is right if its IoU with an object is at least this, as in PASCAL VOC."""


BINS = 200
"""Number of equal bins in which scores of detections are counted."""


def decode_boxes(codes: Any) -> Any:
    """The box that each cell proposes: left, top, right, bottom.

    The centre is anywhere in the cell (a sigmoid of the first two numbers), width and
    height are `ANCHOR` times the exponential of the others.

    Shapes:
        codes: [pictures, grid, grid, 4]; returned: [pictures, grid², 4].
    """
    grid = codes.shape[1]
    across = ops.reshape(ops.arange(grid, dtype="float32"), (1, 1, grid))
    down = ops.reshape(across, (1, grid, 1))
    x = (across + ops.sigmoid(codes[..., 0])) / grid
    y = (down + ops.sigmoid(codes[..., 1])) / grid
    width = ANCHOR * ops.exp(ops.clip(codes[..., 2], -4.0, 2.0))
    height = ANCHOR * ops.exp(ops.clip(codes[..., 3], -4.0, 2.0))
    edges = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return ops.reshape(ops.stack(edges, axis=-1), (-1, grid * grid, 4))


def _objects(boxes: Any) -> Any:
    """1.0 for a box, 0.0 for a row of padding: [pictures, boxes]."""
    return ops.cast(boxes[..., 0] >= 0.0, "float32")


def _centre_cells(boxes: Any, grid: int) -> Any:
    """The cell that each box's centre lies in, one-hot: [pictures, boxes, grid²]."""
    x = (boxes[..., 0] + boxes[..., 2]) / 2
    y = (boxes[..., 1] + boxes[..., 3]) / 2
    column, row = (
        ops.clip(ops.cast(ops.floor(place * grid), "int32"), 0, grid - 1)
        for place in (x, y)
    )
    cells = ops.one_hot(row * grid + column, grid * grid, dtype="float32")
    return cells * _objects(boxes)[..., None]


def centre_loss(y_true: Any, y_pred: Any) -> Any:
    """Focal cross-entropy of "an object's centre is here", per object: [pictures]."""
    grid = y_pred.shape[1]
    wanted = ops.max(_centre_cells(y_true, grid), axis=1)
    logits = ops.reshape(y_pred[..., 0], (-1, grid * grid))
    mean = keras.losses.binary_focal_crossentropy(wanted, logits, from_logits=True)
    objects = ops.sum(_objects(y_true), axis=1)
    return mean * grid * grid / ops.maximum(objects, 1.0)


def box_loss(y_true: Any, y_pred: Any) -> Any:
    """1 - complete IoU of the boxes of the centres' cells, per object: [pictures]."""
    is_object = _objects(y_true)
    cells = _centre_cells(y_true, y_pred.shape[1])
    proposed = ops.matmul(cells, decode_boxes(y_pred[..., 1:]))
    # Rows of padding need boxes, too: 0 / 0 would make the gradient NaN.
    stand_in = ops.convert_to_tensor([0.0, 0.0, 1.0, 1.0])
    there = is_object[..., None] > 0
    ciou = keras.utils.bounding_boxes.compute_ciou(
        ops.where(there, y_true, stand_in), ops.where(there, proposed, stand_in), "xyxy"
    )
    objects = ops.maximum(ops.sum(is_object, axis=1), 1.0)
    return ops.sum((1.0 - ciou) * is_object, axis=1) / objects


def detect(y_pred: Any) -> tuple[Any, Any]:
    """Scores and boxes of the local peaks, the highest first.

    Shapes:
        y_pred: [pictures, grid, grid, 5]; returned: scores [pictures, 8], 0 where
        there are fewer peaks, and boxes [pictures, 8, 4].
    """
    grid = y_pred.shape[1]
    scores = ops.sigmoid(y_pred[..., :1])
    highest = ops.max_pool(scores, 3, strides=1, padding="same")
    peaks = ops.reshape(ops.where(scores >= highest, scores, 0.0), (-1, grid * grid))
    top, places = ops.top_k(peaks, DETECTIONS)
    boxes = decode_boxes(y_pred[..., 1:])
    return top, ops.take_along_axis(boxes, places[..., None], axis=1)


def _overlaps(boxes: Any, truth: Any) -> Any:
    """IoU of every detection with every object, 0 for rows of padding."""
    iou = keras.utils.bounding_boxes.compute_iou(boxes, truth, "xyxy")
    return iou * _objects(truth)[:, None, :]


class MeanBoxIoU(keras.metrics.Mean):
    """Mean over the objects of the IoU with the detection that overlaps it most.

    If a picture holds n objects, the n detections with the highest scores count.
    """

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add the objects of a batch; weights of examples are not supported."""
        _, boxes = detect(y_pred)
        is_object = _objects(y_true)
        count = ops.sum(is_object, axis=1, keepdims=True)
        counts = ops.cast(ops.arange(DETECTIONS, dtype="float32") < count, "float32")
        best = ops.max(_overlaps(boxes, y_true) * counts[..., None], axis=1)
        super().update_state(best, sample_weight=is_object)


class AveragePrecision(keras.metrics.Metric):
    """Precision of the detections, averaged over the recall.

    A detection is right if it is the first, by score, to overlap the object that it
    overlaps most by at least `OVERLAP`. With P and R the precision and the recall of
    all detections above the n-th score, AP = Σ (R_n - R_{n-1}) P_n. Scores that
    differ by less than one part in `BINS` count as equal.

    Source:
        M. Everingham et al., "The PASCAL Visual Object Classes (VOC) Challenge", IJCV
        2010, section 4.2 (there precision is made monotonic first); the sum as in
        `sklearn.metrics.average_precision_score`.
    """

    def __init__(self, name: str = "average_precision", **options: Any) -> None:
        super().__init__(name=name, **options)
        self.right = self.add_variable((BINS,), "zeros", name="right")
        self.wrong = self.add_variable((BINS,), "zeros", name="wrong")
        self.objects = self.add_variable((), "zeros", name="objects")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add the detections of a batch; weights of examples are not supported."""
        scores, boxes = detect(y_pred)
        right = match(boxes, y_true)
        places = ops.cast(ops.minimum(scores * BINS, BINS - 1), "int32")
        bins = ops.one_hot(places, BINS, dtype=self.dtype)
        bins = bins * ops.cast(scores > 0.0, self.dtype)[..., None]
        is_right = ops.cast(right, self.dtype)[..., None]
        self.right.assign_add(ops.sum(bins * is_right, axis=(0, 1)))
        self.wrong.assign_add(ops.sum(bins * (1.0 - is_right), axis=(0, 1)))
        self.objects.assign_add(ops.cast(ops.sum(_objects(y_true)), self.dtype))

    def result(self) -> Any:
        """Average precision so far, 0 ... 1."""
        gained = ops.flip(self.right)  # the highest scores first
        right = ops.cumsum(gained)
        answered = right + ops.cumsum(ops.flip(self.wrong))
        precision = right / ops.maximum(answered, 1.0)
        return ops.sum(gained * precision) / ops.maximum(self.objects, 1.0)


def match(boxes: Any, truth: Any) -> Any:
    """Which detections are right: 1.0 or 0.0 each.

    Shapes:
        boxes: [pictures, detections, 4], the highest score first; truth: [pictures,
        objects, 4]; returned: [pictures, detections].
    """
    overlaps = _overlaps(boxes, truth)
    nearest = ops.one_hot(ops.argmax(overlaps, axis=2), truth.shape[1], dtype="float32")
    claims = nearest * ops.cast(overlaps >= OVERLAP, "float32")
    earlier = ops.cumsum(claims, axis=1) - claims
    return ops.sum(claims * ops.cast(earlier == 0.0, "float32"), axis=2)

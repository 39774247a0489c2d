"""Object detection: where are the objects, and how large is each?

A one-stage detector in the manner of "objects as points": a convolutional network
predicts for each cell of an 8 x 8 grid whether an object's centre lies in it, and the
object's box. Local peaks of the predictions are the detections. Trained in compiled
epochs; on a CPU without XLA, which is slow there at gradients of convolutions.

Embedded data: 1,200 scenes of 32 x 32 pixels with one to three handwritten digits among
clutter, and 300 of other digits for validation (`tuning.data_sources.digit_scenes`).
Real data: 160 photographs of raccoons, 64 x 64 pixels, with their mirror images, and 40
for validation (`tuning.data_sources.raccoons`). These are too few for a network without
pretraining: there it does no better than always predicting the mean box.

Source:
    X. Zhou, D. Wang, P. Krähenbühl, "Objects as Points", 2019, arXiv:1904.07850; the
    losses: T.-Y. Lin et al., "Focal Loss for Dense Object Detection", 2017,
    arXiv:1708.02002, and Z. Zheng et al., "Distance-IoU Loss", 2020, arXiv:1911.08287.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np

from tuning.data_sources import digit_scenes, raccoons
from tuning.data_sources.public_data import data_directory
from tuning.workload import Data, Workload

GRID = 8
"""Cells along each side of a picture."""

MOST_BOXES = 3
NO_BOX = -1.0
"""Padding of the boxes of a picture with fewer than `MOST_BOXES`."""

PHOTOGRAPH = 64
VALIDATION_EVERY = 5
"""Every n-th photograph is for validation."""


def load_data(directory: Path | None) -> Data:
    """Pictures, and the boxes of the objects in them.

    Shapes:
        x: [pictures, size, size, channels] float32; y: [pictures, 3, 4] float32, boxes
        as left, top, right, bottom in fractions of the picture, then rows of -1. Size
        and channels are 32 and 1 for scenes, 64 and 3 for photographs.
    """
    if directory is None:
        train = digit_scenes.make_scenes("train")
        validation = digit_scenes.make_scenes("validation")
        return Data(
            train.image,
            _filled_up(train.boxes),
            validation.image,
            _filled_up(validation.boxes),
        )
    photographs = raccoons.read_raccoons(directory)
    factor = raccoons.SIZE // PHOTOGRAPH
    x = photographs.image.astype("float32") / 255.0
    x = x.reshape(-1, PHOTOGRAPH, factor, PHOTOGRAPH, factor, 3).mean((2, 4))
    y = _filled_up(photographs.boxes)
    is_held_out = np.arange(len(x)) % VALIDATION_EVERY == 0
    mirrored = _mirrored(x[~is_held_out], y[~is_held_out])
    return Data(*mirrored, x[is_held_out], y[is_held_out])


def _mirrored(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pictures and boxes, followed by mirrored pictures and their boxes."""
    left, top, right, bottom = np.moveaxis(y, -1, 0)
    turned = np.stack([1.0 - right, top, 1.0 - left, bottom], axis=-1)
    turned[y[..., 0] == NO_BOX] = NO_BOX
    return np.concatenate([x, x[:, :, ::-1]]), np.concatenate([y, turned])


def _filled_up(boxes: list[np.ndarray]) -> np.ndarray:
    filled = np.full((len(boxes), MOST_BOXES, 4), NO_BOX, np.float32)
    for row, own in zip(filled, boxes, strict=True):
        row[: len(own)] = own[:MOST_BOXES]
    return filled


def build_model(size: int, channels: int) -> Any:
    """The detector; returns [8, 8, 5]: per cell the logit of an object, and a box code.

    See `tuning.workloads.box_metrics.decode_boxes`.
    """
    import keras

    layers = keras.layers
    image = keras.Input((size, size, channels))
    x = layers.Conv2D(16, 3, strides=2, padding="same", activation="relu")(image)
    for _ in range(int(np.log2(size // GRID)) - 1):
        x = layers.Conv2D(32, 3, strides=2, padding="same", activation="relu")(x)
    # Dilated, because a box also depends on pixels far from its centre.
    for dilation in (1, 2, 1):
        x = layers.Conv2D(
            48, 3, padding="same", dilation_rate=dilation, activation="relu"
        )(x)
    # Objects are rare: with a bias of 0, empty cells would dominate the first steps.
    rare = keras.initializers.Constant(-3.0)
    centre = layers.Conv2D(1, 1, bias_initializer=rare)(x)
    return keras.Model(image, layers.Concatenate()([centre, layers.Conv2D(4, 1)(x)]))


def detection_loss(y_true: Any, y_pred: Any) -> Any:
    """Focal loss of the centres plus complete-IoU loss of the boxes, per picture."""
    from tuning.workloads.box_metrics import box_loss, centre_loss

    return centre_loss(y_true, y_pred) + box_loss(y_true, y_pred)


def metrics() -> list[Any]:
    """Mean IoU of the boxes, and average precision at an IoU of one half."""
    from tuning.workloads.box_metrics import AveragePrecision, MeanBoxIoU

    return [MeanBoxIoU(name="mean_iou"), AveragePrecision(name="average_precision")]


def trivial_metrics(data: Data) -> dict[str, float]:
    """The metrics of always predicting the mean box of the training data."""
    import keras

    from tuning.workloads.box_metrics import OVERLAP

    mean = data.y_train[data.y_train[..., 0] != NO_BOX].mean(0)
    is_object = data.y_val[..., 0] != NO_BOX
    iou = keras.utils.bounding_boxes.compute_iou(data.y_val, mean[None], "xyxy")
    iou = keras.ops.convert_to_numpy(iou)[..., 0] * is_object
    right = (iou.max(1) >= OVERLAP).sum()
    # All scores are equal: one precision, at one recall.
    precision, recall = right / len(data.y_val), right / is_object.sum()
    return {
        "mean_iou": float(iou[is_object].mean()),
        "average_precision": float(precision * recall),
    }


def workload() -> Workload:
    """The workload with digits among clutter, or with raccoons (real data)."""
    directory = data_directory()
    source = "digits among clutter" if directory is None else "photographs of raccoons"
    shape = (digit_scenes.SIZE, 1) if directory is None else (PHOTOGRAPH, 3)
    return Workload(
        name="detection",
        build_model=functools.partial(build_model, *shape),
        load_data=functools.partial(load_data, directory),
        loss=detection_loss,
        metrics=metrics,
        epochs=6 if directory is None else 16,
        learning_rates=(1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1),
        batch_sizes=(16, 32, 128),
        target_val_loss=0.9,
        description=f"Boxes around objects ({source}), a one-stage detector.",
    )

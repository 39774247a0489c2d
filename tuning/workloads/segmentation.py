"""Segmentation: which pixels belong to the objects?

A U-Net with two levels: convolutions on the way down and on the way up, and a skip
connection at each level. Trained in compiled epochs; on a CPU without XLA, which is
slow there at gradients of convolutions.

Embedded data: 1,200 scenes of 32 x 32 pixels, in which the strokes of handwritten
digits are to be found among clutter, and 300 of other digits for validation
(`tuning.data_sources.digit_scenes`). Real data: 400 squares of 64 x 64 pixels from 25
slices of nerve tissue, in which cells are to be separated from their membranes, and 80
from the last five slices for validation (`tuning.data_sources.cell_membranes`).

Source:
    O. Ronneberger, P. Fischer, T. Brox, "U-Net: Convolutional Networks for Biomedical
    Image Segmentation", MICCAI 2015, arXiv:1505.04597.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np

from tuning.data_sources import cell_membranes, digit_scenes
from tuning.data_sources.public_data import data_directory
from tuning.workload import Data, Workload

SQUARE = 64
"""Width of the squares into which a slice is cut."""

SLICES_HELD_OUT = 5
"""The last slices: neighbours show the same cells, so a random split would leak."""


def load_data(directory: Path | None) -> Data:
    """Pictures, and masks with 1 for every pixel of an object.

    Shapes:
        x: [pictures, size, size, 1] float32; y: [pictures, size, size, 1] int32; size
        is 32 for scenes, 64 for tissue.
    """
    if directory is None:
        train = digit_scenes.make_scenes("train")
        validation = digit_scenes.make_scenes("validation")
        return Data(train.image, train.mask, validation.image, validation.mask)
    slices = cell_membranes.read_cell_membranes(directory)
    image = _squares(slices.image.astype("float32") / 255.0)
    mask = _squares(slices.mask.astype("int32"))
    held_out = SLICES_HELD_OUT * len(image) // len(slices.image)
    return Data(
        image[:-held_out], mask[:-held_out], image[-held_out:], mask[-held_out:]
    )


def _squares(slices: np.ndarray) -> np.ndarray:
    """[slices, height, width] cut into [squares, 64, 64, 1], slice by slice."""
    count, height, width = slices.shape
    rows, columns = height // SQUARE, width // SQUARE
    cut = slices.reshape(count, rows, SQUARE, columns, SQUARE)
    return cut.transpose(0, 1, 3, 2, 4).reshape(-1, SQUARE, SQUARE, 1)


def build_model(size: int) -> Any:
    """The network; returns one logit per pixel."""
    import keras

    layers = keras.layers

    def convolve(x: Any, channels: int) -> Any:
        for _ in range(2):
            x = layers.Conv2D(channels, 3, padding="same", activation="relu")(x)
        return x

    image = keras.Input((size, size, 1))
    fine = convolve(image, 8)
    middle = convolve(layers.MaxPooling2D()(fine), 16)
    coarse = convolve(layers.MaxPooling2D()(middle), 32)
    upper = layers.UpSampling2D()(coarse)
    middle = convolve(layers.Concatenate()([upper, middle]), 16)
    upper = layers.UpSampling2D()(middle)
    fine = convolve(layers.Concatenate()([upper, fine]), 8)
    return keras.Model(image, layers.Conv2D(1, 1)(fine))


def cross_entropy(y_true: Any, y_pred: Any) -> Any:
    """Binary cross-entropy of logits, one value per pixel."""
    import keras

    return keras.losses.binary_crossentropy(y_true, y_pred, from_logits=True)


def metrics() -> list[Any]:
    """Intersection over union, the mean of objects and background."""
    import keras

    return [keras.metrics.BinaryIoU(threshold=0.0, name="iou")]


def trivial_metrics(data: Data) -> dict[str, float]:
    """The metric of the best single threshold, found in the training data.

    Objects are the pixels brighter or darker than one of 32 thresholds. "Everything"
    and "nothing" are among the choices.
    """
    import keras

    def iou(x: np.ndarray, y: np.ndarray, threshold: float, sign: int) -> float:
        metric = keras.metrics.BinaryIoU(threshold=0.0)
        metric.update_state(y, sign * (x - threshold))
        return float(metric.result())

    low, high = data.x_train.min(), data.x_train.max()
    thresholds = np.linspace(low - 0.01, high + 0.01, 32)
    some = slice(0, 100)
    choices = [
        (iou(data.x_train[some], data.y_train[some], threshold, sign), threshold, sign)
        for threshold in thresholds
        for sign in (-1, 1)
    ]
    _, threshold, sign = max(choices)
    return {"iou": iou(data.x_val, data.y_val, threshold, sign)}


def workload() -> Workload:
    """The workload with strokes of digits, or with cells of tissue (real data)."""
    directory = data_directory()
    source = (
        "digits among clutter" if directory is None else "cells in electron microscopy"
    )
    size = digit_scenes.SIZE if directory is None else SQUARE
    return Workload(
        name="segmentation",
        build_model=functools.partial(build_model, size),
        load_data=functools.partial(load_data, directory),
        loss=cross_entropy,
        metrics=metrics,
        epochs=5,
        learning_rates=(1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1),
        batch_sizes=(16, 32, 128),
        target_val_loss=0.2,
        description=f"The pixels of what is looked for ({source}), a U-Net.",
    )

"""Data in the form in which Keras's models take them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

TEXT_KINDS = "OSU"
"""Kinds of NumPy types that hold texts: objects, bytes, Unicode."""


def as_model_input(array: np.ndarray) -> Any:
    """The array itself; texts as a tensor, the only form in which Keras takes them.

    Only TensorFlow has string tensors; on other backends Keras itself refuses texts.
    """
    if array.dtype.kind not in TEXT_KINDS or keras.backend.backend() != "tensorflow":
        return array
    import tensorflow as tf

    return tf.constant(array)

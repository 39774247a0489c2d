"""Texts as rows of word numbers, which a compiled model can take as input."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def number_words(
    train: Sequence[str], validation: Sequence[str], *, words: int, length: int
) -> tuple[np.ndarray, np.ndarray]:
    """Both parts as numbers of the ``words - 2`` most frequent training words.

    Shapes:
        [texts, length] int32: 0 after the end of a text, 1 for any other word. Longer
        texts are cut.
    """
    # Imported here, because it loads TensorFlow and listing workloads need not wait.
    import keras

    numbering = keras.layers.TextVectorization(
        max_tokens=words, output_sequence_length=length
    )
    numbering.adapt(list(train))
    return tuple(
        np.asarray(keras.ops.convert_to_numpy(numbering(list(texts))), "int32")
        for texts in (train, validation)
    )  # pyright: ignore[reportReturnType]

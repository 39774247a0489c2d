"""The character error rate of CTC outputs as a Keras metric that XLA can compile.

The tests compare it with TensorFlow's own decoder and edit distance
(`tf.nn.ctc_greedy_decoder`, `tf.edit_distance`), which XLA cannot compile.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

BLANK = 0


def edit_distance(truth: Any, answer: Any) -> Any:
    """Levenshtein's distance: fewest insertions, deletions and substitutions.

    Args:
        truth: symbols, `BLANK` after the end.
        answer: symbols, with `BLANK` in any place without a symbol.

    Shapes:
        truth: [examples, length]; answer: [examples, places]; returned: [examples]
        float32.

    Source:
        R. A. Wagner, M. J. Fischer, "The String-to-String Correction Problem", J. ACM
        21, 1974: one row of the table per symbol of the answer.
    """
    truth, answer = ops.cast(truth, "int32"), ops.cast(answer, "int32")
    length = truth.shape[1]
    columns = ops.arange(length + 1, dtype="float32")
    first = columns + ops.zeros_like(truth[:, :1], dtype="float32")

    def next_row(row: Any, symbol: Any) -> tuple[Any, None]:
        """``row[:, j]``: edits from the answer so far to the first j symbols."""
        substituted = row[:, :-1] + ops.cast(truth != symbol[:, None], row.dtype)
        fewest = [row[:, 0] + 1.0]
        for j in range(length):
            ends = ops.minimum(row[:, j + 1], fewest[j]) + 1.0
            fewest.append(ops.minimum(substituted[:, j], ends))
        is_there = (symbol != BLANK)[:, None]
        return ops.where(is_there, ops.stack(fewest, axis=1), row), None

    last, _ = ops.scan(next_row, first, ops.transpose(answer))
    ends = ops.sum(ops.cast(truth != BLANK, "float32"), axis=1, keepdims=True)
    return ops.sum(ops.where(columns == ends, last, 0.0), axis=1)


def most_likely_path(logits: Any) -> Any:
    """The most likely symbol of each frame, `BLANK` where it repeats the last one.

    Shapes:
        logits: [examples, frames, symbols]; returned: [examples, frames] int32.
    """
    path = ops.cast(ops.argmax(logits, axis=-1), "int32")
    goes_on = ops.pad(path[:, 1:] == path[:, :-1], [[0, 0], [1, 0]])
    return ops.where(goes_on, BLANK, path)


class CharacterErrorRate(keras.metrics.Metric):
    """Edits from the recognised to the spoken text, per spoken character.

    The rate is above 1 if there are more edits than spoken characters.
    """

    def __init__(self, name: str = "character_error_rate", **options: Any) -> None:
        super().__init__(name=name, **options)
        self.edits = self.add_variable((), "zeros", name="edits")
        self.characters = self.add_variable((), "zeros", name="characters")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count the edits of a batch; weights of examples are not supported."""
        distances = edit_distance(y_true, most_likely_path(y_pred))
        characters = ops.cast(ops.cast(y_true, "int32") != BLANK, self.dtype)
        self.edits.assign_add(ops.cast(ops.sum(distances), self.dtype))
        self.characters.assign_add(ops.sum(characters))

    def result(self) -> Any:
        """Edits per character so far."""
        return self.edits / ops.maximum(self.characters, 1.0)

"""scikit-learn's handwritten digits, split once and for all (embedded data).

Source:
    E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI
    Machine Learning Repository, 1998, https://doi.org/10.24432/C50P49
    (`sklearn.datasets.load_digits` holds its test part).
"""

from __future__ import annotations

import numpy as np

from tuning.workload import Data

VALIDATION_SHARE = 0.2
SPLIT_SEED = 0
"""The split is part of the task: every run and every sweep sees the same one."""


def read_digits() -> Data:
    """The digits, split once and for all: 1,437 for training, 360 for validation.

    Shapes:
        x: [examples, 64] float32 in [0, 1]; y: [examples] int32, 0 ... 9, with the
        same share of each digit in both parts.
    """
    # scikit-learn takes a second to import; listing workloads need not wait for it.
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    x_train, x_val, y_train, y_val = train_test_split(
        (images / 16.0).astype("float32"),  # pixels count 0 ... 16
        labels.astype("int32"),
        test_size=VALIDATION_SHARE,
        random_state=SPLIT_SEED,
        stratify=labels,
    )
    return Data(*map(np.ascontiguousarray, (x_train, y_train, x_val, y_val)))

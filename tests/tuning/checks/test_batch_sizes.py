"""Which batch sizes a check looks at, as far as it knows the data."""

import keras
import numpy as np
import pytest
from tiny_workload import build_model

from tuning.checks.execution import _with_sizes
from tuning.fit_workload import FitWorkload

X, Y = np.zeros((100, 4)), np.zeros(100)


class Fixed(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return X[:50], Y[:50]


@pytest.mark.parametrize(
    ("data", "batch_size", "sizes"),
    [
        ({"x": X, "y": Y}, 50, (50, 25, 100)),
        ({"x": X, "y": Y}, 64, (64, 32)),
        ({"x": X, "y": Y, "validation_split": 0.2}, 50, (50, 25)),
        ({"x": {"a": X}, "y": Y}, 1, (1, 2)),
        (Fixed(), 50, (50,)),
        (lambda batch_size: Fixed(), 50, (50, 25, 100)),
    ],
)
def test_half_and_double_as_far_as_the_data_allow(data, batch_size, sizes):
    workload = FitWorkload("tiny", build_model, data)
    assert _with_sizes(workload, batch_size) == (workload, sizes)

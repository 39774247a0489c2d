"""The cases of `sweep_time.py`: three small models on scikit-learn's digits."""

from __future__ import annotations

import dataclasses
from typing import Any

from tuning.workload import Data, Workload
from tuning.workloads import digits


@dataclasses.dataclass(frozen=True)
class SweepCase:
    """A workload and the grid that is run on it with Keras's Adam."""

    workload: Workload
    rates: tuple[float, ...]
    batch_sizes: tuple[int, ...]
    seeds: tuple[int, ...]
    epochs: int

    @property
    def runs(self) -> int:
        """Number of points of the grid."""
        return len(self.rates) * len(self.batch_sizes) * len(self.seeds)


def load_images() -> Data:
    """The digits as [examples, 8, 8, 1]; for the transformer, 8 rows of 8 pixels."""
    data = digits.load_data()
    return data._replace(
        x_train=data.x_train.reshape(-1, 8, 8, 1), x_val=data.x_val.reshape(-1, 8, 8, 1)
    )


def build_convnet() -> Any:
    """Three convolutions and a classifier: 24 k weights."""
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.Conv2D(32, 3, padding="same", strides=2, activation="relu"),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10),
        ]
    )


def build_transformer() -> Any:
    """Two pre-norm blocks over the eight rows of an image: 18 k weights."""
    import keras

    layers = keras.layers
    inputs = layers.Input((8, 8, 1))
    x = layers.Dense(32)(layers.Reshape((8, 8))(inputs))
    positions = layers.Embedding(8, 32)(keras.ops.arange(8))
    x = x + positions
    for _ in range(2):
        normed = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(2, 16)(normed, normed)
        normed = layers.LayerNormalization()(x)
        x = x + layers.Dense(32)(layers.Dense(64, activation="gelu")(normed))
    pooled = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))
    return keras.Model(inputs, layers.Dense(10)(pooled))


def _workload(name: str, build_model: Any) -> Workload:
    return Workload(
        name=name,
        build_model=build_model,
        load_data=load_images,
        loss=digits.cross_entropy,
        metrics=digits.metrics,
    )


CASES = {
    "smoke": SweepCase(digits.WORKLOAD, (1e-2,), (256,), (0,), 1),
    "digits": SweepCase(
        digits.WORKLOAD, (1e-3, 3e-3, 1e-2), (16, 64, 256), (0, 1, 2), 10
    ),
    "convnet": SweepCase(
        _workload("convnet", build_convnet), (1e-3, 3e-3, 1e-2), (32, 128), (0, 1), 6
    ),
    "transformer": SweepCase(
        _workload("transformer", build_transformer),
        (3e-4, 1e-3, 3e-3),
        (32, 128),
        (0, 1),
        6,
    ),
}

"""Two tasks whose gradients explode, made from the handwritten digits.

They are not applications, so no list names them: they show how an optimizer handles
gradients of any size. One is a perceptron of twenty layers without normalisation, whose
initial weights let signals and gradients grow from layer to layer. The other is a
recurrent network that reads a digit pixel by pixel; its recurrent weights let them grow
from step to step. Trained in compiled epochs (XLA).

Source:
    R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty of training recurrent neural
    networks", ICML 2013, arXiv:1211.5063; K. He et al., "Delving Deep into Rectifiers",
    ICCV 2015, arXiv:1502.01852 (a variance of 2 per input keeps the size of signals).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tuning.data_sources.handwritten_digits import read_digits
from tuning.workload import Workload
from tuning.workloads.classification import cross_entropy, metrics

LAYERS = 20
GROWTH = 1.2
"""Growth of signals and gradients per layer or step; 1 would keep their size."""

RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)


def build_deep_model() -> Any:
    """The perceptron; its logits begin about 40 times too large."""
    import keras

    layers = keras.layers
    model = keras.Sequential([layers.Input((64,))])
    for _ in range(LAYERS):
        initializer = keras.initializers.VarianceScaling(2.0 * GROWTH**2, "fan_in")
        model.add(layers.Dense(32, activation="relu", kernel_initializer=initializer))
    model.add(layers.Dense(10))
    return model


def build_recurrent_model() -> Any:
    """The recurrent network: 64 steps of 16 units."""
    import keras

    layers = keras.layers
    recurrent = keras.initializers.Orthogonal(gain=GROWTH)
    return keras.Sequential(
        [
            layers.Input((64,)),
            layers.Reshape((64, 1)),
            layers.SimpleRNN(16, recurrent_initializer=recurrent),
            layers.Dense(10),
        ]
    )


def _workload(name: str, build_model: Callable[[], Any], description: str) -> Workload:
    return Workload(
        name=name,
        build_model=build_model,
        load_data=read_digits,
        loss=cross_entropy,
        metrics=metrics,
        epochs=10,
        learning_rates=RATES,
        batch_sizes=(16, 64, 256),
        description=description,
    )


DEEP = _workload(
    "exploding-deep",
    build_deep_model,
    "Handwritten digits, 20 dense layers whose gradients explode.",
)

RECURRENT = _workload(
    "exploding-recurrent",
    build_recurrent_model,
    "Handwritten digits pixel by pixel, a recurrent network whose gradients explode.",
)

"""The optimizers that the claims compare: names, labels, default learning rates.

Names are those of sweeps, see `tuning.optimizer_names`.
"""

from __future__ import annotations

from collections.abc import Mapping

OURS, ROBUST, STOCK = "keras_adam.Adam", "keras_adam.Adam.robust", "keras.Adam"
SGD, MOMENTUM = "keras.SGD", "keras.SGD(momentum=0.9)"
ADAGRAD, RMSPROP = "keras.Adagrad", "keras.RMSprop"

CONTENDERS = (OURS, ROBUST, STOCK, SGD, MOMENTUM, ADAGRAD, RMSPROP)

STORAGES = (
    "keras_adam.Adam(moment_storage='bfloat16')",
    "keras_adam.Adam(moment_storage='8bit')",
)
"""Our Adam with moments in fewer bytes, for the claim about memory alone."""

SUBJECTS = (STOCK, OURS, ROBUST)
"""Subjects of the claims: Keras's Adam, ours, ours with an adapted learning rate."""

BEYOND = (OURS, ROBUST)
"""These are also compared with Keras's Adam."""

KEEPERS = (MOMENTUM, ADAGRAD, RMSPROP)
"""Optimizers that keep one number for each weight; plain SGD keeps none."""

REFERENCE = SGD
"""Convergence is measured as the steps to the final loss of this optimizer."""

DEFAULT_RATES: Mapping[str, float] = {
    OURS: 1e-3,
    ROBUST: 1e-3,
    STOCK: 1e-3,
    SGD: 1e-2,
    MOMENTUM: 1e-2,
    ADAGRAD: 1e-3,
    RMSPROP: 1e-3,
}
"""Default learning rates of the classes."""

LABELS: Mapping[str, str] = {
    STOCK: "Keras Adam",
    OURS: "ours",
    ROBUST: "ours, robust",
    STORAGES[0]: "ours, bfloat16",
    STORAGES[1]: "ours, 8bit",
    SGD: "SGD",
    MOMENTUM: "momentum",
    ADAGRAD: "Adagrad",
    RMSPROP: "RMSprop",
}
"""Names of optimizers in tables."""

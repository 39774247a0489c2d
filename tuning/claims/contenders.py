"""The optimizers that the claims compare: names, labels, default learning rates."""

from __future__ import annotations

from collections.abc import Mapping

CONTENDERS = (
    "adam",
    "robust-adam",
    "keras-adam",
    "sgd",
    "momentum",
    "adagrad",
    "rmsprop",
)
"""Names of `tuning.training.optimizers.BUILT_IN`."""

STORAGES = ("adam, bfloat16", "adam, 8bit")
"""Ours with moments in fewer bytes: subjects where memory is concerned."""

STORAGE_OPTIONS: Mapping[str, Mapping[str, str]] = {
    STORAGES[0]: {"moment_storage": "bfloat16"},
    STORAGES[1]: {"moment_storage": "8bit"},
}
"""Arguments of ``keras_adam.Adam`` by what the page calls the result."""


SUBJECTS = ("keras-adam", "adam", "robust-adam")
"""Whom claims are made of: Keras's Adam, ours, and ours with an adapted rate."""

BEYOND = ("adam", "robust-adam")
"""Held against Keras's Adam besides."""

STOCK = "keras-adam"

KEEPERS = ("momentum", "adagrad", "rmsprop")
"""Optimizers that keep one number for each weight; plain SGD keeps none."""

REFERENCE = "sgd"
"""Whose final loss the others are to reach."""

DEFAULT_RATES: Mapping[str, float] = {
    "adam": 1e-3,
    "robust-adam": 1e-3,
    "keras-adam": 1e-3,
    "sgd": 1e-2,
    "momentum": 1e-2,
    "adagrad": 1e-3,
    "rmsprop": 1e-3,
}
"""Learning rates that the classes have if none is given."""

LABELS: Mapping[str, str] = {
    "keras-adam": "Keras Adam",
    "adam": "ours",
    "robust-adam": "ours, robust",
    "adam, bfloat16": "ours, bfloat16",
    "adam, 8bit": "ours, 8bit",
    "sgd": "SGD",
    "momentum": "momentum",
    "adagrad": "Adagrad",
    "rmsprop": "RMSprop",
}
"""How tables call optimizers."""

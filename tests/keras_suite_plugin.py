"""A pytest plugin that puts `keras_adam.Adam` in the place of Keras's own Adam.

Loaded with ``-p keras_suite_plugin`` by `test_keras_suite.py`, in a process of its
own, before Keras's test modules are imported. Nothing is written to disk.
"""

import importlib

import keras

import keras_adam


class AdamW(keras_adam.Adam):
    """Keras's AdamW is its Adam with weight decay on by default."""

    def __init__(self, learning_rate=0.001, weight_decay=0.004, **kwargs):
        if weight_decay is None:
            raise ValueError(
                "Argument `weight_decay` must be a float. Received: weight_decay=None"
            )
        super().__init__(learning_rate, weight_decay=weight_decay, **kwargs)


def pytest_configure(config):
    replacements = {"Adam": keras_adam.Adam, "AdamW": AdamW}
    for name, replacement in replacements.items():
        for module in (
            f"keras.src.optimizers.{name.lower()}",
            "keras.src.optimizers",
            "keras.optimizers",
        ):
            setattr(importlib.import_module(module), name, replacement)
        importlib.import_module("keras.src.optimizers").ALL_OBJECTS_DICT[
            name.lower()
        ] = replacement
    keras.saving.register_keras_serializable(package="test", name="AdamW")(AdamW)

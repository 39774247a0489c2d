"""A pytest plugin that puts `keras_adam.Adam` and `AdamW` in the place of Keras's own.

Loaded with ``-p keras_suite_plugin`` by `test_keras_suite.py`, in a process of its
own, before Keras's test modules are imported. Nothing is written to disk.
"""

import importlib

import keras_adam


def pytest_configure(config):
    replacements = {"Adam": keras_adam.Adam, "AdamW": keras_adam.AdamW}
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

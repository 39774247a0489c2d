"""The optimizer's options: checks of single values and of combinations."""

from keras_adam.options.options import Options

__all__ = ["Options"]

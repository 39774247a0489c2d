"""What may be passed to the optimizer: single values, and values together."""

from keras_adam.options.options import Options

__all__ = ["Options"]

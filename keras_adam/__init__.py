"""An Adam optimizer for Keras whose whole update is one XLA computation."""

from keras_adam.adam import Adam

__all__ = ["Adam"]
__version__ = "0.1.0"

"""An Adam optimizer for Keras whose whole update is one XLA computation."""

from keras_adam.adam import Adam
from keras_adam.atomic_save import save_atomically
from keras_adam.telemetry import AdamTelemetry

__all__ = ["Adam", "AdamTelemetry", "save_atomically"]
__version__ = "0.1.0"

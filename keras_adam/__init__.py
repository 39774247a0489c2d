"""An Adam optimizer for Keras whose whole update XLA compiles."""

from keras_adam.adam import Adam
from keras_adam.adamw import AdamW
from keras_adam.atomic_save import save_atomically
from keras_adam.batch_size import change_batch_size, scale_for_batch_size
from keras_adam.telemetry.callback import AdamTelemetry

__all__ = [
    "Adam",
    "AdamTelemetry",
    "AdamW",
    "change_batch_size",
    "save_atomically",
    "scale_for_batch_size",
]
__version__ = "0.1.0"

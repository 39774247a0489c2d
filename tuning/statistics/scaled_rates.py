"""The learning rate that is usual for another batch size."""

from __future__ import annotations

import math

from tuning.optimizer_names import parse_name
from tuning.setting import Setting


def scaled_rate(setting: Setting, batch_size: int) -> float:
    """A setting's learning rate, scaled to another batch size.

    With k times the batch size the learning rate of SGD is k times as large, that of
    any other optimizer √k times.

    Source:
        P. Goyal et al. 2017, arXiv:1706.02677, section 2.1 (SGD); S. Malladi et al.
        2022, arXiv:2205.10287, Definition 5.2 (Adam, RMSprop). Only the learning rate
        is scaled here; `keras_adam.scale_for_batch_size` also scales the betas.
    """
    ratio = batch_size / setting.batch_size
    return setting.learning_rate * (ratio if is_sgd(setting) else math.sqrt(ratio))


def is_sgd(setting: Setting) -> bool:
    """Whether the optimizer is Keras's SGD, with or without momentum."""
    try:
        return parse_name(setting.optimizer).reference == "keras.optimizers:SGD"
    except ValueError:  # a name of a Python program's own optimizer
        return False

"""Adam whose weight decay is on from the start."""

from __future__ import annotations

from typing import Any

import keras

from keras_adam.adam import Adam


@keras.saving.register_keras_serializable(package="keras_adam")
class AdamW(Adam):
    """A drop-in for ``keras.optimizers.AdamW``: `Adam` with weight decay.

    Each step multiplies a weight by ``1 - learning_rate · weight_decay``, separately
    from the gradient. Everything else is as in `Adam`, and the two can load each
    other's states.

    Args:
        learning_rate: a number, a ``LearningRateSchedule`` or a callable without
            arguments.
        weight_decay: as in ``keras.optimizers.AdamW``: finite and at least 0.
        beta_1: decay of the first moment, in [0, 1).
        beta_2: decay of the second moment, in [0, 1).
        epsilon: positive.
        amsgrad: divide by the largest second moment so far.
        clipnorm: bound on the norm of each weight's gradient.
        clipvalue: bound on each gradient entry's magnitude.
        global_clipnorm: bound on the norm of all gradients together.
        use_ema: keep a moving average of the weights.
        ema_momentum: decay of that average.
        ema_overwrite_frequency: updates between two overwrites of the weights by
            their average.
        loss_scale_factor: as in ``keras.optimizers.AdamW``.
        gradient_accumulation_steps: micro-batches whose mean gradient makes one
            update.
        name: of the optimizer.
        **options: the options of `Adam` that Keras does not have.

    Raises:
        TypeError: a learning rate of another type.
        ValueError: as `Adam`; or ``weight_decay=None``, also when it is set later.

    **Source**: I. Loshchilov and F. Hutter, arXiv:1711.05101.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            learning_rate=learning_rate,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            amsgrad=amsgrad,
            weight_decay=weight_decay,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
            loss_scale_factor=loss_scale_factor,
            gradient_accumulation_steps=gradient_accumulation_steps,
            name=name,
            **options,
        )

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute, as in `Adam`; ``weight_decay`` to a number only.

        Raises:
            ValueError: as `Adam`, or ``weight_decay=None``.
        """
        if name == "weight_decay" and value is None:
            raise ValueError(
                # Keras's own words, and then what to do.
                "Argument `weight_decay` must be a float. Received: weight_decay=None. "
                "Without weight decay AdamW is Adam: use keras_adam.Adam, or "
                "weight_decay=0."
            )
        super().__setattr__(name, value)

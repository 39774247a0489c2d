"""The options that decide what a step computes, as one frozen value."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras


@dataclasses.dataclass(frozen=True)
class Options:
    """All options of `keras_adam.Adam` that a step depends on.

    `keras_adam.Adam` describes each. The value is part of the key of a compiled step:
    if an option changes, another step is traced and compiled.
    """

    beta_1: float
    beta_2: float
    epsilon: float
    amsgrad: bool
    weight_decay: float | None
    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    gradient_accumulation_steps: int | None
    moment_storage: str
    sparse_updates: str
    rate_cap: float | None
    rate_cap_softness: float
    rate_adaptation: float | None
    rate_growth_limit: float | None
    spike_guard: float | None
    skip_nonfinite: bool

    @classmethod
    def of(cls, optimizer: Any) -> Options:
        """The options as they are set on an optimizer now."""
        return cls(*(getattr(optimizer, name) for name in _NAMES))

    @property
    def controls_learning_rate(self) -> bool:
        """Whether the learning rate of a step may differ from the given one."""
        return self.rate_cap is not None or self.rate_adaptation is not None

    @property
    def has_common_norm(self) -> bool:
        """Whether gradients are clipped by the norm of all of them together."""
        return bool(self.global_clipnorm or self.spike_guard)

    @property
    def looks_at_all_gradients(self) -> bool:
        """Whether something is computed from all gradients of a step together."""
        return self.has_common_norm or self.controls_learning_rate

    @property
    def rows_catch_up(self) -> bool:
        """Whether rows make up for the steps that they missed."""
        # On the other backends every gradient is dense: no row is ever behind.
        is_tensorflow = keras.backend.backend() == "tensorflow"
        return self.sparse_updates == "catch_up" and is_tensorflow


_NAMES = tuple(field.name for field in dataclasses.fields(Options))

NOT_PART_OF_A_STEP = ("learning_rate", "loss_scale_factor", "name", "jit_compile")
"""Arguments of `keras_adam.Adam` that `Options` leaves out: the learning rate is an
argument of a step, Keras divides by the loss scale, and ``jit_compile`` decides how a
step is run."""

FIXED_ONCE_BUILT = (
    "amsgrad",
    "use_ema",
    "moment_storage",
    "sparse_updates",
    "skip_nonfinite",
    "jit_compile",
)
"""Options that decide which variables or which programs exist."""

QUALIFIERS: dict[str, tuple[str, Any]] = {
    "rate_cap": ("rate_cap_softness", 0.0),
    "rate_adaptation": ("rate_growth_limit", None),
}
"""For each option: a second option that has no effect without it, and the value that
switches the second one off."""


def check_can_change(name: str, before: Any, value: Any) -> None:
    """Refuse to change an option that the state of a built optimizer depends on.

    Args:
        name: of the option.
        before: its present value.
        value: its new value.

    Raises:
        ValueError: the option is fixed once the optimizer is built.
    """
    is_switched = (before is None) != (value is None)
    # rate_cap, rate_adaptation and spike_guard are checked by the next step: it raises
    # if the optimizer has no variables for them.
    if (name in FIXED_ONCE_BUILT and value != before) or (
        name == "gradient_accumulation_steps" and is_switched
    ):
        raise ValueError(
            f"{name} cannot be changed from {before!r} to {value!r}: the optimizer "
            f"is built, and what it keeps between steps was created for "
            f"{name}={before!r}. Create a new optimizer with {name}={value!r}, "
            "and compile the model with it."
        )

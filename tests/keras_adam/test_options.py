"""All options as one value: none can be left out of the key of what is compiled."""

import dataclasses
import inspect

import keras
import numpy as np
import pytest

import keras_adam
from keras_adam.options import Options
from keras_adam.options.options import FIXED_ONCE_BUILT, NOT_PART_OF_A_STEP

OTHER_VALUES = {
    "beta_1": 0.8,
    "beta_2": 0.99,
    "epsilon": 1e-5,
    "weight_decay": 0.1,
    "clipnorm": 1.0,
    "clipvalue": 1.0,
    "global_clipnorm": 1.0,
    "ema_momentum": 0.5,
    "ema_overwrite_frequency": 3,
    "gradient_accumulation_steps": 3,
    "rate_cap": 0.01,
    "rate_cap_softness": 0.5,
    "rate_adaptation": 0.1,
    "rate_growth_limit": 7.0,
    "spike_guard": 4.0,
}
"""Options that can be set on a built optimizer, and a value that is not the default."""

BASES = {
    "ema_momentum": {"use_ema": True},
    "ema_overwrite_frequency": {"use_ema": True},
    "gradient_accumulation_steps": {"gradient_accumulation_steps": 2},
    "rate_cap": {"rate_cap": 0.001},
    "rate_cap_softness": {"rate_cap": 0.001},
    "rate_adaptation": {"rate_adaptation": 0.2},
    "rate_growth_limit": {"rate_adaptation": 0.2},
    "spike_guard": {"spike_guard": 5.0},
}
"""What must have been on when the optimizer was built."""


def arguments(cls):
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = inspect.signature(cls).parameters.values()
    return {one.name for one in parameters if one.kind in kinds}


def test_every_argument_is_an_option_of_a_step_or_says_why_not():
    fields = {field.name for field in dataclasses.fields(Options)}
    assert arguments(keras_adam.Adam) == fields | set(NOT_PART_OF_A_STEP)
    assert not fields & set(NOT_PART_OF_A_STEP)


def test_every_option_can_be_set_or_is_fixed():
    fields = {field.name for field in dataclasses.fields(Options)}
    assert set(OTHER_VALUES) | set(FIXED_ONCE_BUILT) == fields | {"jit_compile"}


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("name", OTHER_VALUES)
def test_a_set_option_is_compiled_anew(name):
    weight = keras.Variable(np.ones(3, "float32"))
    optimizer = keras_adam.Adam(0.1, **BASES.get(name, {}))
    before = None
    for traces, value in ((1, None), (2, OTHER_VALUES[name]), (2, None)):
        if value is not None:
            before = getattr(optimizer, name)
            setattr(optimizer, name, value)
            assert getattr(optimizer, name) == value != before
        optimizer.apply([keras.ops.ones(3)], [weight])
        assert optimizer.trace_count == traces
    setattr(optimizer, name, before)
    optimizer.apply([keras.ops.ones(3)], [weight])
    assert optimizer.trace_count == 2


def test_options_say_what_is_set():
    optimizer = keras_adam.Adam.robust(0.01, weight_decay=0.004)
    assert repr(optimizer) == (
        "Adam(learning_rate=0.01, weight_decay=0.004, rate_cap=0.002, "
        "rate_cap_softness=0.15, rate_adaptation=0.2, rate_growth_limit=100.0, "
        "spike_guard=5.0)"
    )
    assert repr(keras_adam.AdamW()) == "AdamW(learning_rate=0.001)"
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 10)
    assert repr(keras_adam.Adam(schedule)) == "Adam(learning_rate=<CosineDecay>)"

"""Options of every type: NumPy's numbers, values that are none, and a fuzz."""

import decimal
import fractions
import json

import hypothesis
import keras
import numpy as np
import pytest
from hypothesis import strategies
from keras import ops

import keras_adam
from keras_adam.options.values import OPTIONS

schedules = keras.optimizers.schedules

NUMPY_VALUES = {
    "beta_1": np.float32(0.9),
    "beta_2": np.float64(0.999),
    "epsilon": np.float16(1e-3),
    "amsgrad": np.bool_(True),
    "weight_decay": np.float32(0.1),
    "clipnorm": np.int64(2),
    "clipvalue": np.array(0.5),
    "global_clipnorm": np.float32(0.1),
    "use_ema": np.bool_(True),
    "ema_momentum": np.float32(0.9),
    "ema_overwrite_frequency": np.int32(3),
    "loss_scale_factor": np.float32(8),
    "gradient_accumulation_steps": np.uint8(2),
    "jit_compile": np.bool_(False),
    "moment_storage": np.str_("bfloat16"),
    "sparse_updates": np.str_("lazy"),
    "rate_cap": np.float32(0.1),
    "rate_cap_softness": np.float32(0.1),
    "rate_adaptation": np.float32(0.1),
    "rate_growth_limit": np.int64(10),
    "spike_guard": np.float32(5),
    "skip_nonfinite": np.bool_(True),
    "name": np.str_("mine"),
}
ENABLERS = {
    "rate_cap_softness": {"rate_cap": 0.1},
    "rate_growth_limit": {"rate_adaptation": 0.1},
}
PLAIN_TYPES = (bool, int, float, str, type(None))


class Unprintable:
    def __repr__(self):
        raise RuntimeError("no text for this")


BAD_VALUES = {
    "text": "0.5",
    "bytes": b"0.5",
    "empty text": "",
    "list": [0.5],
    "tuple": (0.5,),
    "dict": {"a": 1},
    "set": {1},
    "complex": 1 + 0j,
    "NumPy complex": np.complex64(0.5),
    "NaN": float("nan"),
    "infinity": float("inf"),
    "minus infinity": -np.inf,
    "negative": -1,
    "negative NumPy": np.float32(-0.5),
    "huge integer": 10**400,
    "integer too long to print": 10**5000,
    "minus huge integer": -(10**400),
    "beyond float32": 1e300,
    "below float32": 1e-300,
    "huge fraction": fractions.Fraction(10**400),
    "fraction": fractions.Fraction(-1, 3),
    "NaN decimal": decimal.Decimal("sNaN"),
    "huge decimal": decimal.Decimal("1e999"),
    "True": True,
    "False": False,
    "NumPy bool": np.bool_(True),
    "2.5": 2.5,
    "array": np.array([0.5, 0.5]),
    "array of one": np.array([0.5]),
    "array of text": np.array("0.5"),
    "array of objects": np.array(None),
    "time": np.timedelta64(3),
    "date": np.datetime64("2020-01-01"),
    "object": object(),
    "type": int,
    "function": len,
    "not implemented": NotImplemented,
    "unprintable": Unprintable(),
}


def tensors():
    return {
        "tensor": ops.convert_to_tensor(0.5),
        "vector": ops.convert_to_tensor([0.5]),
        "variable": keras.Variable(0.5),
        "symbolic": keras.KerasTensor(()),
    }


def assert_plain(config):
    assert all(isinstance(value, PLAIN_TYPES) for value in config.values()), config
    # What JSON has no word for (NaN, infinity) is no option either.
    json.dumps(config, allow_nan=False)


@pytest.mark.parametrize("name", OPTIONS)
def test_numbers_of_numpy_are_plain_ones_in_the_configuration(name):
    value = NUMPY_VALUES[name]
    options = ENABLERS.get(name, {}) | {name: value}
    optimizer = keras_adam.Adam(**options)
    assert getattr(optimizer, name) == value
    assert_plain(optimizer.get_config())
    later = keras_adam.Adam(**ENABLERS.get(name, {}))
    setattr(later, name, value)
    assert type(getattr(later, name)) is type(getattr(optimizer, name))
    assert later.get_config() | {"name": ""} == optimizer.get_config() | {"name": ""}


def test_a_float32_is_the_float_of_the_same_value():
    optimizer = keras_adam.Adam(weight_decay=np.float32(0.1))
    assert optimizer.weight_decay == float(np.float32(0.1)) != 0.1
    optimizer.weight_decay = fractions.Fraction(1, 3)
    assert optimizer.weight_decay == 1 / 3
    optimizer.weight_decay = decimal.Decimal("0.25")
    assert optimizer.weight_decay == 0.25


def outcome(call, *arguments):
    """What a call returns, and the text of its refusal: one of them is ``None``."""
    try:
        return call(*arguments), None
    except (TypeError, ValueError) as error:
        return None, str(error)


@pytest.mark.parametrize("name", [*OPTIONS, "learning_rate"])
def test_a_value_of_any_type_is_taken_or_refused_by_name(name):
    values, taken = BAD_VALUES | tensors(), set()
    for kind, value in values.items():
        _, refusal = outcome(keras_adam.Adam.from_config, {name: value})
        if refusal is None:
            taken.add(kind)
        else:
            assert name in refusal
            assert "received" in refusal or f"{name}={value}" in refusal
    optimizer = keras_adam.Adam()
    for kind, value in values.items():
        before = optimizer.get_config()
        _, refusal = outcome(setattr, optimizer, name, value)
        if refusal is None:
            # A tensor is a rate when it is set.
            assert kind in taken or (name == "learning_rate" and kind in tensors())
            if name != "learning_rate":
                assert_plain(optimizer.get_config())
            optimizer = keras_adam.Adam()
        else:
            assert name in refusal
            assert optimizer.get_config() == before
            assert kind not in taken
    assert not taken & {"NaN", "infinity", "negative", "huge integer", "complex"}
    if name not in ("learning_rate", "name"):
        assert not taken & set(tensors())


def test_what_two_options_exclude_is_refused_later_too():
    optimizer = keras_adam.Adam(clipnorm=1.0)
    with pytest.raises(ValueError, match=r"clipnorm=1.0 and clipvalue=0.5"):
        optimizer.clipvalue = 0.5
    assert optimizer.clipvalue is None
    optimizer.clipnorm = None
    optimizer.clipvalue = 0.5
    for options, name, value, told in (
        ({"beta_1": 0.0}, "rate_adaptation", 0.2, "beta_1=0"),
        ({"rate_adaptation": 0.2}, "beta_1", 0.0, "beta_1=0"),
        ({}, "rate_cap_softness", 0.2, "which is off"),
        ({}, "rate_growth_limit", 3, "which is off"),
        ({"rate_adaptation": 0.2}, "rate_growth_limit", 0.5, "forbid"),
        ({"amsgrad": True}, "moment_storage", "8bit", "amsgrad"),
        ({"moment_storage": "8bit"}, "amsgrad", True, "amsgrad"),
        ({"moment_storage": "8bit"}, "sparse_updates", "lazy", "128 entries"),
        (
            {"sparse_updates": "lazy"},
            "gradient_accumulation_steps",
            2,
            "accumulators hold",
        ),
        ({"sparse_updates": "catch_up"}, "beta_2", 0.5, "root of beta_2"),
    ):
        optimizer = keras_adam.Adam(**options)
        before = optimizer.get_config()
        with pytest.raises(ValueError, match=told):
            setattr(optimizer, name, value)
        assert optimizer.get_config() == before


def test_what_is_switched_off_takes_along_what_qualifies_it():
    optimizer = keras_adam.Adam.robust(0.5)
    optimizer.rate_cap = None
    optimizer.rate_adaptation = None
    optimizer.beta_1 = 0.8
    again = keras_adam.Adam.from_config(optimizer.get_config())
    assert again.get_config() == optimizer.get_config()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("amsgrad", True),
        ("use_ema", True),
        ("gradient_accumulation_steps", 2),
        ("moment_storage", "bfloat16"),
        ("sparse_updates", "lazy"),
        ("skip_nonfinite", True),
        ("jit_compile", False),
    ],
)
def test_what_decides_the_state_cannot_change_once_it_is_there(name, value):
    optimizer = keras_adam.Adam()
    setattr(optimizer, name, value)
    setattr(optimizer, name, getattr(keras_adam.Adam(), name))
    optimizer.build([keras.Variable(np.ones(2, "float32"))])
    before = optimizer.get_config()
    with pytest.raises(ValueError, match=rf"{name} cannot be changed .* is built"):
        setattr(optimizer, name, value)
    assert optimizer.get_config() == before
    setattr(optimizer, name, before[name])


def test_what_is_set_between_steps_is_used():
    def trained(**options):
        optimizer, weight = keras_adam.Adam(0.1), keras.Variable(np.ones(3, "float32"))
        optimizer.build([weight])
        for name, value in options.items():
            setattr(optimizer, name, value)
        for _ in range(3):
            optimizer.apply([ops.convert_to_tensor([1.0, -2.0, 3.0])], [weight])
        return ops.convert_to_numpy(weight.value)

    for options in ({"weight_decay": 0.5}, {"clipnorm": 0.1, "epsilon": 0.1}):
        as_numpy = {name: np.float64(value) for name, value in options.items()}
        np.testing.assert_array_equal(trained(**options), trained(**as_numpy))
        assert not np.array_equal(trained(**options), trained())


@pytest.mark.parametrize("wrap", [ops.convert_to_tensor, keras.Variable])
@pytest.mark.parametrize("bad", [-0.1, np.nan, np.inf])
def test_a_bad_rate_in_a_tensor_is_refused(wrap, bad):
    optimizer = keras_adam.Adam(0.5)
    with pytest.raises(ValueError, match="learning_rate must be finite"):
        optimizer.learning_rate = wrap(bad)
    with pytest.raises(ValueError, match="must be a scalar"):
        optimizer.learning_rate = wrap([0.1, 0.1])
    optimizer.learning_rate = wrap(0.25)
    assert float(optimizer.learning_rate.numpy()) == 0.25


@pytest.mark.tensorflow_only
def test_a_rate_may_be_set_within_a_graph():
    import tensorflow as tf

    optimizer = keras_adam.Adam(0.5)

    @tf.function
    def halve():
        optimizer.learning_rate = optimizer.learning_rate * 0.5

    halve()
    halve()
    assert float(optimizer.learning_rate.numpy()) == 0.125


def test_a_rate_beyond_what_its_variable_holds_is_refused():
    for make in (
        keras_adam.Adam,
        lambda rate: setattr(keras_adam.Adam(), "learning_rate", rate),
    ):
        with pytest.raises(ValueError, match=r"at most 3\.4e"):
            make(1e39)
    optimizer = keras_adam.Adam.robust(1e38)
    before = optimizer.get_config()
    with pytest.raises(ValueError, match="learning_rate must be finite"):
        optimizer.scale_rate(100)
    assert optimizer.get_config() == before


def serialized(schedule, /, **changes):
    config = schedules.serialize(schedule)
    config["config"] = config["config"] | changes
    return config


BAD_RATE_CONFIGS = {
    "empty": {},
    "no class": {"config": {}},
    "unknown class": {"class_name": "Nothing", "config": {}, "module": "keras"},
    "unknown module": {"class_name": "Adam", "config": {}, "module": "no.such.module"},
    "class of another kind": {
        "class_name": "Dense",
        "config": {"units": 3},
        "module": "keras.layers",
        "registered_name": None,
    },
    "numbers for names": {"class_name": 5, "config": 3},
    "configuration is no dict": {
        "class_name": "CosineDecay",
        "config": 7,
        "module": "keras.optimizers.schedules",
    },
    "text for a rate": serialized(
        schedules.ExponentialDecay(0.1, 10, 0.9), initial_learning_rate="0.1"
    ),
    "list for a rate": serialized(
        schedules.CosineDecay(0.1, 10), initial_learning_rate=[0.1]
    ),
    "NaN": serialized(
        schedules.ExponentialDecay(0.1, 10, 0.9), initial_learning_rate=float("nan")
    ),
    "negative": serialized(
        schedules.InverseTimeDecay(0.1, 10, 0.9), initial_learning_rate=-0.1
    ),
    "None": serialized(schedules.PolynomialDecay(0.1, 10), initial_learning_rate=None),
    "no steps": serialized(schedules.ExponentialDecay(0.1, 10, 0.9), decay_steps=0),
    "unknown argument": serialized(schedules.CosineDecay(0.1, 10), nothing=3),
    "scaled by text": serialized(
        keras_adam.batch_size.ScaledSchedule(schedules.CosineDecay(0.1, 10), 2.0),
        factor="2",
    ),
    "scaled number": serialized(
        keras_adam.batch_size.ScaledSchedule(schedules.CosineDecay(0.1, 10), 2.0),
        schedule=0.5,
    ),
}


@pytest.mark.parametrize("rate", BAD_RATE_CONFIGS.values(), ids=BAD_RATE_CONFIGS)
def test_a_configuration_that_gives_no_rate_is_refused_by_name(rate):
    with pytest.raises((TypeError, ValueError), match="learning_rate"):
        keras_adam.Adam.from_config({"learning_rate": rate})


BAD_EXCLUSIONS = {
    "text": "bias",
    "number": 3,
    "list": ["bias"],
    "True": True,
    "unknown key": {"name": ["bias"]},
    "names are one text": {"names": "bias"},
    "names are numbers": {"names": [1]},
    "names are no list": {"names": 5},
    "names hold None": {"names": [None]},
    "no regular expression": {"names": ["("]},
    "flags in the middle": {"names": ["a", "(?i)b"]},
    "a group twice": {"names": ["(?P<x>a)", "(?P<x>b)"]},
    "too large a repetition": {"names": ["a{99999999999999999999}"]},
    "paths are one text": {"paths": "a/b"},
    "paths are numbers": {"paths": [3]},
    "positions are text": {"paths": ["a"], "positions": "01"},
    "positions are fractions": {"paths": ["a"], "positions": [0.5]},
    "positions are bools": {"paths": ["a"], "positions": [True]},
    "positions are negative": {"paths": ["a"], "positions": [-1]},
    "positions are a number": {"paths": ["a"], "positions": 3},
    "unprintable name": {"names": [Unprintable()]},
    "unprintable path": {"paths": Unprintable()},
    "unprintable key": {Unprintable(): 3},
    "too long to print": {"paths": ["a"], "positions": [-(10**5000)]},
}


@pytest.mark.parametrize("exclusions", BAD_EXCLUSIONS.values(), ids=BAD_EXCLUSIONS)
def test_exclusions_of_another_form_are_refused_by_name(exclusions):
    with pytest.raises((TypeError, ValueError), match="exclude_from_weight_decay"):
        keras_adam.Adam.from_config({"exclude_from_weight_decay": exclusions})


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"var_names": "bias"}, TypeError),
        ({"var_names": [3]}, TypeError),
        ({"var_names": ["["]}, ValueError),
        ({"var_list": 3}, TypeError),
        ({"var_list": ["bias"]}, TypeError),
        ({"var_list": [np.ones(3)]}, TypeError),
    ],
    ids=str,
)
def test_what_cannot_be_excluded_is_refused_and_nothing_is_changed(arguments, error):
    optimizer = keras_adam.Adam(weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    before = optimizer.get_config()
    with pytest.raises(error, match=next(iter(arguments))):
        optimizer.exclude_from_weight_decay(**arguments)
    assert optimizer.get_config() == before


def test_weights_and_names_may_come_from_a_generator():
    weights = [keras.Variable(np.ones(2), name=name) for name in ("one", "two")]
    optimizer = keras_adam.Adam(0.0, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_list=(weight for weight in weights[:1]))
    optimizer.build(weights)
    assert [optimizer._use_weight_decay(weight) for weight in weights] == [False, True]


def test_unknown_options_are_refused_as_keras_refuses_them():
    for adam in (keras_adam.Adam, keras.optimizers.Adam):
        with pytest.raises(ValueError, match=r"not recognized: \{'nothing': 3\}"):
            adam.from_config({"nothing": 3})
    with pytest.raises(TypeError, match="from_config needs a mapping"):
        keras_adam.Adam.from_config(5)


anything = strategies.one_of(
    strategies.none(),
    strategies.booleans(),
    strategies.integers(),
    strategies.floats(),
    strategies.text(max_size=5),
    strategies.binary(max_size=3),
    strategies.fractions(),
    strategies.decimals(),
    strategies.complex_numbers(),
    strategies.floats(width=32).map(np.float32),
    strategies.lists(strategies.integers(), max_size=2),
    strategies.dictionaries(
        strategies.text(max_size=5), strategies.integers(), max_size=2
    ),
    strategies.sampled_from(list(BAD_VALUES)).map(BAD_VALUES.get),
)
likely = strategies.floats(0, 1, exclude_max=True)


@hypothesis.settings(max_examples=150)
@hypothesis.given(
    strategies.dictionaries(
        strategies.sampled_from(
            [*OPTIONS, "learning_rate", "exclude_from_weight_decay"]
        ),
        anything | likely,
        min_size=1,
        max_size=4,
    )
)
def test_any_configuration_is_trained_with_or_refused_by_name(config):
    optimizer, refusal = outcome(keras_adam.Adam.from_config, config)
    if optimizer is None:
        assert any(name in refusal for name in config), refusal
        return
    assert_plain(optimizer.get_config() | {"exclude_from_weight_decay": None})
    again = keras_adam.Adam.from_config(optimizer.get_config())
    assert again.get_config() == optimizer.get_config()
    again.jit_compile = False
    weight = keras.Variable(np.ones(3, "float32"))
    again.apply([ops.convert_to_tensor([1.0, 0.0, -1.0])], [weight])
    assert np.all(np.isfinite(ops.convert_to_numpy(weight.value)))


def test_a_rate_that_needs_arguments_is_refused():
    class Wrong:
        def __call__(self, step):
            return 0.1

    for rate in (Wrong(), len, keras.layers.Dense(1), schedules.CosineDecay):
        with pytest.raises(TypeError, match="callable without arguments; received"):
            keras_adam.Adam(rate)
        with pytest.raises(TypeError, match="callable without arguments; received"):
            keras_adam.Adam().learning_rate = rate


def test_a_schedule_of_the_users_own_is_not_called_before_training():
    class Late(schedules.LearningRateSchedule):
        def __call__(self, step):
            raise AssertionError("called")

    keras_adam.Adam(Late())

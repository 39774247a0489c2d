"""Laws of the split into a rounded weight and a remainder."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from keras_adam.backend import precision
from keras_adam.rule import compensation

# Mantissa bits of value and remainder together, less one for the rounding.
RELATIVE_ERROR = {"bfloat16": 2.0**-16, "float16": 2.0**-21}


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@given(value=st.floats(2.0**-4, 2.0**10, width=32), negative=st.booleans())
def test_joined_parts_are_the_parameter(dtype, value, negative):
    parameter = np.float32(-value if negative else value)
    rounded, remainder = compensation.split(ops.convert_to_tensor(parameter), dtype)
    assert keras.backend.standardize_dtype(rounded.dtype) == dtype
    assert keras.backend.standardize_dtype(remainder.dtype) == dtype
    joined = float(compensation.join(rounded, remainder, "float32"))
    # float16 has no remainder below 6e-8, its smallest number.
    assert joined == pytest.approx(
        float(parameter), rel=RELATIVE_ERROR[dtype], abs=6e-8
    )


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 1e30])
def test_what_is_not_finite_leaves_no_remainder(value):
    rounded, remainder = compensation.split(
        ops.convert_to_tensor(np.float32(value)), "float16"
    )
    assert not np.isfinite(float(rounded))
    assert float(remainder) == 0


@pytest.mark.parametrize(
    ("dtype", "computed_in", "is_coarse", "item_bytes"),
    [
        ("bfloat16", "float32", True, 2),
        ("float16", "float32", True, 2),
        ("float32", "float32", False, 4),
    ],
)
def test_dtypes(dtype, computed_in, is_coarse, item_bytes):
    variable = keras.Variable(np.zeros((3, 5), "float32"), dtype=dtype)
    assert precision.compute_dtype(variable) == computed_in
    assert precision.loses_small_steps(variable) is is_coarse
    assert precision.byte_count(variable) == 15 * item_bytes


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_remainder_of_another_weight_does_not_count(dtype):
    _, remainder = compensation.split(ops.convert_to_tensor(np.float32(1001.3)), dtype)
    assert float(remainder) != 0
    zero = ops.zeros((1,), dtype=dtype)
    joined = compensation.join(zero, ops.reshape(remainder, (1,)), "float32")
    assert float(ops.convert_to_numpy(joined)[0]) == 0

"""One pass over memory: asked for by the environment, the same steps, one fusion."""

import os
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
import reference
import tolerances
from places import SUPPORT
from training import make_gradients, make_weights, modes, train

import keras_adam
from keras_adam.backend.xla_fusion import fuses_several_outputs
from keras_adam.rule import adam as update_rule
from keras_adam.rule.adam import Moments

SETTING = "--xla_backend_extra_options=xla_cpu_use_multi_output_fusion=true"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("", False),
        ("--xla_force_host_platform_device_count=2", False),
        (SETTING, True),
        (f"--xla_force_host_platform_device_count=2 {SETTING}", True),
        (SETTING.removesuffix("=true"), True),
        (SETTING.replace("true", "false"), False),
        (SETTING.replace("xla_cpu_use", "other=1,xla_cpu_use"), True),
        (SETTING + ",other=1", True),
    ],
)
def test_the_environment_is_read(monkeypatch, flags, expected):
    monkeypatch.setenv("XLA_FLAGS", flags)
    assert fuses_several_outputs() is expected


@pytest.mark.parametrize("largest", [None, 1e-6])
def test_restated_moments_differ_by_rounding_alone(largest):
    rng = np.random.default_rng(0)
    size = 10.0 ** rng.uniform(-8, 4, 1000)
    g, m = (rng.normal(size=1000) * size for _ in range(2))
    v = np.square(rng.normal(size=1000) * size)
    moments = Moments(*(keras.ops.cast(x, "float32") for x in (m, v)))
    if largest is not None:
        moments = moments._replace(largest_second=moments.second + largest)
    g = keras.ops.cast(g, "float32")
    plain = update_rule.update_moments(g, moments, 0.9, 0.999)
    restated = update_rule.restated_moments(g, moments, 0.9, 0.999)
    scale = np.abs(m) + size  # where m and g cancel, what is left is rounding
    np.testing.assert_array_less(np.abs(plain.first - restated.first), 1e-6 * scale)
    for one, other in zip(plain[1:], restated[1:], strict=True):
        if one is not None:
            np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.parametrize("mode", modes())
@pytest.mark.parametrize(
    "options",
    [{}, {"amsgrad": True}, {"weight_decay": 0.01}, {"global_clipnorm": 0.5}],
    ids=str,
)
def test_steps_in_one_pass_are_those_of_the_oracle(monkeypatch, mode, options):
    monkeypatch.setenv("XLA_FLAGS", SETTING)
    weights, gradients = make_weights(), make_gradients(50)
    expected = reference.train(weights, gradients, **options)
    trained = train(keras_adam.Adam(**options), weights, gradients, mode)
    for one, other in zip(trained, expected, strict=True):
        tolerance = tolerances.ORACLE_TRAJECTORY
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


PROGRAM = """
import keras, numpy as np, tensorflow as tf, keras_adam

weight = keras.Variable(np.ones((512, 512), "float32"))
optimizer = keras_adam.Adam(1e-3)
optimizer.build([weight])

@tf.function(jit_compile=True)
def step(gradient):
    optimizer.apply([gradient], [weight])

print(step.experimental_get_compiler_ir(tf.ones((512, 512)))(stage="optimized_hlo"))
"""


@pytest.mark.tensorflow_only
@pytest.mark.parametrize(("flags", "most_outputs"), [("", 1), (SETTING, 3)])
def test_what_is_fused(flags, most_outputs):
    """XLA takes the setting, and the rule is written so that it can use it."""
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        check=True,
        cwd=SUPPORT,
        env={**os.environ, "XLA_FLAGS": flags},
    )
    fusions = re.findall(r"= (.*?) fusion\(", result.stdout)
    weights = [shape.count("f32[512,512]") for shape in fusions]
    assert max(weights) == most_outputs
    assert sum(weights) == 3

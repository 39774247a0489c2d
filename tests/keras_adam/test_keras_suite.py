"""Keras's own optimizer tests, run with our Adam in the place of Keras's."""

import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import pytest
from places import PYTHONPATH

KERAS = Path(keras.__file__).parent / "src"

SUITES = {
    "tensorflow": (
        "optimizers/adam_test.py",
        "optimizers/adamw_test.py",
        "optimizers/optimizer_test.py",
        "optimizers/optimizer_sparse_test.py",
        "optimizers/loss_scale_optimizer_test.py",
        "optimizers/multi_optimizer_test.py",
        "optimizers/schedules/learning_rate_schedule_test.py",
        "backend/tensorflow/optimizer_distribute_test.py",
        "callbacks/learning_rate_scheduler_test.py",
        "callbacks/reduce_lr_on_plateau_test.py",
        "callbacks/swap_ema_weights_test.py",
        "callbacks/early_stopping_test.py",
        "callbacks/monitor_callback_test.py",
        "saving/saving_lib_test.py",
        "trainers/trainer_test.py",
        "models/cloning_test.py",
        "models/model_test.py",
        "models/functional_test.py",
        "callbacks/tensorboard_test.py",
    ),
    "jax": (
        "optimizers/adam_test.py",
        "optimizers/adamw_test.py",
        "optimizers/optimizer_test.py",
        "optimizers/optimizer_sparse_test.py",
        "optimizers/loss_scale_optimizer_test.py",
        "optimizers/multi_optimizer_test.py",
    ),
}


@pytest.mark.slow
def test_keras_suite_passes():
    suites = [KERAS / suite for suite in SUITES.get(keras.backend.backend(), ())]
    if not suites:
        pytest.skip(f"no suite is listed for {keras.backend.backend()}")
    gone = [str(suite) for suite in suites if not suite.is_file()]
    assert not gone, f"keras {keras.__version__} no longer ships {gone}"
    environment = {
        **os.environ,
        "PYTEST_ADDOPTS": "",
        "PYTHONPATH": PYTHONPATH,
        "PYTHONDONTWRITEBYTECODE": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-W", "ignore", "--tb=short"]
    command += ["-p", "keras_suite_plugin", "-p", "no:cacheprovider"]
    # Data loaders of packages that are not installed here, and a test whose data
    # file is not in the wheel.
    left_out = ("grain", "torch_dataloader", "missing_nested_containers")
    command += ["-k", " and ".join(f"not {name}" for name in left_out)]
    command += ["-c", os.devnull, "--rootdir", str(KERAS), *map(str, suites)]
    result = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout[-6000:]
    passed = re.search(r"(\d+) passed", result.stdout.splitlines()[-1])
    assert passed, result.stdout[-2000:]
    # All of Keras's optimizer tests, not a remainder that happened to be collected.
    assert int(passed.group(1)) > 100

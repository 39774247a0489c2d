"""What every test shares: two CPU devices for strategies, and fixed seeds."""

import collections
import os

# TensorFlow reads its log level once, when it is imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# JAX takes the number of CPU devices from here, before it is imported.
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=2")

import signal

import hypothesis
import keras
import pytest
from places import BENCHMARKS

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A test run that a shell has started in the background ignores Ctrl-C, and so would
    # every program that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# They are not part of the source distribution, which the tests are.
collect_ignore = [] if BENCHMARKS.is_dir() else ["benchmarks"]

# The first call of an operation compiles it: a deadline would judge the machine.
hypothesis.settings.register_profile("no-deadline", deadline=None)
hypothesis.settings.load_profile("no-deadline")

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    # Strategies need two devices; they must be declared before TensorFlow starts.
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * 2,
    )


def pytest_collection_modifyitems(items):
    """Begin with slow and long files; skip what is marked for TensorFlow alone."""
    # Such a file that comes last would keep one process busy and leave the others idle.
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    count = collections.Counter(item.path for item in items if item.path not in slow)
    items.sort(key=lambda item: (item.path not in slow, -count[item.path]))
    if keras.backend.backend() != "tensorflow":
        for item in items:
            if item.get_closest_marker("tensorflow_only"):
                item.add_marker(pytest.mark.skip("for the TensorFlow backend alone"))


@pytest.fixture(autouse=True)
def _seeded():
    keras.utils.set_random_seed(20)


@pytest.fixture(scope="session")
def two_replicas():
    """The one MirroredStrategy of this process, over both CPU devices.

    TensorFlow remembers the shapes of collective operations by a number that every
    strategy counts from 100: a second strategy in the same process is refused.
    """
    if keras.backend.backend() != "tensorflow":
        pytest.skip("needs the TensorFlow backend")
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])

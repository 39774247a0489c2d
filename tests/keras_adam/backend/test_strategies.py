"""Under tf.distribute: equal to one device on the same global batch."""

import json
import logging
import os
import socket
import subprocess
import sys

import keras
import numpy as np
import pytest
import replicated_training
import tensorflow as tf
import tolerances
from places import SUPPORT

import keras_adam

pytestmark = pytest.mark.tensorflow_only

OPTIONS = {
    "defaults": {},
    "global clipnorm": {"global_clipnorm": 0.1},
    "clipnorm": {"clipnorm": 0.05},
    "weight decay": {"weight_decay": 0.1},
    "amsgrad": {"amsgrad": True},
    "accumulation": {"gradient_accumulation_steps": 2},
    "average that overwrites": {
        "use_ema": True,
        "ema_momentum": 0.5,
        "ema_overwrite_frequency": 2,
    },
    "skipping non-finite steps": {"skip_nonfinite": True},
    "average, accumulation and skipping": {
        "use_ema": True,
        "gradient_accumulation_steps": 3,
        "skip_nonfinite": True,
    },
}


def train_on(strategy, options):
    return replicated_training.train(
        strategy, lambda: keras_adam.Adam(0.02, **options), keras
    )


def assert_same(weights, others):
    for one, other in zip(weights, others, strict=True):
        np.testing.assert_allclose(one, other, atol=tolerances.REPLICAS)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_two_replicas_train_as_one_device_does(two_replicas, options):
    assert_same(
        train_on(two_replicas, options),
        train_on(tf.distribute.get_strategy(), options),
    )


def test_a_non_finite_gradient_on_one_replica_skips_the_step_on_both(two_replicas):
    with two_replicas.scope():
        variable = keras.Variable([1.0, 2.0])
        optimizer = keras_adam.Adam(0.1, skip_nonfinite=True)
        optimizer.build([variable])

    @tf.function
    def step(spoil):
        def replica_step():
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            is_bad = tf.logical_and(spoil, tf.equal(replica, 1))
            bad = tf.where(is_bad, np.nan, 0.0)
            optimizer.apply([tf.constant([0.5, -0.5]) + bad], [variable])

        two_replicas.run(replica_step)

    step(tf.constant(True))
    np.testing.assert_array_equal(variable.numpy(), [1.0, 2.0])
    assert optimizer.skipped_steps == 1
    assert int(optimizer.iterations.numpy()) == 0
    step(tf.constant(False))
    np.testing.assert_allclose(variable.numpy(), [0.9, 2.1], atol=1e-5)
    copies = two_replicas.experimental_local_results(variable.value)
    np.testing.assert_array_equal(copies[0].numpy(), copies[1].numpy())


def test_that_xla_is_left_out_is_said_once(two_replicas, caplog):
    with caplog.at_level(logging.WARNING, logger="keras_adam"):
        train_on(two_replicas, {})
    told = [r for r in caplog.records if "without XLA" in r.getMessage()]
    assert len(told) == 1
    assert "tf.distribute" in told[0].getMessage()


def test_asking_for_xla_under_a_strategy_is_refused(two_replicas):
    with pytest.raises(ValueError, match="jit_compile=True, but"):
        train_on(two_replicas, {"jit_compile": True})


def test_applying_outside_of_the_replicas_is_explained(two_replicas):
    with two_replicas.scope():
        variable = keras.Variable([1.0])
        optimizer = keras_adam.Adam()
        optimizer.build([variable])
        with pytest.raises(RuntimeError, match=r"outside strategy\.run"):
            optimizer.apply([tf.constant([1.0])], [variable])


def test_applying_outside_of_the_scope_updates_every_replica(two_replicas):
    with two_replicas.scope():
        variable = keras.Variable([1.0, 2.0])
        optimizer = keras_adam.Adam(0.1)
        optimizer.build([variable])
    optimizer.apply([tf.constant([1.0, -1.0])], [variable])
    for copy in two_replicas.experimental_local_results(variable.value):
        np.testing.assert_allclose(copy.numpy(), [0.9, 2.1], rtol=1e-5)


def test_an_embedding_is_summed_over_replicas(two_replicas):
    weights = []
    for strategy in (two_replicas, tf.distribute.get_strategy()):
        with strategy.scope():
            keras.utils.set_random_seed(2)
            model = keras.Sequential(
                [
                    keras.layers.Embedding(7, 2),
                    keras.layers.Flatten(),
                    keras.layers.Dense(1),
                ]
            )
            model.compile(keras_adam.Adam(0.05), "mse")
        ids = np.array([[0, 1], [1, 1], [2, 3], [1, 6]] * 4)
        model.fit(ids, np.ones((16, 1)), batch_size=4, shuffle=False, verbose=0)
        weights.append(model.get_weights())
    assert_same(*weights)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.mark.slow
@pytest.mark.parametrize("name", ["defaults", "average, accumulation and skipping"])
def test_two_worker_processes_train_as_one_device_does(name, tmp_path):
    options = {"learning_rate": 0.02, **OPTIONS[name]}
    workers = [f"127.0.0.1:{port}" for port in free_ports(2)]
    processes = []
    for index in range(2):
        config = {
            "cluster": {"worker": workers},
            "task": {"type": "worker", "index": index},
        }
        environment = {
            **os.environ,
            "TF_CONFIG": json.dumps(config),
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        command = [sys.executable, str(SUPPORT / "worker.py")]
        command += [str(tmp_path / "weights.npz"), json.dumps(options)]
        processes.append(
            subprocess.Popen(
                command,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    outputs = []
    try:
        outputs = [process.communicate(timeout=180)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [p.returncode for p in processes] == [0, 0], outputs[0][-3000:]
    with np.load(tmp_path / "weights.npz") as saved:
        weights = [saved[key] for key in saved.files]
    assert_same(weights, train_on(tf.distribute.get_strategy(), OPTIONS[name]))

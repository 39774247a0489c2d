"""One process of a MultiWorkerMirroredStrategy; started by `test_strategies.py`.

Usage: ``python worker.py RESULT_FILE OPTIONS_AS_JSON`` with ``TF_CONFIG`` set.
"""

import json
import sys

import numpy as np
import tensorflow as tf

# The strategy must exist before any operation runs.
strategy = tf.distribute.MultiWorkerMirroredStrategy()

import keras  # noqa: E402
import replicated_training  # noqa: E402

import keras_adam  # noqa: E402


def main():
    path, options = sys.argv[1], json.loads(sys.argv[2])
    weights = replicated_training.train(
        strategy, lambda: keras_adam.Adam(**options), keras
    )
    if strategy.cluster_resolver.task_id == 0:
        np.savez(path, *weights)


if __name__ == "__main__":
    main()

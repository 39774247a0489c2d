"""A small training by `model.fit`, and what its data and models may be."""

import dataclasses

import keras
import tensorflow as tf
import tiny_workload

from tuning import FitWorkload
from tuning.grid import Run
from tuning.trainers.task import Task
from tuning.trainers.trainer import Trainer

X, Y, X_VAL, Y_VAL = tiny_workload.load_data()
ARRAYS = {"x": X, "y": Y, "validation_data": (X_VAL, Y_VAL)}


def build_model(optimizer="sgd", **compile_options):
    model = tiny_workload.build_model()
    compiled = {"loss": tiny_workload.loss, "metrics": ["accuracy"], **compile_options}
    model.compile(optimizer, **compiled)
    return model


def make_workload(**changes):
    plain = {"name": "tiny", "build_model": build_model, "data": ARRAYS, "epochs": 2}
    return FitWorkload(**{**plain, **changes})


def train(workload, optimizer="keras.Adam", batch_size=16, rate=0.03, seed=1, **task):
    run = Run(optimizer, batch_size, rate, seed)
    return Trainer(Task(workload, None, workload.epochs, **task)).run(run)


def dataset(x=X, y=Y):
    return tf.data.Dataset.from_tensor_slices((x, y))


class Steps(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.count = 0

    def on_train_batch_end(self, batch, logs=None):
        self.count += 1


def train_and_count(workload, **run):
    """The record of a run, and the steps that Keras took in it."""
    steps = Steps()
    counted = dataclasses.replace(workload, callbacks=lambda: [steps])
    return train(counted, **run), steps.count


class Pair(keras.Model):
    """Two nets, each with an optimizer of its own."""

    def __init__(self, second):
        super().__init__()
        self.nets = keras.layers.Dense(3), keras.layers.Dense(3)
        self.second = second

    def call(self, x):
        return self.nets[0](x) + self.nets[1](x)

    def train_step(self, data):
        x, y = data
        with tf.GradientTape(persistent=True) as tape:
            loss = tf.reduce_mean(tiny_workload.loss(y, self(x)))
        for net, optimizer in zip(
            self.nets, (self.optimizer, self.second), strict=True
        ):
            weights = net.trainable_variables
            optimizer.apply(tape.gradient(loss, weights), weights)
        return {"loss": loss}


class Batches(keras.utils.PyDataset):
    def __init__(self, batch_size):
        super().__init__()
        self._size = batch_size

    def __len__(self):
        return 50 // self._size

    def __getitem__(self, index):
        rows = slice(index * self._size, (index + 1) * self._size)
        return X[rows], Y[rows]

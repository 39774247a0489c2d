"""Watch in TensorBoard what the optimizer does to each layer, while a model trains.

The layers' update-to-weight ratios are printed as well: about 1e-3 is usual; a layer
far below it learns next to nothing, one far above it is about to diverge.

Run: python examples/watch_the_optimizer.py [DIRECTORY]
"""

import sys

import keras
from sklearn.datasets import load_digits
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

import keras_adam


def main():
    logs = sys.argv[1] if len(sys.argv) > 1 else "logs/digits"
    x, y = load_digits(return_X_y=True)
    model = keras.Sequential(
        [
            keras.layers.Input((64,)),
            keras.layers.Dense(256, activation="relu", name="first"),
            keras.layers.Dense(256, activation="relu", name="second"),
            keras.layers.Dense(10, name="head"),
        ]
    )
    model.compile(
        optimizer=keras_adam.Adam(learning_rate=1e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    telemetry = keras_adam.AdamTelemetry(logs, every=50)
    model.fit(
        x / 16,
        y,
        batch_size=32,
        epochs=5,
        verbose=2,
        callbacks=[telemetry, keras.callbacks.TensorBoard(logs, write_graph=False)],
    )
    run = str(telemetry.run_dir)  # `logs`, or a directory in it if that has a run
    events = EventAccumulator(run, size_guidance={"tensors": 0}).Reload()
    for layer in ("first", "second", "head"):
        points = events.Tensors(f"{layer}/kernel/update_ratio")
        ratios = [float(tensor_util.make_ndarray(p.tensor_proto)) for p in points]
        print(f"{layer}: {', '.join(f'{ratio:.1e}' for ratio in ratios)}")
    print(f"tensorboard --logdir {logs}")


if __name__ == "__main__":
    main()

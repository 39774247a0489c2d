"""Find out how much your own model depends on learning rate and batch size.

Run: python examples/sweep_your_own_model.py [DIRECTORY]
The same sweep from the command line, once this file can be imported:
keras-adam-sweep run sweep_your_own_model:workload --out DIRECTORY
"""

import sys
from pathlib import Path

import keras
import numpy as np

import tuning


def build_model():
    return keras.Sequential(
        [
            keras.layers.Input((8,)),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(1),
        ]
    )


def load_data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(640, 8)).astype("float32")
    y = np.sin(x.sum(axis=1, keepdims=True))
    return tuning.Data(x[:512], y[:512], x[512:], y[512:])


workload = tuning.Workload(
    name="sine-of-a-sum",
    build_model=build_model,
    load_data=load_data,
    loss="mse",
    description="A small regression on generated data.",
)


def main():
    directory = Path(sys.argv[1] if len(sys.argv) > 1 else "sweeps/my-model")
    records = tuning.run_sweep(
        workload,
        directory,
        optimizers=["keras_adam.Adam", "keras.Adam"],
        learning_rates=[1e-3, 1e-2, 1e-1, 1.0],
        batch_sizes=[32, 128],
        seeds=2,
        epochs=5,
    )
    best = min(
        (record for record in records if record.final_val_loss is not None),
        key=lambda record: record.final_val_loss,
    )
    print(f"{len(records)} runs; best: {best.run_id}, loss {best.final_val_loss:.4f}")
    print(f"report: {tuning.write_report(directory)}")


if __name__ == "__main__":
    main()

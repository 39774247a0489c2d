"""Predict the next character with a causal transformer, and show where it looks.

Run: python examples/applications/language_modelling.py [PICTURE]
With KERAS_ADAM_DATA=DIRECTORY it reads Shakespeare instead of Python's reference.
"""

import sys

import keras
import matplotlib
import matplotlib.pyplot as plt

import keras_adam
from tuning.workloads import language_model

matplotlib.use("agg")


def main():
    picture = sys.argv[1] if len(sys.argv) > 1 else "language_modelling.png"
    keras.utils.set_random_seed(0)
    task = language_model.workload()
    data = task.load_data()
    model = task.build_model()
    model.compile(
        optimizer=keras_adam.Adam(learning_rate=3e-3),
        loss=task.loss,
        metrics=task.metrics(),
        jit_compile=True,
    )
    model.fit(data.x_train, data.y_train, batch_size=32, epochs=2, verbose=2)
    found = model.evaluate(data.x_val, data.y_val, verbose=0, return_dict=True)
    trivial = language_model.trivial_metrics(data)
    print(
        f"bits per character: {found['bits_per_character']:.3f} "
        f"(a code by frequencies alone: {trivial['bits_per_character']:.3f})"
    )
    draw(model, data.x_val[:1, :40])
    plt.savefig(picture, dpi=120)
    print(f"picture: {picture}")


def draw(model, window):
    """How much each character (row) attends to the ones before it (columns)."""
    padded = keras.ops.pad(window, [[0, 0], [0, language_model.WINDOW - 40]])
    heads = language_model.attention_weights(model, padded)[0, :, :40, :40]
    letters = [("\0" + language_model.ALPHABET)[number] for number in window[0]]
    letters = [{"\n": "\u21b5", " ": "\u2423"}.get(c, c) for c in letters]
    _, axes = plt.subplots(1, len(heads), figsize=(15, 5.5), layout="constrained")
    for number, (ax, weights) in enumerate(zip(axes, heads, strict=True)):
        ax.imshow(weights, cmap="viridis")
        ax.set_xticks(range(40), letters, fontsize=7)
        ax.set_yticks(range(40), letters, fontsize=7)
        ax.set_title(f"first block, head {number + 1}")


if __name__ == "__main__":
    main()

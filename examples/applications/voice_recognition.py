"""Tell who is speaking, from recordings that were never heard before.

Run: python examples/applications/voice_recognition.py [PICTURE]
With KERAS_ADAM_DATA=DIRECTORY the voices are six people's instead of made ones.
"""

import sys

import keras
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import ConfusionMatrixDisplay

import keras_adam
from tuning.data_sources.public_data import data_directory
from tuning.workloads import speakers
from tuning.workloads.classification import trivial_metrics

matplotlib.use("agg")


def main():
    picture = sys.argv[1] if len(sys.argv) > 1 else "voice_recognition.png"
    keras.utils.set_random_seed(0)
    task = speakers.workload()
    data = task.load_data()
    model = task.build_model()
    model.compile(
        optimizer=keras_adam.Adam(learning_rate=3e-3),
        loss=task.loss,
        metrics=task.metrics(),
    )
    model.fit(data.x_train, data.y_train, batch_size=16, epochs=10, verbose=2)
    found = model.evaluate(data.x_val, data.y_val, verbose=0, return_dict=True)
    trivial = trivial_metrics(data)
    print(
        f"accuracy: {found['accuracy']:.3f} "
        f"(always the same speaker: {trivial['accuracy']:.3f})"
    )
    answers = np.argmax(model.predict(data.x_val, verbose=0), axis=1)
    names = speakers.load_recordings(data_directory()).names
    draw(data, answers, names)
    plt.savefig(picture, dpi=120)
    print(f"picture: {picture}")


def draw(data, answers, names):
    """One recording of each speaker, and who was taken for whom."""
    _, axes = plt.subplot_mosaic(
        "012M;345M",
        width_ratios=[1, 1, 1, 2.4],
        figsize=(13, 5),
        layout="constrained",
    )
    for number, name in enumerate(names):
        heard = data.x_val[data.y_val == number][0]
        axes[str(number)].imshow(heard.T, origin="lower", aspect="auto", cmap="magma")
        axes[str(number)].set(title=name, xlabel="frame of 20 ms", ylabel="mel band")
    ConfusionMatrixDisplay.from_predictions(
        data.y_val,
        answers,
        display_labels=names,
        ax=axes["M"],
        cmap="Blues",
        colorbar=False,
    )
    axes["M"].set(xlabel="recognised as", ylabel="speaker")


if __name__ == "__main__":
    main()

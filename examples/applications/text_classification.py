"""Tell which chapter of Python's language reference a passage is from.

Run: python examples/applications/text_classification.py [PICTURE]
With KERAS_ADAM_DATA=DIRECTORY it tells the topic of news items instead.
"""

import sys

import keras
import matplotlib
import numpy as np
from sklearn.metrics import ConfusionMatrixDisplay

import keras_adam
from tuning.data_sources import language_reference, news
from tuning.data_sources.public_data import data_directory
from tuning.workloads import topics
from tuning.workloads.classification import trivial_metrics

matplotlib.use("agg")


def main():
    picture = sys.argv[1] if len(sys.argv) > 1 else "text_classification.png"
    keras.utils.set_random_seed(0)
    task = topics.workload()
    data = task.load_data()
    model = task.build_model()
    model.compile(
        optimizer=keras_adam.Adam(learning_rate=3e-3),
        loss=task.loss,
        metrics=task.metrics(),
    )
    model.fit(data.x_train, data.y_train, batch_size=32, epochs=10, verbose=2)
    found = model.evaluate(data.x_val, data.y_val, verbose=0, return_dict=True)
    trivial = trivial_metrics(data)
    print(
        f"accuracy: {found['accuracy']:.3f} "
        f"(always the most frequent topic: {trivial['accuracy']:.3f})"
    )
    source = news if data_directory() else language_reference
    answers = np.argmax(model.predict(data.x_val, verbose=0), axis=1)
    display = ConfusionMatrixDisplay.from_predictions(
        data.y_val,
        answers,
        labels=range(len(source.CLASSES)),
        display_labels=source.CLASSES,
        xticks_rotation=30,
        cmap="Blues",
        colorbar=False,
    )
    display.ax_.set(xlabel="topic by the network", ylabel="topic")
    display.figure_.savefig(picture, dpi=120, bbox_inches="tight")
    print(f"picture: {picture}")


if __name__ == "__main__":
    main()

"""Recognise handwritten digits with a perceptron.

Run: python examples/applications/image_classification.py [PICTURE]
"""

import sys

import keras
import matplotlib
import numpy as np
from sklearn.metrics import ConfusionMatrixDisplay

import keras_adam
from tuning.workloads import digits
from tuning.workloads.classification import trivial_metrics

matplotlib.use("agg")


def main():
    picture = sys.argv[1] if len(sys.argv) > 1 else "image_classification.png"
    keras.utils.set_random_seed(0)
    data = digits.load_data()
    model = digits.build_model()
    model.compile(
        optimizer=keras_adam.Adam(learning_rate=3e-3),
        loss=digits.cross_entropy,
        metrics=digits.metrics(),
    )
    model.fit(data.x_train, data.y_train, batch_size=32, epochs=15, verbose=2)
    found = model.evaluate(data.x_val, data.y_val, verbose=0, return_dict=True)
    trivial = trivial_metrics(data)
    print(
        f"accuracy: {found['accuracy']:.3f} "
        f"(always the most frequent digit: {trivial['accuracy']:.3f})"
    )
    answers = np.argmax(model.predict(data.x_val, verbose=0), axis=1)
    display = ConfusionMatrixDisplay.from_predictions(
        data.y_val, answers, cmap="Blues", colorbar=False
    )
    display.ax_.set(xlabel="recognised as", ylabel="written digit")
    display.ax_.set_title(f"{(answers != data.y_val).sum()} of {len(answers)} mistaken")
    display.figure_.savefig(picture, dpi=120, bbox_inches="tight")
    print(f"picture: {picture}")


if __name__ == "__main__":
    main()

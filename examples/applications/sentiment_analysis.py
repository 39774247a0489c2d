"""Tell praise from blame, where "not" turns a sentence over.

Run: python examples/applications/sentiment_analysis.py [PICTURE]
With KERAS_ADAM_DATA=DIRECTORY it reads sentences of film reviews instead.
"""

import sys

import keras
import matplotlib
import matplotlib.pyplot as plt

import keras_adam
from tuning.workloads import sentiment
from tuning.workloads.classification import trivial_metrics

matplotlib.use("agg")


def main():
    picture = sys.argv[1] if len(sys.argv) > 1 else "sentiment_analysis.png"
    keras.utils.set_random_seed(0)
    task = sentiment.workload()
    data = task.load_data()
    model = task.build_model()
    model.compile(
        optimizer=keras_adam.Adam(learning_rate=3e-3),
        loss=task.loss,
        metrics=task.metrics(),
        jit_compile=True,
    )
    course = model.fit(
        data.x_train,
        data.y_train,
        validation_data=(data.x_val, data.y_val),
        batch_size=32,
        epochs=10,
        verbose=2,
    ).history
    trivial = trivial_metrics(data)["accuracy"]
    print(
        f"accuracy: {course['val_accuracy'][-1]:.3f} "
        f"(always the same answer: {trivial:.3f})"
    )
    draw(course, trivial)
    plt.savefig(picture, dpi=120)
    print(f"picture: {picture}")


def draw(course, trivial):
    """Loss and accuracy after each epoch, on both parts of the data."""
    epochs = range(1, len(course["loss"]) + 1)
    _, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    for ax, name in zip(axes, ("loss", "accuracy"), strict=True):
        ax.plot(epochs, course[name], "o-", label="training")
        ax.plot(epochs, course[f"val_{name}"], "o-", label="validation")
        ax.set(xlabel="epoch", ylabel=name)
    axes[1].axhline(trivial, color="grey", linestyle=":", label="always the same")
    axes[1].set_ylim(0.4, 1.0)
    for ax in axes:
        ax.legend()


if __name__ == "__main__":
    main()

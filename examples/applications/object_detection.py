"""Find handwritten digits among clutter, and draw boxes around them.

Run: python examples/applications/object_detection.py [PICTURE]
With KERAS_ADAM_DATA=DIRECTORY it finds raccoons in photographs instead.
"""

import sys

import keras
import matplotlib
import matplotlib.pyplot as plt
import numpy as np

import keras_adam
from tuning.workloads import detection
from tuning.workloads.box_metrics import detect

matplotlib.use("agg")


def main():
    picture = sys.argv[1] if len(sys.argv) > 1 else "object_detection.png"
    keras.utils.set_random_seed(0)
    task = detection.workload()
    data = task.load_data()
    model = task.build_model()
    model.compile(
        optimizer=keras_adam.Adam(learning_rate=3e-3),
        loss=task.loss,
        metrics=task.metrics(),
    )
    model.fit(data.x_train, data.y_train, batch_size=16, epochs=10, verbose=2)
    found = model.evaluate(data.x_val, data.y_val, verbose=0, return_dict=True)
    trivial = detection.trivial_metrics(data)
    for label, name in (("mean IoU", "mean_iou"), ("AP", "average_precision")):
        print(f"{label}: {found[name]:.3f} (always the mean box: {trivial[name]:.3f})")
    draw(data.x_val[:12], data.y_val[:12], model.predict(data.x_val[:12], verbose=0))
    plt.savefig(picture, dpi=120)
    print(f"picture: {picture}")


def draw(images, truth, answers):
    """Pictures with the objects (white, dashed) and what was detected (orange)."""
    scores, boxes = (np.asarray(part) for part in detect(answers))
    figure, axes = plt.subplots(3, 4, figsize=(10, 8), layout="constrained")
    figure.suptitle("dashed: objects; orange: detections with their scores")
    for i, ax in enumerate(axes.flat):
        low, high = images[i].min(), images[i].max()
        ax.imshow((images[i] - low) / (high - low), cmap="gray")
        ax.axis("off")
        for box in truth[i][truth[i, :, 0] >= 0]:
            outline(ax, box, images.shape[1], color="white", linestyle="--")
        for score, box in zip(scores[i], boxes[i], strict=True):
            if score > 0.3:
                outline(ax, box, images.shape[1], color="orange", linewidth=2)
                place = box[:2] * images.shape[1] - 1
                ax.text(*place, f"{score:.2f}", color="orange", fontsize=8)


def outline(ax, box, size, **style):
    left, top, right, bottom = box * size - 0.5
    width, height = right - left, bottom - top
    ax.add_patch(plt.Rectangle((left, top), width, height, fill=False, **style))


if __name__ == "__main__":
    main()

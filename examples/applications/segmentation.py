"""Mark the strokes of handwritten digits among clutter with a U-Net.

Run: python examples/applications/segmentation.py [PICTURE]
With KERAS_ADAM_DATA=DIRECTORY it marks cells in electron-microscope slices instead.
"""

import sys

import keras
import matplotlib
import matplotlib.pyplot as plt

import keras_adam
from tuning.workloads import segmentation

matplotlib.use("agg")


def main():
    picture = sys.argv[1] if len(sys.argv) > 1 else "segmentation.png"
    keras.utils.set_random_seed(0)
    task = segmentation.workload()
    data = task.load_data()
    model = task.build_model()
    model.compile(
        optimizer=keras_adam.Adam(learning_rate=3e-3),
        loss=task.loss,
        metrics=task.metrics(),
    )
    model.fit(data.x_train, data.y_train, batch_size=16, epochs=5, verbose=2)
    found = model.evaluate(data.x_val, data.y_val, verbose=0, return_dict=True)
    trivial = segmentation.trivial_metrics(data)
    print(f"IoU: {found['iou']:.3f} (the best threshold: {trivial['iou']:.3f})")
    answers = keras.ops.sigmoid(model.predict(data.x_val[:6], verbose=0))
    draw(data.x_val[:6], data.y_val[:6], keras.ops.convert_to_numpy(answers))
    plt.savefig(picture, dpi=120)
    print(f"picture: {picture}")


def draw(images, masks, answers):
    """Three rows: pictures, what belongs to them, what the network marks."""
    figure, axes = plt.subplots(3, 6, figsize=(10, 5.4), layout="constrained")
    figure.suptitle("picture; what is looked for; its probability by the network")
    for row, pictures in zip(axes, (images, masks, answers), strict=True):
        limits = {} if pictures is images else {"vmin": 0, "vmax": 1}
        for ax, one in zip(row, pictures, strict=True):
            ax.imshow(one[..., 0], cmap="gray", **limits)
            ax.axis("off")


if __name__ == "__main__":
    main()

"""Write down spoken strings of digits, by connectionist temporal classification.

Run: python examples/applications/speech_to_text.py [PICTURE]
With KERAS_ADAM_DATA=DIRECTORY it listens to six people instead of made voices.
"""

import sys

import keras
import matplotlib
import matplotlib.pyplot as plt
import numpy as np

import keras_adam
from tuning.workloads import speech_to_text
from tuning.workloads.character_error_rate import most_likely_path

matplotlib.use("agg")


def main():
    picture = sys.argv[1] if len(sys.argv) > 1 else "speech_to_text.png"
    keras.utils.set_random_seed(0)
    task = speech_to_text.workload()
    data = task.load_data()
    model = task.build_model()
    model.compile(
        optimizer=keras_adam.Adam(learning_rate=3e-3),
        loss=task.loss,
        metrics=task.metrics(),
        jit_compile=True,
    )
    model.fit(data.x_train, data.y_train, batch_size=16, epochs=12, verbose=2)
    found = model.evaluate(data.x_val, data.y_val, verbose=0, return_dict=True)
    trivial = speech_to_text.trivial_metrics(data)["character_error_rate"]
    print(
        f"character error rate: {found['character_error_rate']:.3f} "
        f"(the best answer that is always the same: {trivial:.3f})"
    )
    logits = model.predict(data.x_val[:4], verbose=0)
    draw(data.x_val[:4], data.y_val[:4], logits)
    plt.savefig(picture, dpi=120)
    print(f"picture: {picture}")


def draw(spectrograms, said, logits):
    """What is heard above, when which digit is understood below."""
    probability = keras.ops.convert_to_numpy(keras.ops.softmax(logits))
    paths = np.asarray(most_likely_path(logits))
    _, axes = plt.subplots(2, 4, figsize=(14, 5), layout="constrained")
    for i, (upper, lower) in enumerate(axes.T):
        upper.imshow(spectrograms[i].T, origin="lower", aspect="auto", cmap="magma")
        upper.set(ylabel="mel band", xticks=[])
        upper.set_title(f"said {text(said[i])}, understood {text(paths[i])}")
        lower.imshow(probability[i].T[1:], origin="lower", aspect="auto", vmax=1)
        lower.set(xlabel="frame of 40 ms", ylabel="digit", yticks=range(10))


def text(symbols):
    return " ".join(str(symbol - 1) for symbol in symbols if symbol)


if __name__ == "__main__":
    main()

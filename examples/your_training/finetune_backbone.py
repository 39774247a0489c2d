"""A KerasHub backbone with frozen weights and low-rank updates (LoRA).

Needs keras-hub: pip install 'keras-adam[hub]'.
Run: python examples/your_training/finetune_backbone.py [DIRECTORY]
"""

import sys

import keras
import numpy as np

import tuning

VOCABULARY, LENGTH = 200, 16


def data():
    random = np.random.default_rng(0)
    tokens = random.integers(1, VOCABULARY, (400, LENGTH))
    labels = (tokens < VOCABULARY // 2).mean(axis=1) > 0.5
    inputs = {
        "token_ids": tokens,
        "segment_ids": np.zeros_like(tokens),
        "padding_mask": np.ones_like(tokens),
    }
    return {
        "x": {name: values[:320] for name, values in inputs.items()},
        "y": labels[:320].astype("float32"),
        "validation_data": (
            {name: values[320:] for name, values in inputs.items()},
            labels[320:].astype("float32"),
        ),
    }


def build_model():
    import keras_hub

    # Use BertBackbone.from_preset(...) for one that has been trained.
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=VOCABULARY,
        num_layers=2,
        num_heads=2,
        hidden_dim=32,
        intermediate_dim=64,
        max_sequence_length=LENGTH,
    )
    backbone.enable_lora(4)
    pooled = backbone.output["pooled_output"]
    outputs = keras.layers.Dense(1, activation="sigmoid")(pooled)
    model = keras.Model(backbone.input, outputs)
    model.compile("adam", loss="binary_crossentropy", metrics=["accuracy"])
    return model


training = tuning.FitWorkload(
    name="lora",
    build_model=build_model,
    data=data,
    epochs=3,
    learning_rates=(1e-3, 1e-2, 1e-1),
    batch_sizes=(16, 64),
    description="A small BERT of which only low-rank updates are trained.",
)

if __name__ == "__main__":
    directory = sys.argv[1] if len(sys.argv) > 1 else "sweeps/lora"
    tuning.run_sweep(
        training, directory, optimizers=["keras.Adam", "keras_adam.Adam.robust"]
    )
    print(f"report: {tuning.write_report(directory)}")

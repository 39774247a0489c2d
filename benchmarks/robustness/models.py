"""The models of the robustness tasks: small and typical, one function per family.

Every call builds a new model. Models return logits, autoencoders pictures.
"""

from __future__ import annotations

from typing import Any


def mlp(
    shape: tuple[int, ...],
    classes: int,
    *,
    characters: int | None = None,
    activation: str = "relu",
    dropout: float = 0.0,
) -> Any:
    """Two dense layers, on features or on embedded characters."""
    import keras

    layers = keras.layers
    stack: list[Any] = [layers.Input(shape, dtype="int32" if characters else None)]
    if characters:
        stack.append(layers.Embedding(characters, 8))
    stack.append(layers.Flatten())
    for _ in range(2):
        stack.append(layers.Dense(96, activation=activation))
        if dropout:
            stack.append(layers.Dropout(dropout))
    return keras.Sequential([*stack, layers.Dense(classes)])


def convnet(shape: tuple[int, ...], classes: int, *, normalize: bool) -> Any:
    """Three convolutions that halve the picture, and a dense layer."""
    import keras

    layers = keras.layers
    stack: list[Any] = [layers.Input(shape)]
    for width in (8, 16, 32):
        stack.append(layers.Conv2D(width, 3, 2, padding="same", use_bias=not normalize))
        if normalize:
            # Keras's 0.99 is for longer runs. In runs as short as these, the averages
            # that validation uses would still be near their start.
            stack.append(layers.BatchNormalization(momentum=0.9))
        stack.append(layers.ReLU())
    return keras.Sequential([*stack, layers.Flatten(), layers.Dense(classes)])


def residual_convnet(shape: tuple[int, ...], classes: int) -> Any:
    """A residual block with normalised convolutions, and average pooling."""
    import keras

    layers = keras.layers
    image = keras.Input(shape)
    x = layers.Conv2D(12, 5, 4, padding="same")(image)
    branch = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    branch = layers.Conv2D(12, 3, padding="same")(branch)
    branch = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(branch))
    x = x + layers.Conv2D(12, 3, padding="same")(branch)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    x = layers.Flatten()(layers.AveragePooling2D(2)(x))
    return keras.Model(image, layers.Dense(classes)(x))


def _block(x: Any, width: int, heads: int, *, causal: bool) -> Any:
    """Attention and dense layers, each normalised before and with a residual path."""
    import keras

    layers = keras.layers
    normal = layers.LayerNormalization()(x)
    attention = layers.MultiHeadAttention(heads, width // heads)
    x = x + attention(normal, normal, use_causal_mask=causal)
    hidden = layers.Dense(2 * width, activation="gelu")(layers.LayerNormalization()(x))
    return x + layers.Dense(width)(hidden)


def transformer(length: int, words: int, classes: int, *, causal: bool) -> Any:
    """One block of attention that predicts every next word, or a text's class."""
    import keras

    layers, ops = keras.layers, keras.ops
    width = 32
    inputs = keras.Input((length,), dtype="int32")
    x = layers.Embedding(words, width)(inputs)
    x = x + layers.Embedding(length, width)(ops.arange(length))
    x = _block(x, width, 2, causal=causal)
    x = layers.LayerNormalization()(x)
    if not causal:
        x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(classes)(x))


def recurrent(length: int, characters: int, cell: str) -> Any:
    """A ``"GRU"`` or ``"LSTM"`` that predicts every next character."""
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((length,), dtype="int32"),
            layers.Embedding(characters, 16),
            getattr(layers, cell)(48, return_sequences=True),
            layers.Dense(characters),
        ]
    )


def dense_autoencoder(pixels: int) -> Any:
    """An autoencoder with a code of eight numbers."""
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((pixels,)),
            layers.Dense(48, activation="relu"),
            layers.Dense(8),
            layers.Dense(48, activation="relu"),
            layers.Dense(pixels, activation="sigmoid"),
        ]
    )


def convolutional_autoencoder(size: int) -> Any:
    """An autoencoder with a code of a quarter of the picture's width and height."""
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((size, size, 1)),
            layers.Conv2D(8, 3, 2, padding="same", activation="relu"),
            layers.Conv2D(4, 3, 2, padding="same"),
            layers.Conv2DTranspose(8, 3, 2, padding="same", activation="relu"),
            layers.Conv2DTranspose(1, 3, 2, padding="same"),
        ]
    )


def bag_of_words(length: int, words: int, classes: int) -> Any:
    """The mean of word vectors, and two dense layers."""
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((length,), dtype="int32"),
            layers.Embedding(words, 16, mask_zero=True),
            layers.GlobalAveragePooling1D(),
            layers.Dense(32, activation="relu"),
            layers.Dense(classes),
        ]
    )


def word_convnet(length: int, words: int, classes: int) -> Any:
    """The maxima of filters over three words each, and a dense layer."""
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((length,), dtype="int32"),
            layers.Embedding(words, 16),
            layers.Conv1D(24, 3, activation="relu"),
            layers.GlobalMaxPooling1D(),
            layers.Dropout(0.3),
            layers.Dense(classes),
        ]
    )


def small_u_net(size: int) -> Any:
    """One logit per pixel, from a coarse and a fine view."""
    import keras

    layers = keras.layers

    def convolve(x: Any, width: int) -> Any:
        return layers.Conv2D(width, 3, padding="same", activation="relu")(x)

    image = keras.Input((size, size, 1))
    fine = convolve(image, 4)
    coarse = convolve(layers.MaxPooling2D()(fine), 8)
    coarse = convolve(coarse, 8)
    fine = convolve(layers.Concatenate()([layers.UpSampling2D()(coarse), fine]), 4)
    return keras.Model(image, layers.Conv2D(1, 1)(fine))


def voice_vectors(frames: int, bands: int, classes: int) -> Any:
    """Dense layers on four frames at a time, and the mean of their outputs."""
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((frames, bands)),
            layers.Reshape((-1, 4 * bands)),
            layers.Dense(48, activation="relu"),
            layers.Dense(48, activation="relu"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(classes),
        ]
    )


def speech_recurrent(frames: int, bands: int, classes: int) -> Any:
    """A dense layer on two frames at a time, and a GRU."""
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((frames, bands)),
            layers.Reshape((-1, 2 * bands)),
            layers.Dense(24, activation="relu"),
            layers.GRU(32),
            layers.Dense(classes),
        ]
    )

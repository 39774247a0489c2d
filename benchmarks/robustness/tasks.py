"""The tasks on which robustness is judged: small, of every family, in two fixed halves.

Constants of an optimizer are chosen on the tasks of the half ``"choosing"`` alone, and
judged on those of ``"judging"``. The split was written down before anything was run.
Data, architecture or both differ between the halves in every family.

Before any variant was tried, three tasks of the judging half were replaced by others of
their families. On two of them Keras's Adam learned nothing in 300 steps (a residual
convnet on turned squares of photographs, 200 film reviews). The third was a plain
convnet on the same squares. The losses of convnet-norm-speakers and
fine-tuning-speakers ended near zero, so a tenth of their labels was made random. Slow
models of both halves were made smaller.

Two tasks were added later, after `Adam.robust` had failed on a loss with a long
plateau: plateau-parity for choosing and, for judging, plateau-opinions, on which it had
failed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from benchmarks.robustness import data, models
from tuning import Data
from tuning.workloads import sentiment
from tuning.workloads.language_model import CHARACTERS

BATCH_SIZE = 32
"""Examples per step, unless batch sizes are compared; lengths count such steps."""

EPOCHS = 12
"""Equal parts of a run. After each the run is evaluated, and a schedule's learning rate
changes."""


class Task(NamedTuple):
    """A model, its data and its loss.

    Attributes:
        family: kind of task.
        build: a new model.
        load: its data.
        loss: of targets and outputs.
        pretrain: returns data for pretraining the weights; ``None``: no pretraining.
    """

    family: str
    build: Callable[[], Any]
    load: Callable[[], Data]
    loss: Callable[[Any, Any], Any]
    pretrain: Callable[[], Data] | None = None


def classes_loss(y_true: Any, y_pred: Any) -> Any:
    """Cross-entropy of logits."""
    import keras

    return keras.losses.sparse_categorical_crossentropy(
        y_true, y_pred, from_logits=True
    )


def pixels_loss(y_true: Any, y_pred: Any) -> Any:
    """Binary cross-entropy of one logit per pixel."""
    import keras

    return keras.losses.binary_crossentropy(y_true, y_pred, from_logits=True)


def drawing_loss(y_true: Any, y_pred: Any) -> Any:
    """Squared error."""
    import keras

    return keras.losses.mean_squared_error(y_true, y_pred)


def _of(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    return functools.partial(function, *arguments, **options)


_CHARACTER_MLP = _of(models.mlp, (8,), CHARACTERS, characters=CHARACTERS)
_TRANSFORMER = _of(models.transformer, 24, CHARACTERS, CHARACTERS, causal=True)
_SPEECH = _of(models.speech_recurrent, 24, 32, 10)

CHOOSING: dict[str, Task] = {
    "mlp-reference": Task(
        "MLP",
        _CHARACTER_MLP,
        _of(data.next_characters, "reference", 8, 12800, 512),
        classes_loss,
    ),
    "convnet-digits": Task(
        "convnet, no normalisation",
        _of(models.convnet, (8, 8, 1), 10, normalize=False),
        _of(data.digits, 0.1),
        classes_loss,
    ),
    "convnet-norm-tissue": Task(
        "convnet, normalised",
        _of(models.convnet, (16, 16, 1), 2, normalize=True),
        _of(data.membrane_points, 16, 9600, 400),
        classes_loss,
    ),
    "transformer-news": Task(
        "transformer",
        _of(models.transformer, 24, 2000, 4, causal=False),
        _of(data.worded, "news", 2000, 24, None, 500),
        classes_loss,
    ),
    "recurrent-reference": Task(
        "recurrent net",
        _of(models.recurrent, 24, CHARACTERS, "GRU"),
        _of(data.character_windows, "reference", 24, 9600, 128),
        classes_loss,
    ),
    "autoencoder-digits": Task(
        "autoencoder",
        _of(models.dense_autoencoder, 64),
        data.digit_pictures,
        drawing_loss,
    ),
    "embedding-news": Task(
        "embedding classifier",
        _of(models.bag_of_words, 32, 2000, 4),
        _of(data.worded, "news", 2000, 32, None, 500),
        classes_loss,
    ),
    "segmentation-scenes": Task(
        "segmentation",
        _of(models.small_u_net, 16),
        _of(data.scenes, 1200, 200),
        pixels_loss,
    ),
    "speech-voices": Task(
        "speech",
        _of(models.voice_vectors, 24, 32, 6),
        _of(data.spectrograms, "voices", "speaker"),
        classes_loss,
    ),
    "small-data-news": Task(
        "small data",
        _of(models.bag_of_words, 32, 1000, 4),
        _of(data.worded, "news", 1000, 32, 200, 500),
        classes_loss,
    ),
    "small-data-digits": Task(
        "small data",
        _of(models.mlp, (8, 8, 1), 10),
        _of(data.digits, 0.1, 200),
        classes_loss,
    ),
    "plateau-parity": Task(
        "plateau",
        _of(models.mlp, (12,), 2),
        _of(data.parity, 12, 4, 512, 0.2),
        classes_loss,
    ),
    "fine-tuning-reference": Task(
        "fine-tuning",
        _CHARACTER_MLP,
        _of(data.next_characters, "reference", 8, 12800, 512),
        classes_loss,
        _of(data.next_characters, "shakespeare", 8, 25600, 512),
    ),
}

JUDGING: dict[str, Task] = {
    "mlp-spoken-digits": Task(
        "MLP",
        _of(models.mlp, (24, 32), 10, activation="gelu", dropout=0.2),
        _of(data.spectrograms, "people", "digit"),
        classes_loss,
    ),
    "convnet-tissue": Task(
        "convnet, no normalisation",
        _of(models.convnet, (20, 20, 1), 2, normalize=False),
        _of(data.membrane_points, 20, 9600, 400),
        classes_loss,
    ),
    "convnet-norm-speakers": Task(
        "convnet, normalised",
        _of(models.residual_convnet, (24, 32, 1), 6),
        _of(data.spectrogram_pictures, "people", "speaker", 0.1),
        classes_loss,
    ),
    "transformer-shakespeare": Task(
        "transformer",
        _TRANSFORMER,
        _of(data.character_windows, "shakespeare", 24, 9600, 128),
        classes_loss,
    ),
    "recurrent-shakespeare": Task(
        "recurrent net",
        _of(models.recurrent, 24, CHARACTERS, "LSTM"),
        _of(data.character_windows, "shakespeare", 24, 9600, 128),
        classes_loss,
    ),
    "autoencoder-photographs": Task(
        "autoencoder",
        _of(models.convolutional_autoencoder, 16),
        _of(data.photograph_patches, 16, 9600, 400),
        drawing_loss,
    ),
    "embedding-reviews": Task(
        "embedding classifier",
        _of(models.bag_of_words, 24, 4000, 2),
        _of(data.worded, "reviews", 4000, 24, None, 500),
        classes_loss,
    ),
    "segmentation-tissue": Task(
        "segmentation",
        _of(models.small_u_net, 16),
        _of(data.membrane_squares, 16, 9600, 200),
        pixels_loss,
    ),
    "speech-digits": Task(
        "speech",
        _SPEECH,
        _of(data.spectrograms, "people", "digit"),
        classes_loss,
    ),
    "small-data-passages": Task(
        "small data",
        _of(models.word_convnet, 24, 1000, 6),
        _of(data.worded, "passages", 1000, 24, 300, 400),
        classes_loss,
    ),
    "small-data-recordings": Task(
        "small data",
        _of(models.voice_vectors, 24, 32, 10),
        _of(data.spectrograms, "people", "digit", 200),
        classes_loss,
    ),
    "plateau-opinions": Task(
        "plateau", sentiment.build_model, data.judgements, classes_loss
    ),
    "fine-tuning-speakers": Task(
        "fine-tuning",
        _SPEECH,
        _of(data.spectrograms, "people", "digit", speakers=(4, 5), mistaken=0.1),
        classes_loss,
        _of(data.spectrograms, "people", "digit", speakers=(0, 1, 2, 3)),
    ),
    "fine-tuning-shakespeare": Task(
        "fine-tuning",
        _TRANSFORMER,
        _of(data.character_windows, "shakespeare", 24, 9600, 128),
        classes_loss,
        _of(data.character_windows, "reference", 24, 9600, 128),
    ),
}

HALVES = {"choosing": CHOOSING, "judging": JUDGING}
TASKS = CHOOSING | JUDGING

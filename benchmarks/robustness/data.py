"""The data of the robustness tasks: small arrays, the same every time.

The lab's own data sources read them from ``KERAS_ADAM_DATA`` (default
``../shared/data``) or make the embedded ones. Every function returns `tuning.Data`.
Validation data share no text, recording, slice or photograph with training data.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

import numpy as np

from tuning import Data
from tuning.data_sources import (
    cell_membranes,
    digit_scenes,
    formant_voices,
    handwritten_digits,
    language_reference,
    movie_reviews,
    news,
    opinions,
    raccoons,
    shakespeare,
    spoken_digits,
)
from tuning.data_sources.log_mel import log_mel
from tuning.data_sources.recordings import Recordings
from tuning.data_sources.word_ids import number_words
from tuning.workloads import sentiment
from tuning.workloads.language_model import number_characters

DATA = Path(
    os.environ.get("KERAS_ADAM_DATA", Path(__file__).parents[3] / "shared" / "data")
)

SAMPLES = 3840
"""Samples that the model hears of a recording: 0.48 seconds, 24 frames of 20 ms."""


def _split(x: np.ndarray, y: np.ndarray, held_out: int, seed: int = 0) -> Data:
    order = np.random.default_rng(seed).permutation(len(x))
    train, val = order[held_out:], order[:held_out]
    return Data(x[train], y[train], x[val], y[val])


def _first(data: Data, train: int | None, val: int | None) -> Data:
    return Data(
        data.x_train[:train], data.y_train[:train], data.x_val[:val], data.y_val[:val]
    )


def _mistaken(data: Data, share: float) -> Data:
    """Random labels for a share of the examples, like mistakes of people.

    Without them some losses would end near zero, where ratios mean little.
    """
    generator = np.random.default_rng(3)
    classes = int(data.y_train.max()) + 1

    def relabel(labels: np.ndarray) -> np.ndarray:
        is_wrong = generator.random(len(labels)) < share
        others = generator.integers(0, classes, len(labels))
        return np.where(is_wrong, others, labels).astype("int32")

    return data._replace(y_train=relabel(data.y_train), y_val=relabel(data.y_val))


# Texts, character by character.


def _texts(source: str) -> tuple[str, str]:
    if source == "reference":
        train, held_out = language_reference.read_texts()
        return "".join(train), "".join(held_out)
    text = shakespeare.read_shakespeare(DATA)
    end = len(text) * 9 // 10
    return text[:end], text[end:]


@functools.cache
def next_characters(source: str, length: int, train: int, val: int) -> Data:
    """Windows of text and the character after each: y is ``[examples]``."""
    parts = []
    for text, count in zip(_texts(source), (train, val), strict=True):
        codes = number_characters(text)
        windows = np.lib.stride_tricks.sliding_window_view(codes, length + 1)
        starts = np.random.default_rng(1).choice(len(windows), count, replace=False)
        parts += [windows[starts, :-1], windows[starts, -1]]
    return Data(*map(np.ascontiguousarray, parts))


@functools.cache
def character_windows(source: str, length: int, train: int, val: int) -> Data:
    """Windows of text and the same one character later: y is ``[examples, length]``."""
    parts = []
    for text, count in zip(_texts(source), (train, val), strict=True):
        codes = number_characters(text)
        whole = (len(codes) - 1) // length * length
        now, later = (codes[i : i + whole].reshape(-1, length) for i in (0, 1))
        rows = np.random.default_rng(1).permutation(len(now))[:count]
        parts += [now[rows], later[rows]]
    return Data(*parts)


# Texts, word by word.


@functools.cache
def worded(source: str, words: int, length: int, train: int | None, val: int) -> Data:
    """Texts as rows of word numbers, and their classes."""
    if source == "reviews":
        texts, labels = movie_reviews.read_movie_reviews(DATA)
    elif source == "news":
        texts, labels = news.read_news(DATA)
    elif source == "opinions":
        texts, labels = opinions.make_opinions()
    else:
        texts, labels = language_reference.read_passages()
    # A text that occurs twice must not be in both parts.
    first = {text.lower(): label for text, label in zip(texts, labels, strict=True)}
    order = np.random.default_rng(2).permutation(len(first))
    texts, labels = list(first), np.array(list(first.values()), "int32")
    held_out, learned = order[:val], order[val:][:train]
    x_train, x_val = number_words(
        [texts[i] for i in learned],
        [texts[i] for i in held_out],
        words=words,
        length=length,
    )
    return Data(x_train, labels[learned], x_val, labels[held_out])


# Pictures.


@functools.cache
def digits(mistaken: float, train: int | None = None) -> Data:
    """Handwritten digits, ``[examples, 8, 8, 1]``; a share of labels is random."""
    data = handwritten_digits.read_digits()
    shaped = data._replace(
        x_train=data.x_train.reshape(-1, 8, 8, 1), x_val=data.x_val.reshape(-1, 8, 8, 1)
    )
    return _first(_mistaken(shaped, mistaken), train, None)


@functools.cache
def digit_pictures() -> Data:
    """Handwritten digits to be reconstructed: y is x, ``[examples, 64]``."""
    data = handwritten_digits.read_digits()
    return Data(data.x_train, data.x_train, data.x_val, data.x_val)


@functools.cache
def parity(bits: int, relevant: int, held_out: int, mistaken: float) -> Data:
    """All ``[2^bits, bits]`` rows of ±1, and ``[2^bits]`` parities of the first few.

    No single entry says anything about the label, so the loss has a plateau until
    several entries are found together.

    **Source**: B. Barak et al., "Hidden progress in deep learning: SGD learns
    parities near the computational limit", arXiv:2207.08799.
    """
    rows = (np.arange(2**bits)[:, None] >> np.arange(bits)) & 1
    labels = rows[:, :relevant].sum(axis=1) % 2
    signs = (2 * rows - 1).astype("float32")
    return _mistaken(_split(signs, labels.astype("int32"), held_out), mistaken)


@functools.cache
def judgements() -> Data:
    """Artificial sentences of praise and blame; counting words hardly helps."""
    return sentiment.load_data(None)


@functools.cache
def scenes(train: int, val: int) -> Data:
    """Scenes of digits among clutter, 16 x 16, and masks of the digits' pixels."""
    parts = []
    for part, count in (("train", train), ("validation", val)):
        made = digit_scenes.make_scenes(part)
        parts += [made.image[:count, ::2, ::2], made.mask[:count, ::2, ::2]]
    return Data(*parts)


def _slices(first: int, end: int) -> tuple[np.ndarray, np.ndarray]:
    slices = cell_membranes.read_cell_membranes(DATA)
    image = slices.image[first:end].astype("float32") / 255.0 - 0.5
    return image, slices.mask[first:end].astype("int32")


@functools.cache
def membrane_squares(size: int, train: int, val: int) -> Data:
    """Squares of tissue, and masks of the pixels inside a cell."""
    generator = np.random.default_rng(4)
    parts = []
    for bounds, count in (((0, 25), train), ((25, 30), val)):
        image, mask = _slices(*bounds)
        cuts = [_cut(generator, image.shape, size) for _ in range(count)]
        parts += [np.stack([a[cut] for cut in cuts])[..., None] for a in (image, mask)]
    return Data(*parts)


@functools.cache
def membrane_points(
    size: int, train: int, val: int, slices: tuple[int, int] = (0, 25)
) -> Data:
    """Squares around a pixel, ``[examples, size, size, 1]``; 1 inside a cell, else 0.

    Half of the points are on a membrane.
    """
    generator = np.random.default_rng(5)
    parts = []
    for bounds, count in ((slices, train), ((25, 30), val)):
        image, mask = _slices(*bounds)
        inside = mask[:, size // 2 : -(size // 2), size // 2 : -(size // 2)]
        chosen = []
        for label in (0, 1):
            places = np.argwhere(inside == label)
            chosen.append(places[generator.choice(len(places), count // 2)])
        places = generator.permutation(np.concatenate(chosen))
        squares = [
            image[n, row : row + size, column : column + size]
            for n, row, column in places
        ]
        labels = inside[tuple(places.T)]
        parts += [np.stack(squares)[..., None], labels]
    return Data(*parts)


@functools.cache
def photograph_patches(size: int, train: int, val: int) -> Data:
    """Grey squares of photographs at half resolution to be reconstructed: y is x."""
    grey = raccoons.read_raccoons(DATA).image.astype("float32").mean(axis=-1)
    small = grey.reshape(-1, 64, 2, 64, 2).mean(axis=(2, 4)) / 127.5 - 1.0
    generator = np.random.default_rng(6)
    parts = []
    for photographs, count in ((small[:160], train), (small[160:], val)):
        cuts = [_cut(generator, photographs.shape, size) for _ in range(count)]
        squares = np.stack([photographs[cut] for cut in cuts])[..., None]
        parts += [squares.astype("float32")] * 2
    return Data(*parts)


def _cut(
    generator: np.random.Generator, shape: tuple[int, ...], size: int
) -> tuple[int, slice, slice]:
    number, row, column = (
        int(generator.integers(0, end))
        for end in (shape[0], shape[1] - size, shape[2] - size)
    )
    return number, slice(row, row + size), slice(column, column + size)


# Sounds.


def _recordings(source: str) -> Recordings:
    if source == "voices":
        return formant_voices.speak_digits()
    return spoken_digits.read_spoken_digits(DATA)


@functools.cache
def spectrograms(
    source: str,
    target: str,
    train: int | None = None,
    val: int | None = 400,
    speakers: tuple[int, ...] = (0, 1, 2, 3, 4, 5),
    mistaken: float = 0.0,
) -> Data:
    """Log-mel spectrograms, ``[recordings, 24, 32]``, and the digit or the speaker.

    Args:
        source: ``"voices"`` (a synthesiser's) or ``"people"``.
        target: ``"digit"`` or ``"speaker"``.
        train: number of training examples; ``None`` for all.
        val: number of validation examples; ``None`` for all.
        speakers: whose recordings are used.
        mistaken: share of random labels.
    """
    spoken = _recordings(source)
    labels = (spoken.digit if target == "digit" else spoken.speaker).astype("int32")
    is_heard = np.isin(spoken.speaker, speakers)
    is_held_out = spoken.recording < 6
    generator = np.random.default_rng(8)
    parts = []
    for rows, count in (
        (is_heard & ~is_held_out, train),
        (is_heard & is_held_out, val),
    ):
        chosen = generator.permutation(np.nonzero(rows)[0])[:count]
        waves = [spoken.samples[i] for i in chosen]
        parts += [log_mel(waves, SAMPLES), labels[chosen]]
    return _mistaken(Data(*parts), mistaken)


def spectrogram_pictures(source: str, target: str, mistaken: float) -> Data:
    """The same as pictures of one channel: ``[recordings, 24, 32, 1]``."""
    spoken = spectrograms(source, target, mistaken=mistaken)
    return spoken._replace(
        x_train=spoken.x_train[..., None], x_val=spoken.x_val[..., None]
    )

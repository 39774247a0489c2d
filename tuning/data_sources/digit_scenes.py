"""Scenes: several handwritten digits in one picture with clutter (embedded data).

Background and digits vary in brightness, and a digit may be darker or brighter than its
background. Pieces of digits lie around as clutter. So neither a threshold nor a search
for spots finds the digits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tuning.data_sources.handwritten_digits import read_digits

SIZE = 32
"""Width and height of a scene in pixels."""

MOST_DIGITS = 3
SCENES = {"train": 1200, "validation": 300}
SEEDS = {"train": 1, "validation": 2}

STROKE = 0.35
"""Brightness, of 1, above which a digit's pixel belongs to its stroke."""


class Scenes(NamedTuple):
    """Pictures, the boxes of their digits, and the digits' pixels.

    Attributes:
        image: [scenes, 32, 32, 1] float32.
        boxes: per scene [1 ... 3, 4] float32: left, top, right, bottom as fractions
            of the scene.
        mask: [scenes, 32, 32, 1] int32, 1 on the stroke of a digit.
    """

    image: np.ndarray
    boxes: list[np.ndarray]
    mask: np.ndarray


def make_scenes(part: str) -> Scenes:
    """All scenes of a part, ``"train"`` or ``"validation"``; the same every time.

    The scenes of a part are made of that part's digits alone.
    """
    digits = read_digits()
    pictures = digits.x_train if part == "train" else digits.x_val
    pictures = pictures.reshape(-1, 8, 8)
    generator = np.random.default_rng(SEEDS[part])
    made = [_make_scene(pictures, generator) for _ in range(SCENES[part])]
    images, boxes, masks = zip(*made, strict=True)
    return Scenes(np.stack(images), list(boxes), np.stack(masks))


def _make_scene(
    pictures: np.ndarray, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    image = _background(generator)
    mask = np.zeros((SIZE, SIZE), np.int32)
    taken: list[tuple[int, int, int, int]] = []
    boxes = []
    for _ in range(generator.integers(1, MOST_DIGITS + 1)):
        digit = _scaled(pictures[generator.integers(len(pictures))], generator, 10, 17)
        place = _free_place(digit.shape, taken, generator)
        if place is None:
            continue
        _paint(image, digit, place, generator)
        stroke = digit > STROKE
        mask[_window(place, digit.shape)] |= stroke
        rows, columns = np.nonzero(stroke.any(1))[0], np.nonzero(stroke.any(0))[0]
        top, left = place
        edges = left + columns[0], top + rows[0], left + columns[-1], top + rows[-1]
        boxes.append(np.add(edges, (0, 0, 1, 1)) / SIZE)
    for _ in range(generator.integers(1, 4)):
        digit = pictures[generator.integers(len(pictures))]
        row, column = generator.integers(0, 5, 2)
        piece = _scaled(digit[row : row + 4, column : column + 4], generator, 5, 9)
        place = _free_place(piece.shape, taken, generator)
        if place is not None:
            _paint(image, piece, place, generator)
    image += generator.normal(0.0, 0.05, image.shape)
    return (
        image[..., None].astype("float32"),
        np.array(boxes, np.float32),
        mask[..., None],
    )


def _background(generator: np.random.Generator) -> np.ndarray:
    """Smooth shades between 0.2 and 0.8."""
    from scipy.ndimage import zoom

    return zoom(generator.uniform(0.2, 0.8, (4, 4)), SIZE / 4, order=1)


def _scaled(
    picture: np.ndarray, generator: np.random.Generator, low: int, high: int
) -> np.ndarray:
    """A picture enlarged to a random width of ``low`` to ``high - 1`` pixels."""
    from scipy.ndimage import zoom

    return zoom(picture, generator.integers(low, high) / picture.shape[0], order=1)


def _free_place(
    shape: tuple[int, ...],
    taken: list[tuple[int, int, int, int]],
    generator: np.random.Generator,
) -> tuple[int, int] | None:
    """The top left corner of a free place, added to ``taken``; ``None`` without one."""
    height, width = shape
    for _ in range(20):
        top = int(generator.integers(0, SIZE - height + 1))
        left = int(generator.integers(0, SIZE - width + 1))
        if all(
            top >= bottom
            or left >= right
            or top + height <= other_top
            or left + width <= other_left
            for other_left, other_top, right, bottom in taken
        ):
            taken.append((left, top, left + width, top + height))
            return top, left
    return None


def _window(place: tuple[int, int], shape: tuple[int, ...]) -> tuple[slice, slice]:
    return slice(place[0], place[0] + shape[0]), slice(place[1], place[1] + shape[1])


def _paint(
    image: np.ndarray,
    picture: np.ndarray,
    place: tuple[int, int],
    generator: np.random.Generator,
) -> None:
    contrast = generator.choice([-1.0, 1.0]) * generator.uniform(0.35, 0.8)
    image[_window(place, picture.shape)] += contrast * picture

"""Photographs of raccoons with a box around each (real data)."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np

from tuning.data_sources.array_file import read_arrays
from tuning.data_sources.public_data import PublicData, find_file

SIZE = 128
"""Width and height in pixels to which every photograph is resized."""


class Photographs(NamedTuple):
    """Pictures and their boxes.

    Attributes:
        image: [photographs, 128, 128, 3] uint8.
        boxes: per photograph [boxes, 4], left, top, right, bottom as fractions of
            width and height.
    """

    image: np.ndarray
    boxes: list[np.ndarray]


def convert(contents: Mapping[str, bytes], path: Path) -> None:
    """Write pictures and boxes as arrays, in the order of the annotations' names."""
    from PIL import Image

    images, boxes, owners = [], [], []
    for name in sorted(name for name in contents if name.endswith(".xml")):
        picture = f"images/{Path(name).stem}.jpg"
        with Image.open(io.BytesIO(contents[picture])) as opened:
            resized = opened.convert("RGB").resize(
                (SIZE, SIZE), Image.Resampling.BILINEAR
            )
        for box in _read_boxes(contents[name]):
            boxes.append(box)
            owners.append(len(images))
        images.append(np.asarray(resized))
    np.savez_compressed(
        path,
        image=np.stack(images),
        box_xyxy=np.array(boxes, np.float32),
        box_image=np.array(owners, np.int32),
    )


def _read_boxes(annotation: bytes) -> list[list[float]]:
    """Boxes of an annotation in the form of PASCAL VOC, as fractions."""
    root = ElementTree.fromstring(annotation)
    width, height = (float(root.findtext(f"size/{k}", "")) for k in ("width", "height"))
    found = []
    for box in root.iter("bndbox"):
        left, top, right, bottom = (
            float(box.findtext(k, "")) for k in ("xmin", "ymin", "xmax", "ymax")
        )
        found.append([left / width, top / height, right / width, bottom / height])
    return found


SOURCE = PublicData(
    file="raccoons.npz",
    url=(
        "https://github.com/datitran/raccoon_dataset/archive/"
        "93938849301895fb73909842ba04af9b602f677a.tar.gz"
    ),
    convert=convert,
    members=("annotations/*.xml", "images/*.jpg"),
    members_sha256="b8e21a69372ba14fe23a38bcd893c0c57c6871105da1104ea73ed12e34c4560a",
    licence="MIT",
)
"""D. Tran, "Raccoon Detector Dataset", 2017."""


def read_raccoons(directory: Path) -> Photographs:
    """The photographs and their boxes.

    Raises:
        OSError: the file does not exist and cannot be downloaded.
        ValueError: the file has another format.
    """
    path = find_file(SOURCE, directory)
    arrays = read_arrays(path, ("image", "box_xyxy", "box_image"))
    image, owner = arrays["image"], arrays["box_image"]
    boxes = [arrays["box_xyxy"][owner == row] for row in range(len(image))]
    return Photographs(image, boxes)

"""Electron-microscope slices of a fly's nerve cells, membranes marked (real data)."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tuning.data_sources.array_file import read_arrays
from tuning.data_sources.public_data import PublicData, find_file

SIZE = 256
"""Width and height in pixels to which every slice is resized, half of the original."""


class Slices(NamedTuple):
    """Consecutive slices through one piece of tissue.

    Attributes:
        image: [slices, 256, 256] uint8.
        mask: [slices, 256, 256] uint8, 1 inside a cell and 0 on a membrane.
    """

    image: np.ndarray
    mask: np.ndarray


def convert(contents: Mapping[str, bytes], path: Path) -> None:
    """Write slices and masks as arrays, in the order of their numbers."""
    from PIL import Image

    def read(kind: str, number: int, resampling: int) -> np.ndarray:
        content = contents[f"data/membrane/train/{kind}/{number}.png"]
        with Image.open(io.BytesIO(content)) as opened:
            return np.asarray(opened.convert("L").resize((SIZE, SIZE), resampling))

    numbers = range(len(contents) // 2)
    # A mask must stay a mask: no grey between cell and membrane.
    masks = [read("label", n, Image.Resampling.NEAREST) for n in numbers]
    np.savez_compressed(
        path,
        image=np.stack([read("image", n, Image.Resampling.BILINEAR) for n in numbers]),
        mask=(np.stack(masks) > 127).astype(np.uint8),
    )


SOURCE = PublicData(
    file="cell_membranes.npz",
    url=(
        "https://github.com/zhixuhao/unet/archive/"
        "b45af4d458437d8281cc218a07fd4380818ece4a.tar.gz"
    ),
    convert=convert,
    members=("data/membrane/train/image/*.png", "data/membrane/train/label/*.png"),
    members_sha256="e128ffcd0348c28ff5d679444a6263aede2600c4d2517fc2db62aea7044ad91c",
    licence="free for research (ISBI 2012 challenge)",
)
"""A. Cardona et al., "An Integrated Micro- and Macroarchitectural Analysis of the
Drosophila Brain by Computer-Assisted Serial Section Electron Microscopy", PLoS
Biology 2010, https://doi.org/10.1371/journal.pbio.1000502."""


def read_cell_membranes(directory: Path) -> Slices:
    """The slices, in their order through the tissue, and their masks.

    Raises:
        OSError: the file does not exist and cannot be downloaded.
        ValueError: the file has another format.
    """
    arrays = read_arrays(find_file(SOURCE, directory), ("image", "mask"))
    return Slices(arrays["image"], arrays["mask"])

"""The cases: shapes of weights, and embedding tables with gradients for some rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

Shapes = list[tuple[int, ...]]


class Table(NamedTuple):
    """An embedding table of which a step looks up some rows.

    Attributes:
        rows: number of rows.
        width: of a row.
        looked_up: number of ids in a step, including repeated ones.
    """

    rows: int
    width: int = 16
    looked_up: int = 4096

    def gradient(self) -> tuple[np.ndarray, np.ndarray]:
        """Values and ids; ids have the frequencies of words (Zipf, exponent 1).

        Shapes:
            ``[looked_up, width]`` and ``[looked_up]``.
        """
        rng = np.random.default_rng(0)
        values = rng.normal(size=(self.looked_up, self.width)) * 1e-2
        # The rank of a Zipf word is log-uniform.
        ranks = np.exp(rng.uniform(0, np.log(self.rows), size=self.looked_up))
        return values.astype("float32"), (ranks - 1).astype("int32")


def _gpt_shapes() -> Shapes:
    width = 512
    block = [
        *[(width, width), (width,)] * 4,  # attention: query, key, value, output
        *[(width, 4 * width), (4 * width,), (4 * width, width), (width,)],
        *[(width,)] * 4,  # two layer normalisations
    ]
    return [(32000, width), *block * 8]


def _resnet50_shapes() -> Shapes:
    """The 161 trainable tensors of ResNet-50, including batch normalisation."""
    shapes: Shapes = [(7, 7, 3, 64), (64,), (64,)]
    before = 64
    for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for block in range(blocks):
            for kernel, inputs, outputs in (
                (1, before, width),
                (3, width, width),
                (1, width, 4 * width),
            ):
                shapes += [(kernel, kernel, inputs, outputs), (outputs,), (outputs,)]
            if block == 0:
                shapes += [(1, 1, before, 4 * width), (4 * width,), (4 * width,)]
            before = 4 * width
    return [*shapes, (2048, 1000), (1000,)]


CASES: dict[str, Shapes | Table] = {
    "one": [(4096, 8192)],
    "gpt": _gpt_shapes(),
    "resnet50": _resnet50_shapes(),
    "tiny": [(32, 32), (32,)] * 200,
    "sixty": [(64, 64), (64,)] * 30,
    "dense_200": [(200, 200), (200,)] * 3,
    **{
        f"middle_{count}x{entries}": [(entries // 20, 20)] * count
        for count in (4, 16, 64)
        for entries in (1_000, 4_000, 10_000, 40_000, 160_000)
    },
    "embedding": Table(1_000_000),
    **{f"rows_1e{n}": Table(10**n) for n in (5, 6, 7)},
    **{f"parameters_1e{n}": [(10 ** (n - 2), 100)] for n in (5, 6, 7, 8)},
    **{f"tensors_{n}": [(32, 32), (32,)] * (n // 2) for n in (10, 50, 200, 1000, 2000)},
}


def parameter_count(case: str) -> int:
    """Number of parameters that a step updates."""
    what = CASES[case]
    if isinstance(what, Table):
        return len(np.unique(what.gradient()[1])) * what.width
    return sum(int(np.prod(shape)) for shape in what)

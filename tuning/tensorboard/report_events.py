"""Writes the report of a whole sweep to TensorBoard's pages."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tuning.system.paths import path_inside
from tuning.tensorboard.event_file import (
    image_summary,
    is_finite,
    scalar_summary,
    text_summary,
    write_events,
)

REPORT_RUN = "report"
"""Name of the directory, which TensorBoard shows as a run."""

STEPS_PER_DECADE = 100
"""A curve over learning rates needs integer steps: 100 log10(learning rate)."""


def write_report_run(
    directory: Path,
    verdict: str,
    images: Mapping[str, np.ndarray],
    losses: Mapping[str, Mapping[float, float]],
) -> None:
    """Write the report of the whole sweep, and replace an earlier one.

    The page *Text* shows the verdict, *Images* the heat maps, *Custom Scalars* the
    loss against the learning rate, one chart per batch size with all optimizers.

    Args:
        directory: the sweep's ``tensorboard`` directory.
        verdict: Markdown.
        images: by name; [height, width, 3] uint8.
        losses: by ``batch=B/optimizer``, the loss by learning rate.

    Raises:
        OSError: the directory cannot be written to.
        ValueError: a symbolic link leads out of it.
    """
    summaries = [(0, text_summary("verdict", verdict))]
    summaries += [(0, image_summary(f"loss/{n}", image)) for n, image in images.items()]
    for name, curve in losses.items():
        for rate, loss in sorted(curve.items()):
            if is_finite(loss):
                step = round(STEPS_PER_DECADE * math.log10(rate))
                summaries.append((step, scalar_summary({f"loss_by_rate/{name}": loss})))
    write_events(path_inside(directory, REPORT_RUN), summaries)

"""Recordings of spoken digits, and the split that both speech workloads share."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

SAMPLE_RATE = 8000
"""Samples per second, as in telephony."""


class Recordings(NamedTuple):
    """Spoken digits by several speakers; the first axis counts recordings.

    Attributes:
        samples: per recording [samples] float32 in [-1, 1], `SAMPLE_RATE` per second.
        digit: [recordings] what was said, 0 ... 9.
        speaker: [recordings] who said it, 0 ... number of speakers - 1.
        recording: [recordings] counts a speaker's recordings of one digit.
        names: of the speakers.
    """

    samples: list[np.ndarray]
    digit: np.ndarray
    speaker: np.ndarray
    recording: np.ndarray
    names: tuple[str, ...]

    def select(self, chosen: np.ndarray) -> Recordings:
        """The recordings where ``chosen`` is true."""
        rows = np.flatnonzero(chosen)
        return Recordings(
            [self.samples[row] for row in rows],
            self.digit[rows],
            self.speaker[rows],
            self.recording[rows],
            self.names,
        )


HELD_OUT = 5
"""Recordings 0 ... 4 of every speaker and digit are for validation. The makers of the
free spoken digits recommend this split."""


def split(recordings: Recordings) -> tuple[Recordings, Recordings]:
    """Recordings for training, and others for validation."""
    is_held_out = recordings.recording < HELD_OUT
    return recordings.select(~is_held_out), recordings.select(is_held_out)

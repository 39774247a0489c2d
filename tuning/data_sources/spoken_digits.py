"""The free spoken digits: 3,000 recordings by six people (real data)."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tuning.data_sources.array_file import read_arrays
from tuning.data_sources.public_data import PublicData, find_file
from tuning.data_sources.recordings import SAMPLE_RATE, Recordings


def convert(contents: Mapping[str, bytes], path: Path) -> None:
    """Write all recordings as arrays, in the order of their files' names.

    A file's name says what it holds: ``digit_speaker_recording.wav``.
    """
    from scipy.io import wavfile

    samples, digit, speaker, recording = [], [], [], []
    for name in sorted(contents):
        rate, wave = wavfile.read(io.BytesIO(contents[name]))
        if rate != SAMPLE_RATE or wave.dtype != np.int16 or wave.ndim != 1:
            raise ValueError(
                f"{name} is not a mono recording of 16 bits at {SAMPLE_RATE} Hz"
            )
        said, who, number = Path(name).stem.split("_")
        samples.append(wave)
        digit.append(int(said))
        speaker.append(who)
        recording.append(int(number))
    np.savez_compressed(
        path,
        samples=np.concatenate(samples),
        offsets=np.cumsum([0, *map(len, samples)]),
        digit=np.array(digit, np.uint8),
        speaker=np.array(speaker),
        recording=np.array(recording, np.int16),
        sample_rate=SAMPLE_RATE,
    )


SOURCE = PublicData(
    file="free_spoken_digits.npz",
    url=(
        "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/"
        "26eb9aaf76e81b692f806f9140c2d2777410d7a1.tar.gz"
    ),
    convert=convert,
    members=("recordings/*.wav",),
    members_sha256="04e1baae96c6a26e39c623f2b01d0182ddae627ba0ac02a3cdc17ba2af99fd9b",
    licence="CC BY-SA 4.0",
)
"""Z. Jackson et al., "Free Spoken Digit Dataset", https://doi.org/10.5281/zenodo.1342401.
"""


def read_spoken_digits(directory: Path) -> Recordings:
    """The recordings, speakers numbered in the order of their names.

    Raises:
        OSError: the file does not exist and cannot be downloaded.
        ValueError: the file has another format.
    """
    path = find_file(SOURCE, directory)
    wanted = ("samples", "offsets", "digit", "speaker", "recording", "sample_rate")
    arrays = read_arrays(path, wanted)
    if int(arrays["sample_rate"]) != SAMPLE_RATE:
        raise ValueError(
            f"{path} must hold {SAMPLE_RATE} samples per second; it holds "
            f"{arrays['sample_rate']}."
        )
    samples = arrays["samples"].astype("float32") / 2**15
    names, speaker = np.unique(arrays["speaker"], return_inverse=True)
    return Recordings(
        samples=np.split(samples, arrays["offsets"][1:-1]),
        digit=arrays["digit"].astype("int32"),
        speaker=speaker.astype("int32"),
        recording=arrays["recording"].astype("int32"),
        names=tuple(map(str, names)),
    )

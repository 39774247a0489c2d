"""One megabyte of Shakespeare's plays (real data)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tuning.data_sources.public_data import PublicData, find_file
from tuning.system.json_files import read_text


def convert(contents: Mapping[str, bytes], path: Path) -> None:
    """Write the text without a change."""
    (published,) = contents.values()
    path.write_bytes(published)


SOURCE = PublicData(
    file="tiny_shakespeare.txt",
    url=(
        "https://raw.githubusercontent.com/karpathy/char-rnn/"
        "6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/data/tinyshakespeare/input.txt"
    ),
    convert=convert,
    sha256="86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    licence="public domain text",
)
"""A. Karpathy, "The Unreasonable Effectiveness of Recurrent Neural Networks", 2015."""


def read_shakespeare(directory: Path) -> str:
    """The plays, one after the other.

    Raises:
        OSError: the file does not exist and cannot be downloaded.
        ValueError: the file is not UTF-8 text, or nearly empty.
    """
    path = find_file(SOURCE, directory)
    text = read_text(path).replace("\r\n", "\n").replace("\r", "\n")
    if len(text) < 10_000:
        raise ValueError(f"{path} holds {len(text)} characters, too few to learn from.")
    return text

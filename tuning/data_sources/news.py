"""AG's news: 7,600 news items of four topics (real data)."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from tuning.data_sources.labelled_lines import read_labelled_lines
from tuning.data_sources.public_data import PublicData, find_file

CLASSES = ("world", "sports", "business", "science")


def convert(contents: Mapping[str, bytes], path: Path) -> None:
    """Write ``class(0-3)<TAB>title<TAB>description`` lines from the published CSV.

    The CSV has backslashes for line ends inside a text; they become spaces.
    """
    (published,) = contents.values()
    rows = csv.reader(io.StringIO(published.decode("utf-8"), newline=""))
    lines = []
    for number, title, description in rows:
        texts = (text.replace("\\", " ") for text in (title, description))
        lines.append("\t".join((str(int(number) - 1), *texts)) + "\n")
    path.write_text("".join(lines), encoding="utf-8", newline="")


SOURCE = PublicData(
    file="ag_news.tsv",
    url=(
        "https://raw.githubusercontent.com/mhjabreel/CharCnn_Keras/"
        "555590db4219b1243abb1918effd6a7425a2d75f/data/ag_news_csv/test.csv"
    ),
    convert=convert,
    sha256="521465c2428ed7f02f8d6db6ffdd4b5447c1c701962353eb2c40d548c3c85699",
    licence="non-commercial use",
)
"""The test part of the set of X. Zhang, J. Zhao, Y. LeCun, "Character-level
Convolutional Networks for Text Classification", 2015, arXiv:1509.01626."""


def read_news(directory: Path) -> tuple[list[str], list[int]]:
    """Title and description as one text, and the class, of every item.

    Raises:
        OSError: the file does not exist and cannot be downloaded.
        ValueError: the file has another format.
    """
    path = find_file(SOURCE, directory)
    return read_labelled_lines(path, classes=len(CLASSES))

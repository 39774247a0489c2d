"""Sentences from film reviews, positive and negative (real data)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tuning.data_sources.labelled_lines import read_labelled_lines
from tuning.data_sources.public_data import PublicData, find_file

LABELS = {"rt-polarity.pos": 1, "rt-polarity.neg": 0}
"""The label of the sentences in each published file, which has one a line."""


def convert(contents: Mapping[str, bytes], path: Path) -> None:
    """Write ``1<TAB>text`` (positive) and ``0<TAB>text`` lines."""
    by_name = {name.rpartition("/")[2]: text for name, text in contents.items()}
    lines = []
    for name, label in LABELS.items():
        # The files are Latin-1, and only "\n" ends a line there.
        for sentence in by_name[name].decode("latin-1").split("\n"):
            text = " ".join(sentence.split())
            if text:
                lines.append(f"{label}\t{text}\n")
    path.write_text("".join(lines), encoding="utf-8", newline="")


SOURCE = PublicData(
    file="movie_review_sentences.tsv",
    # A copy of www.cs.cornell.edu/people/pabo/movie-review-data/rt-polaritydata.tar.gz
    # that Hugging Face's "rotten_tomatoes" reads, which also states the checksum.
    url=(
        "https://storage.googleapis.com/seldon-datasets/sentence_polarity_v1/"
        "rt-polaritydata.tar.gz"
    ),
    convert=convert,
    sha256="a05befe52aafda71d458d188a1c54506a998b1308613ba76bbda2e5029409ce9",
    members=("*rt-polarity.pos", "*rt-polarity.neg"),
    licence="free for research",
)
"""B. Pang, L. Lee, "Seeing stars: Exploiting class relationships for sentiment
categorization with respect to rating scales", ACL 2005."""


def read_movie_reviews(directory: Path) -> tuple[list[str], list[int]]:
    """Sentences, and 1 for each positive one, 0 for each negative one.

    Raises:
        OSError: the file does not exist and cannot be downloaded.
        ValueError: the file has another format.
    """
    return read_labelled_lines(find_file(SOURCE, directory), classes=2)

"""Files with one labelled text a line: ``label<TAB>text``."""

from __future__ import annotations

from pathlib import Path

from tuning.system.json_files import read_text


def read_labelled_lines(path: Path, classes: int) -> tuple[list[str], list[int]]:
    """Texts and labels; parts of a text are joined, lines without a text left out.

    Raises:
        ValueError: a line has no label from 0 to ``classes - 1``, or no line has a
            text.
    """
    texts, labels = [], []
    # Without universal newlines, because some texts hold a carriage return.
    lines = read_text(path).split("\n")
    for number, line in enumerate(lines, start=1):
        label, _, rest = line.partition("\t")
        text = " ".join(part.strip() for part in rest.split("\t")).strip()
        if not line.strip():
            continue
        if label not in map(str, range(classes)):
            raise ValueError(
                f"{path}, line {number}: expected a label from 0 to {classes - 1}, a "
                f"tab and a text; found {line[:40]!r}."
            )
        if text:
            texts.append(text)
            labels.append(int(label))
    if not texts:
        raise ValueError(f"{path} holds no labelled text.")
    return texts, labels

"""The file of a sweep's records, one JSON line for each run.

``runs.jsonl`` is the sweep's memory: a run is done when its line is there, and
everything else (summary, report, TensorBoard, KerasTuner's project) can be made again
from it.
"""

from __future__ import annotations

import codecs
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from tuning.records import RunRecord
from tuning.system.json_files import check_file, describe_lost_link
from tuning.system.json_values import InvalidFileError, NotJSONError
from tuning.system.paths import check_directory, check_inside, explain, show_path

logger = logging.getLogger(__name__)

RUNS_FILE = "runs.jsonl"
"""Name of the file of records inside a sweep's directory."""


def append_record(directory: Path, record: RunRecord) -> None:
    """Append one record to the directory's file, and wait until it is on the disk.

    If an interrupted write has left half a line, a line break is written first.

    Raises:
        OSError: the file cannot be written.
        ValueError: the file is a symbolic link out of the directory.
    """
    path = directory / RUNS_FILE
    check_inside(directory, path)
    with path.open("ab+") as file:
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write(record.to_json().encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read_records(directory: Path) -> list[RunRecord]:
    """The readable records of a sweep, in the order written, the last one per run.

    A line that a crash left incomplete is skipped with a warning in the log: its run
    counts as not done.

    Raises:
        FileNotFoundError: the directory holds no records.
        InvalidFileError: a line is JSON but not a record, no line is a record, or the
            file cannot be read; a ``ValueError``.
    """
    path = check_directory(directory, "the directory of a sweep") / RUNS_FILE
    records: dict[str, RunRecord] = {}
    is_strange = is_torn = False
    for number, line in _numbered_lines(path):
        try:
            record = RunRecord.from_json(_decode(line))
        except NotJSONError as error:
            # A crash leaves the beginning of a line, or zeros in its place.
            start = line.lstrip(b"\0")[:1]
            is_torn |= start == b"{"
            is_strange |= start not in (b"{", b"")
            logger.warning(
                "%s, line %d cannot be read: %s; skipped, so its run counts as not "
                "done.",
                show_path(path),
                number,
                error,
            )
        except InvalidFileError as error:
            raise InvalidFileError(
                f"{show_path(path)}, line {number} is not a record of a run: {error}. "
                "Delete this line to have its run trained again, or restore the file."
            ) from None
        else:
            records[record.run_id] = record
    if is_strange and not is_torn and not records:
        raise InvalidFileError(
            f"{show_path(path)} cannot be read: no line of it is a record of a run. "
            "Restore the file, or remove it to have every run trained again."
        )
    return list(records.values())


def _numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The non-empty lines of a file and their numbers, without a byte order mark.

    Raises:
        FileNotFoundError: the file does not exist.
        InvalidFileError: it cannot be read.
    """
    check_file(path)
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                content = line.removeprefix(codecs.BOM_UTF8).strip()
                if content:
                    yield number, content
    except FileNotFoundError:
        if path.is_symlink():
            raise InvalidFileError(describe_lost_link(path)) from None
        raise FileNotFoundError(
            f"{show_path(path.parent)} holds no {RUNS_FILE}: it is not a sweep's "
            "directory, or no run of it has finished yet."
        ) from None
    except OSError as error:
        raise InvalidFileError(
            f"{show_path(path)} cannot be read: {explain(error)}."
        ) from None


def _decode(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise NotJSONError(
            f"it is not text in UTF-8 (byte {error.start + 1})"
        ) from None

"""What a user or a file may name: a place to read or write, or an error of one line."""

import errno
import os

import pytest

from tuning.system.paths import (
    check_directory,
    explain,
    in_one_line,
    path_inside,
    show_path,
)

UNDECODABLE = os.fsdecode(b"sweep-\xff")


def test_a_directory_that_is_or_can_be_made_is_taken(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    for path in (tmp_path / "there", tmp_path / "link", tmp_path / "a/b", "relative"):
        assert str(check_directory(path, "out")) == str(path)


def lay_out(tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "to-file").symlink_to("file")


UNUSABLE = [
    ("file", "file is a file; out must be a directory"),
    ("to-file", "to-file is a file; out must be a directory"),
    ("file/below/more", "cannot be written to or read: .*file is a file"),
    ("dangling", "dangling is a symbolic link to nowhere, which does not exist; cre"),
    ("dangling/below", "below cannot be made: .*dangling is a symbolic link to nowhe"),
    ("loop", "symbolic link that leads back to itself; remove the link"),
    ("x" * 300, "its name is too long; use a shorter one"),
    ("a\0b", r"out holds a NUL character.*a\\x00b"),
    (UNDECODABLE, r"not UTF-8, .*sweep-\\xff, so it cannot be written into reports"),
]


@pytest.mark.parametrize(("name", "message"), UNUSABLE, ids=lambda v: ascii(v)[:20])
def test_what_stands_at_a_path_is_told(tmp_path, name, message):
    lay_out(tmp_path)
    with pytest.raises(ValueError, match=message) as told:
        check_directory(f"{tmp_path}/{name}", "out")
    assert str(told.value).isprintable()
    assert sorted(os.listdir(tmp_path)) == ["dangling", "file", "loop", "to-file"]


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        (None, TypeError, "out must be a path, as text or pathlib.Path; received None"),
        (3, TypeError, "received 3"),
        (b"sweep", TypeError, "received b'sweep'"),
        ("", ValueError, "out is empty; name a directory"),
    ],
)
def test_what_is_no_path_is_told(path, error, message):
    with pytest.raises(error, match=message):
        check_directory(path, "out")


def test_a_place_that_may_not_be_looked_at_is_told(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr("tuning.system.paths.os.stat", refuse)
    with pytest.raises(ValueError, match="cannot be used: permission denied; use ano"):
        check_directory(tmp_path / "sweep", "out")


@pytest.mark.parametrize(
    "name",
    ["/etc/x", "../x", "a/../../x", "a/./b", "a//b", "", ".", "..", "a\\b", "a\0b"],
)
def test_a_name_from_a_file_cannot_lead_out(tmp_path, name):
    with pytest.raises(ValueError, match="is not the name of a place inside"):
        path_inside(tmp_path, name)


def test_a_link_cannot_lead_out(tmp_path):
    inside = tmp_path / "inside"
    (inside / "real").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (inside / "out").symlink_to(tmp_path / "outside")
    (inside / "nowhere").symlink_to(tmp_path / "new")
    (inside / "within").symlink_to("real")
    (tmp_path / "itself").symlink_to("inside")
    for name in ("out", "out/below", "nowhere", "nowhere/below"):
        with pytest.raises(ValueError, match="through a symbolic link to"):
            path_inside(inside, name)
    # The directory may itself be a link, and links may lead around in it.
    for directory in (inside, tmp_path / "itself"):
        assert path_inside(directory, "within/a") == directory / "within/a"


def test_names_are_shown_in_one_line():
    assert show_path(UNDECODABLE) == r"sweep-\xff"
    assert show_path("a\nb\x1b[31m") == r"a\nb\x1b[31m"
    assert in_one_line("a\n  b\x1b[31m é") == r"a b\x1b[31m é"


def test_the_reason_is_what_the_system_says():
    assert explain(OSError(errno.ENOSPC, "No space left on device")).startswith("No sp")
    told = "{{function_node x}} /a/b; File too large\n\tFailed to flush [Op:Write] name"
    error = type("OpError", (Exception,), {"message": told})()
    assert explain(error) == "File too large"

"""What is put inside a page: files for the browser, and data that cannot get out."""

import hashlib
import json
import re

import pytest
from html_page import Page
from reported_records import ATTACK

from tuning.report import scripts

UPLOT = scripts.BROWSER / "uplot"


def test_data_cannot_end_its_element_and_can_be_read_back():
    data = {"name": ATTACK + "</script><!--\u2028", "values": [1.5, None]}
    text = scripts.inline_data(data, "data")
    page = Page(text)
    assert page.open_tags == []
    assert page.ids == ["data"]
    assert [tag for tag, _ in page.tags] == ["script"]
    assert json.loads("".join(page.scripts)) == data
    assert text.count("<") == 2


def test_a_file_that_would_end_its_element_is_refused(tmp_path, monkeypatch):
    (tmp_path / "bad.js").write_text("x = '</SCRIPT>'")
    monkeypatch.setattr(scripts, "BROWSER", tmp_path)
    with pytest.raises(ValueError, match=r"bad\.js"):
        scripts.inline("bad.js")


def test_the_copied_library_is_the_one_its_page_names():
    told = dict(
        re.findall(r"`([\w.]+)`.*\| `(\w{64})`", (UPLOT / "README.md").read_text())
    )
    assert set(told) == {entry.name for entry in UPLOT.iterdir()} - {"README.md"}
    for name, digest in told.items():
        assert hashlib.sha256((UPLOT / name).read_bytes()).hexdigest() == digest

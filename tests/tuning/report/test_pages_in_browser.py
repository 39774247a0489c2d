"""Reports in a real browser: two widths, light and dark, nothing sticking out."""

import re
import shutil

import pytest
from browser import look_at, needs_chromium
from claims_records import write_claims_directory
from colours import contrast
from simulated_check import PLANNED, make_check_grid, outcome_of, valley

from tuning.claims.page import write_claims
from tuning.report import write_comparison, write_report
from tuning.report.setting_card import Card, write_card_files
from tuning.statistics.setting_card import make_card

pytestmark = [pytest.mark.slow, needs_chromium]


def as_hex(colour):
    return "#" + "".join(f"{int(c):02x}" for c in re.findall(r"\d+", colour)[:3])


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 500])
def test_a_report_fits_its_window_and_can_be_read(sweep, tmp_path, width, is_dark):
    seen = look_at(tmp_path, write_report(sweep), width=width, is_dark=is_dark)
    check(seen, width, is_dark)
    assert seen["charts"]
    assert min(seen["charts"]) > 250  # wide enough for its labels


def test_a_comparison_fits_its_window_and_can_be_read(sweep, tmp_path):
    other = shutil.copytree(sweep, tmp_path / "other")
    page = write_comparison(sweep, other)
    for width, is_dark in ((1280, True), (500, False)):
        check(look_at(tmp_path, page, width=width, is_dark=is_dark), width, is_dark)


def test_a_card_fits_its_window_and_can_be_read(tmp_path):
    grid = make_check_grid()
    records = [outcome_of(valley(-4.5, -1.5))(run) for run in grid.runs()]
    card = make_card(records, grid, PLANNED, most_runs=100)
    write_card_files(tmp_path, Card(card))
    for width, is_dark in ((1280, True), (500, False)):
        seen = look_at(tmp_path, tmp_path / "card.html", width=width, is_dark=is_dark)
        check(seen, width, is_dark)


@pytest.mark.parametrize("width", [1280, 500])
def test_the_claims_fit_their_window_and_can_be_read(tmp_path, width):
    page = write_claims(write_claims_directory(tmp_path))
    seen = look_at(tmp_path, page, width=width, is_dark=width == 500)
    check(seen, width, is_dark=width == 500)
    assert min(seen["charts"]) > 250


def check(seen, width, is_dark):
    assert seen["dark"] is is_dark
    assert seen["width"] == pytest.approx(width, abs=20)  # a scroll bar's width
    assert seen["scrollWidth"] <= seen["width"]
    assert seen["outside"] == []
    assert contrast(as_hex(seen["ink"]), as_hex(seen["page"])) >= 7
    is_page_dark = int(as_hex(seen["page"])[1:3], 16) < 128
    assert is_page_dark is is_dark
    assert seen["verdict"] < 400  # in the first screen

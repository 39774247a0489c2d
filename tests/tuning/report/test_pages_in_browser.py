"""Reports in a real browser: two widths, light and dark, nothing sticking out."""

import re
import shutil

import pytest
from browser import ask, look_at, needs_chromium
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


def test_a_click_on_a_cell_shows_its_runs(sweep, tmp_path):
    page = write_report(sweep)
    told = ask(tmp_path, page, CLICKS)
    assert told["before"].startswith("keras.Adam, learning rate ")
    assert told["after"] == "my.pkg:lion_2, learning rate 1e-4, batch size 128"
    assert told["batch"] == "128"
    assert told["bars"] == 1  # those of the chosen batch size
    assert told["pressed"] == ["true", "false"]
    assert told["title"] == "Training loss"
    assert not told["open"]  # the drawings make way for the plot
    assert told["sorted"] == ["ascending", "keras.Adam"]


CLICKS = """
const part = name => document.querySelector(`[data-part="${name}"]`);
const before = part("runs-title").textContent;
document.querySelector('.maps td[data-o="1"][data-b="128"][data-r="0"]').click();
const after = part("runs-title").textContent;
const bars = [...document.querySelectorAll(".bars")].filter(b => !b.hidden);
const buttons = [...bars[0].querySelectorAll("button")];
buttons[1].click();
part("metric").value = "1";
part("metric").dispatchEvent(new Event("change"));
const header = document.querySelector("table.figures th");
header.querySelector("button").click();
return {
  before, after, bars: bars.length, batch: part("batch").value,
  pressed: buttons.map(b => b.getAttribute("aria-pressed")),
  title: part("metric").selectedOptions[0].textContent,
  open: document.querySelector("details.drawings").open,
  sorted: [
    header.getAttribute("aria-sort"),
    document.querySelector("table.figures tbody th").textContent,
  ],
};
"""


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

"""A card as people and programs read it."""

import dataclasses
import json

import pytest
from html_page import Page
from simulated_check import PLANNED, make_check_grid, outcome_of, valley

from tuning.report.setting_card import Card, read_card, write_card_files
from tuning.setting import Rule
from tuning.statistics.setting_card import make_card
from tuning.statistics.summary import summarize

GRID = make_check_grid()
SAFE, CLIFF = valley(-4.5, -1.5), valley(-5, -2.8, -2.76)


def card_of(loss, planned=PLANNED, turn=False, **changes):
    records = [outcome_of(loss)(run) for run in GRID.runs()]
    if turn:  # as if minus the loss had been maximised
        as_reward = {"objective": "val_reward", "direction": "max"}
        records = [dataclasses.replace(r, **as_reward) for r in records]
    return Card(make_card(records, GRID, planned, most_runs=100, **changes))


def test_a_safe_card_says_so_first():
    text = str(card_of(SAFE))
    assert text.startswith(
        "Safe: keras.Adam, learning rate 0.001, batch size 64, on simulated.\n"
    )
    told = " ".join(text.split())
    assert "Rule: no seed fails, the nearest learning rate that fails is at" in told
    assert "Seeds: 0 of 3 fail. With 95 % confidence at most 63.2 % of all" in told
    assert "Above: the nearest learning rate that fails is about 0.0" in told
    assert "Best: " in told
    assert "A learning rate that is twice as large costs" in told
    assert "Batch size 32: the same learning rate misses 0 %" in told
    assert "7.07e-4 (scaled by the square root)" in told
    assert "keras_adam.Adam.robust in its place: validation loss 0.200" in told
    assert "450 runs of at most 100: " in told
    assert all(len(line) <= 88 for line in text.splitlines())


def test_an_unsafe_card_gives_the_reasons():
    text = " ".join(str(card_of(CLIFF)).split())
    assert text.startswith("Not safe: ")
    assert "nearest failing learning rate above 0.0500" in text.split("Rule")[0]
    assert "at least 0.3 wanted" in text
    assert "diverges, or ends worse than it began, at 0.00178." in text
    assert "below" not in text.split("Rule")[0]


def test_what_the_budget_left_out_is_named():
    text = str(card_of(SAFE, left_out=["keras.Adam at batch size 32"]))
    assert "Not looked at within the budget: keras.Adam at batch size 32." in text


def test_a_verdict_needs_its_runs():
    card = card_of(SAFE, undecided=2)
    assert not card.is_safe
    assert "left undecided 2, none wanted" in " ".join(str(card).split())


def test_where_every_seed_fails_no_distance_is_given():
    told = str(card_of(lambda _: None))
    assert "Seeds: all fail (3 runs)." in told
    assert "The learning rate itself fails" in told
    assert "Above: " not in told


def test_an_objective_that_rises_is_shown_with_its_own_sign(tmp_path):
    card = card_of(SAFE, turn=True)
    text = " ".join(str(card).split())
    assert "val_reward -0.200" in text
    assert "from -2.00 before the first step" in text
    write_card_files(tmp_path, card)
    assert "| Setting | Val_reward |" not in (tmp_path / "card.md").read_text()
    assert "| Setting | val_reward |" in (tmp_path / "card.md").read_text()
    plain = json.loads((tmp_path / "card.json").read_text())
    assert plain["direction"] == "max"
    assert plain["figures"]["loss"] == pytest.approx(0.2)


def test_the_files_hold_the_same_and_need_nothing_else(tmp_path):
    card = card_of(CLIFF)
    write_card_files(tmp_path, card)
    plain = json.loads((tmp_path / "card.json").read_text())
    assert plain["is_safe"] is False
    assert plain["sentences"] == list(card.sentences())
    page = Page((tmp_path / "card.html").read_text())
    assert not page.open_tags
    assert not page.references
    markdown = (tmp_path / "card.md").read_text()
    assert "keras\\_adam" not in markdown
    for name in ("The rule", "The setting and its neighbours", "Other learning rates"):
        assert name in page.text
        assert f"## {name}" in markdown
    named = dataclasses.replace(card.content, workload="<b>x</b>")
    assert "&lt;b&gt;x" in Card(named)._repr_html_()
    assert "<b>" not in Card(named)._repr_html_()


def test_a_card_is_read_back_and_compared(tmp_path):
    write_card_files(tmp_path, card_of(SAFE))
    earlier = read_card(tmp_path)
    assert earlier == read_card(tmp_path / "card.json")
    text = " ".join(str(card_of(CLIFF).against(earlier)).split())
    assert "Against the earlier card: It was safe, and is not safe now." in text
    assert "decades above 1.6" in text
    assert "the intervals do not overlap" in text
    same = " ".join(str(card_of(SAFE).against(earlier)).split())
    assert "Still safe. No figure has changed." in same
    looser = card_of(CLIFF, dataclasses.replace(PLANNED, rule=Rule(min_decades=0.1)))
    assert "Changed: min_decades 0.3 → 0.1." in str(looser.against(earlier))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "does not exist; name the card.json of an earlier check"),
        ("{", "is not the card of a check: it is not JSON"),
        ("[1]", r"is not the card of a check: format must be 1; received \[1\]"),
        ('{"format": 1}', "is not the card of a check: workload is missing"),
    ],
)
def test_what_is_no_card_is_refused(tmp_path, content, told):
    path = tmp_path / "card.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=told):
        read_card(path)


def test_the_page_draws_the_curves_and_marks_the_setting(tmp_path):
    card = card_of(SAFE)
    write_card_files(tmp_path, card)
    assert "<svg" not in (tmp_path / "card.html").read_text()
    records = [outcome_of(SAFE)(run) for run in GRID.runs()]
    curves = summarize(records, grid=GRID).optimizers[0].curves[:1]
    write_card_files(tmp_path, card, curves)
    page = (tmp_path / "card.html").read_text()
    assert page.count("<svg") == 2  # the drawing, and a line of the legend
    assert "Validation loss against learning rate at batch size" in page
    assert '<h1 class="safe">Safe</h1>' in page
    write_card_files(tmp_path, card_of(CLIFF))
    assert '<h1 class="unsafe">Not safe</h1>' in (tmp_path / "card.html").read_text()

"""The card on top of a report: what to use, how far one can go, how sure that is."""

import pytest
from html_page import Page
from judged_records import as_accuracy, make_records

from tuning.report import render_html, render_markdown
from tuning.report.answer_text import write_answer, write_call
from tuning.report.range_text import format_range
from tuning.report.rendering import breakable
from tuning.statistics.answer import answer
from tuning.statistics.summary import summarize
from tuning.statistics.values import GoodRegion

RATES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
LONG = "keras_adam.Adam(beta_2=0.9, moment_storage='8bit')"
WIDE = make_records(
    LONG,
    32,
    *[[1.9, 0.5, 0.48, 0.5, 1.8], [1.9, 0.5, 0.50, 0.5, 1.8]],
    rates=RATES,
)
NARROW = make_records("keras.SGD", 32, *[[2.0, 1.9, 0.9, 1.9, 2.0]] * 2, rates=RATES)
RECORDS = [*WIDE, *NARROW]


def card_of(records, plan=None):
    summary = summarize(records)
    return write_answer(answer(summary, records), summary, plan or {})


def test_the_card_names_the_setting_and_its_figures():
    card = card_of(RECORDS)
    assert card.call == "keras_adam.Adam(0.01, beta_2=0.9, moment_storage='8bit')"
    assert card.batch_size == "32"
    loss, rates, confidence = card.figures
    assert loss == ("Validation loss", "0.490", "2 seeds: 0.480 to 0.500")
    # The limit is 0.49 + 0.05 * 1.51 = 0.5655; beyond 1e-3 the loss rises by 1.4 a
    # decade, beyond 0.1 by 1.3: to 1e-3 / 10 ** 0.0468 and 0.1 * 10 ** 0.0504.
    assert rates.text == "9e-4 to 0.11"
    assert rates.note == "cliffs 11 \N{MULTIPLICATION SIGN} above and 11 " + (
        "\N{MULTIPLICATION SIGN} below"
    )
    assert confidence[1:] == ("fair", "only 2 seeds")
    assert card.others == (
        "keras.SGD does not get as far: 0.900 at best, from 0.0089 to 0.011.",
    )


def test_options_of_the_plan_are_in_the_line_to_paste():
    plan = {"grid": {"options": {LONG: {"clipnorm": 1.0}}}}
    assert "clipnorm=1.0" in card_of(RECORDS, plan).compile_line


def test_accuracies_are_percentages():
    card = card_of([as_accuracy(record) for record in RECORDS])
    assert card.figures[0].text == "75.5 %"
    assert card.figures[0].note == "2 seeds: 76 % to 75 %"


def test_a_metric_is_shown_beside_the_loss():
    records = make_records("a", 32, [1.9, 0.5, 0.5, 0.5, 1.9], rates=RATES)
    for record in records:
        record.val_metrics["accuracy"] = 0.975
    assert card_of(records).figures[1][:2] == ("Accuracy", "97.5 %")


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("keras.Adam", "keras.Adam(1e-4)"),
        ("keras.SGD(momentum=0.9)", "keras.SGD(1e-4, momentum=0.9)"),
        ("my.module:fast", "my.module:fast(1e-4)"),
    ],
)
def test_a_call_is_written_as_in_python(name, call):
    assert write_call(name, 1e-4) == call


@pytest.mark.parametrize(
    ("low", "high", "touches", "text"),
    [
        (5.42e-4, 0.0464, (False, False), "5.5e-4 to 0.046"),
        (1.78e-5, 3.16, (True, True), "1.78e-5 to 3.16"),
        (0.00101, 0.00104, (False, False), "0.00101 to 0.00104"),
        (1e-3, 0.1, (False, False), "0.001 to 0.1"),
    ],
)
def test_ends_of_a_range_are_rounded_inwards(low, high, touches, text):
    assert format_range(GoodRegion(low, high, 1.0, *touches)) == text


def test_the_card_comes_first_and_needs_no_script():
    text = Page(render_html(summarize(RECORDS), {}, RECORDS)).text
    assert text.index("with batch size") < text.index("What the sweep shows")
    markdown = render_markdown(summarize(RECORDS), {}, RECORDS)
    assert "## Use keras\\_adam" in markdown or "## Use keras_adam" in markdown


def test_without_a_setting_the_card_says_so():
    records = make_records("a", 32, [2.0, 2.5, 2.0, 2.0, 2.0], rates=RATES)
    page = Page(render_html(summarize(records), {}, records))
    assert "No setting can be recommended yet" in page.text


def test_long_names_may_break_between_their_parts():
    assert breakable("a.B(c=1)") == "a.<wbr>B(<wbr>c=<wbr>1)"
    assert breakable("f(0.01, a_b)") == "f(<wbr>0.01, a_<wbr>b)"
    assert breakable("<b>.c") == "&lt;b&gt;.<wbr>c"

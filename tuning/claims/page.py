"""The page of the claims: HTML, Markdown, JSON, and a table for a README.

:func:`write_claims` reads a directory of claims and writes ``claims.html``,
``claims.md``, ``claims-table.md`` and ``claims.json`` into it. The page is a single
file that needs no network.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from tuning.claims import drawings, rules, tables
from tuning.claims.contenders import STORAGES
from tuning.claims.findings import BeyondStock, Judgement
from tuning.claims.measures import MEASURES
from tuning.claims.results import Results, read_results
from tuning.claims.verdicts import beyond_stock, judge_all
from tuning.report import colours, scripts, svg
from tuning.report.number_text import count_of, format_rate, format_seconds, join_words
from tuning.report.rendering import html_template, markdown_template
from tuning.statistics.rivals import RivalComparison
from tuning.system.files import write_whole
from tuning.system.paths import check_path

TEMPLATES = Path(__file__).parent / "templates"

PAGE_FILES = ("claims.html", "claims.md", "claims-table.md", "claims.json")


def write_claims(directory: Path) -> Path:
    """Judge the results in a directory of claims, and write the page into it.

    This works before all runs are done; the page then says what is missing.

    Returns:
        The path of ``claims.html``.

    Raises:
        ValueError: the directory does not hold claims, or nothing has been run.
    """
    directory = check_path(directory, "directory")
    results = read_results(directory)
    judgements = judge_all(results.tasks)
    beyond = beyond_stock(results.tasks)
    content = page_content(results, judgements, beyond)
    plain = {
        "plan": results.plan,
        "rules": rules.RULES,
        "verdict": content["verdict"],
        "judgements": [
            {
                "claim": j.claim.name,
                "subject": j.subject,
                "verdict": j.verdict,
                "findings": [
                    {**_plain(f.evidence, f.comparison), "verdict": f.verdict}
                    for f in j.findings
                ],
            }
            for j in judgements
        ],
        "beyond": [
            {**_plain(b.evidence, b.comparison), "standing": b.standing} for b in beyond
        ],
    }
    text = json.dumps(_as_json_types(plain), indent=1, allow_nan=False) + "\n"
    write_whole(directory / "claims.json", text)
    table = markdown_template("table.md.j2").render(table=content["overview"])
    write_whole(directory / "claims-table.md", table)
    markdown = markdown_template("claims.md.j2", TEMPLATES).render(**content)
    write_whole(directory / "claims.md", markdown)
    page = html_template("claims.html.j2", TEMPLATES).render(
        **content, **_drawn(results)
    )
    write_whole(directory / "claims.html", page)
    return directory / "claims.html"


def page_content(
    results: Results,
    judgements: Sequence[Judgement],
    beyond: Sequence[BeyondStock],
) -> dict[str, Any]:
    """The content of both forms of the page."""
    contenders = results.plan["contenders"]
    claims = []
    for claim in rules.CLAIMS:
        of_claim = [j for j in judgements if j.claim == claim]
        # A contender that was left out has no column.
        shown = [j for j in of_claim if _has_figures(j)] or of_claim[:1]
        optimizers = [*contenders, *(s for s in claim.subjects if s in STORAGES)]
        claims.append(
            {
                "name": claim.name,
                "text": claim.text,
                "table": tables.claim_table(shown),
                "figures": tables.figure_table(claim, results.tasks, optimizers),
            }
        )
    return {
        "verdict": write_claims_verdict(judgements, beyond, results),
        "overview": tables.overview_table(judgements),
        "claims": claims,
        "beyond": tables.beyond_table([b for b in beyond if b.comparison.tasks]),
        "rules": rules.RULES,
        "definitions": [(m.name, m.meaning) for m in MEASURES.values()],
        "budget": _budget(results),
    }


def write_claims_verdict(
    judgements: Sequence[Judgement],
    beyond: Sequence[BeyondStock],
    results: Results,
) -> list[str]:
    """The verdicts in sentences: one per claim, then our Adam against Keras's."""
    sentences = []
    for claim in rules.CLAIMS:
        of_claim = [j for j in judgements if j.claim == claim]
        judged = [j for j in of_claim if j.verdict != "not judged"]
        sentences.append(_claim_sentence(claim.name, judged))
    for subject in dict.fromkeys(b.comparison.subject for b in beyond):
        of_it = [b for b in beyond if b.comparison.subject == subject]
        judged = [b for b in of_it if b.standing != "not judged"]
        if judged:
            sentences.append(_beyond_sentence(subject, judged))
    if results.missing:
        sentences.append(f"Not run yet: {join_words(list(results.missing))}.")
    left = results.planned_runs - results.runs
    if left > 0 and not results.missing:
        sentences.append(f"{count_of(left, 'planned run')} missing.")
    if results.failed:
        sentences.append(
            f"{count_of(len(results.failed), 'run')} failed and left out; the first, "
            f"{results.failed[0].workload} {results.failed[0].run_id}: "
            f"{results.failed[0].message}"
        )
    return sentences


def _claim_sentence(name: str, judged: Sequence[Judgement]) -> str:
    """The verdict for each subject, and how many of its comparisons support it."""
    if not judged:
        return f"{name}: not judged."
    said: dict[str, list[str]] = {}
    unit = " comparisons support it"
    for judgement in judged:
        verdicts = [f.verdict for f in judgement.findings if f.verdict != "not judged"]
        count = f"{verdicts.count('supported')} of {len(verdicts)}{unit}"
        subject = f"{tables.label(judgement.subject)} ({count})"
        said.setdefault(judgement.verdict, []).append(subject)
        unit = ""
    parts = [f"{verdict} for {join_words(who)}" for verdict, who in said.items()]
    return f"{name}: {'; '.join(parts)}."


def _beyond_sentence(subject: str, judged: Sequence[BeyondStock]) -> str:
    parts = []
    for standing in ("better", "worse"):
        names = [
            tables.measure_name(b.evidence) for b in judged if b.standing == standing
        ]
        if names:
            parts.append(f"{standing} in {join_words(names)}")
    even = sum(b.standing == "no clear difference" for b in judged)
    if even:
        parts.append(f"no clear difference in {count_of(even, 'measure')}")
    return f"Beside Keras Adam, {tables.label(subject)}: {'; '.join(parts)}."


def _has_figures(judgement: Judgement) -> bool:
    return any(finding.comparison.tasks for finding in judgement.findings)


def _budget(results: Results) -> list[tuple[str, str]]:
    plan, budget = results.plan, results.budget
    rates = ", ".join(format_rate(rate) for rate in budget.learning_rates)
    sweeps = "; ".join(
        f"{sweep.directory} (batch {', '.join(map(str, sweep.batch_sizes))}, "
        f"{count_of(sweep.epochs, 'epoch')}"
        + (f" of {sweep.examples} examples)" if sweep.examples else ")")
        for sweep in budget.sweeps
    )
    model = budget.peak_model
    entries = [
        ("Command", plan.get("command")),
        ("Budget", budget.name),
        ("Optimizers", ", ".join(plan["contenders"])),
        ("Learning rates", rates),
        ("Seeds", str(budget.seeds)),
        ("Workloads", sweeps),
        (
            "Large model",
            f"{model.layers} dense layers of {model.width} x {model.width}, "
            f"{model.parameters / 1e6:.3g} million parameters, "
            f"{count_of(model.rounds, 'process')[:-1]}es per optimizer",
        ),
        ("Runs", f"{results.runs} of {results.planned_runs}"),
        ("Time of all runs", f"{format_seconds(results.seconds)}, without compiling"),
        ("Date", plan.get("created")),
        ("Versions", ", ".join(f"{n} {v}" for n, v in plan["versions"].items())),
    ]
    return [(name, value) for name, value in entries if value]


def _drawn(results: Results) -> dict[str, Any]:
    """The content of the HTML page alone."""
    tasks = [*results.tasks["applications"], *results.tasks["exploding"]]
    contenders = results.plan["contenders"]
    others = [name for task in tasks for name in task.optimizers]
    styles = svg.series_styles(list(dict.fromkeys([*contenders, *others])))
    panels = []
    for where, title in (("default", "default rate"), ("best", "best rate")):
        for number, task in enumerate(tasks):
            lines = drawings.training_lines(task, where)
            name = f"{task.workload}, {title}"
            drawing = drawings.draw_training(
                lines,
                styles,
                identifier=f"{where}-{number}",
                description=f"Training loss of {name}, by optimizer.",
            )
            panels.append({"name": name, "svg": Markup(drawing)})
    return {
        "panels": panels,
        "legend": [
            (tables.label(name), Markup(style.legend)) for name, style in styles.items()
        ],
        "series_colours": colours.SERIES_COLOURS,
        "colour_bar": colours.colour_bar(),
        "map_width": 0,
        "scripts": scripts.inline(scripts.TABLES),
    }


def _plain(evidence: rules.Evidence, comparison: RivalComparison) -> dict[str, Any]:
    """A comparison as plain data, and the kind of workloads it was made on."""
    return {"tasks_of": evidence.tasks, **dataclasses.asdict(comparison)}


def _as_json_types(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _as_json_types(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_json_types(item) for item in value]
    return value
